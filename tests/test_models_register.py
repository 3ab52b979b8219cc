"""The registered model: version, alias, lineage, and findings in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from models_world import IMAGES, picture, trained_world

from infra.errors import InputError
from infra.runs import RegisterRun
from infra.settings.sections import GenerateSettings
from infra.tracking_runs import RunBook
from models.register import register
from models.serving import FindingsService, Question, ServingSettings
from sources.example import Task, request_turn
from sources.record import Turn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mlflow warns about type hints of its own while it is imported
    from models.pyfunc import question_of, rows_of

# MLflow and SQLAlchemy warn about each other; what our own code warns about, the other files see.
pytestmark = pytest.mark.filterwarnings("ignore")

TAGS = {"cxrflow.git_commit": "abc", "cxrflow.models.llava_rad": "0123456789abcdef"}
FRESH_PROCESS = """
import json, sys, warnings
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/cxr@candidate")
rows = [{"image": open(path, "rb").read(), "indication": None} for path in sys.argv[2:]]
rows.append({**rows[0], "indication": "Cough."})
print(json.dumps(model.predict(pd.DataFrame(rows)).to_dict("records")))
"""


def run_for(root: Path, **changes: object) -> RegisterRun:
    run = {
        "model": trained_world() / "finetune",
        "model_name": "cxr",
        "tracking_uri": f"sqlite:///{root / 'mlflow.db'}",
        "experiment": "llava_rad",
        "images": IMAGES,
        "tags": TAGS,
        "metrics": {"micro_f1": 0.5},
        "generate": GenerateSettings(max_new_tokens=8),
        "output": root / "receipt",
    }
    return RegisterRun.model_validate({**run, **changes})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("registry")
    book = RunBook(f"sqlite:///{root / 'mlflow.db'}", "llava_rad", root / "artifacts")
    assert book.experiment_id
    assert register(run_for(root)) == 0
    return root


def client(root: Path) -> MlflowClient:
    uri = f"sqlite:///{root / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def receipt(root: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((root / "receipt" / "registered.json").read_text())
    return found


def test_receipt_names_the_version_behind_the_alias(registry: Path) -> None:
    found = receipt(registry)
    version = client(registry).get_model_version_by_alias("cxr", "candidate")
    assert found == {
        "name": "cxr",
        "version": 1,
        "run_id": version.run_id,
        "model_uri": "models:/cxr/1",
        "alias": "candidate",
    }


def test_version_and_run_carry_the_lineage_and_the_scores(registry: Path) -> None:
    version = client(registry).get_model_version("cxr", "1")
    run = client(registry).get_run(version.run_id)
    assert TAGS.items() <= version.tags.items()
    assert TAGS.items() <= run.data.tags.items()
    assert run.data.metrics == {"micro_f1": 0.5}
    assert run.info.status == "FINISHED"


def test_same_model_is_registered_once(registry: Path) -> None:
    before = receipt(registry)
    assert register(run_for(registry)) == 0
    assert receipt(registry) == before
    assert len(client(registry).search_model_versions("name = 'cxr'")) == 1


def test_signature_has_optional_columns_and_nothing_is_pickled(registry: Path) -> None:
    folder = next((registry / "artifacts").rglob("MLmodel")).parent
    schema = (folder / "MLmodel").read_text()
    for column in ("image", "indication", "findings", "finish_reason"):
        assert f'"name": "{column}"' in schema
    assert not list(folder.rglob("*.pkl"))
    assert list(folder.rglob("model.safetensors"))


@pytest.mark.slow
def test_fresh_process_writes_findings_for_png_and_jpeg(registry: Path, tmp_path: Path) -> None:
    png, jpeg = tmp_path / "a.png", tmp_path / "a.jpg"
    png.write_bytes(picture("left", 1, 60, 50))
    pixels = cv2.imdecode(np.frombuffer(png.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    jpeg.write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())
    uri = f"sqlite:///{registry / 'mlflow.db'}"
    child = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, uri, str(png), str(jpeg)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    answers = json.loads(child.stdout.splitlines()[-1])
    assert len(answers) == 3
    for answer in answers:
        assert set(answer) == {"findings", "finish_reason"}
        assert answer["finish_reason"] in ("stop", "length")


def test_registered_model_loads_and_writes(registry: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{registry / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model("models:/cxr@candidate")
    frame = pd.DataFrame([{"image": picture("left", 1, 60, 50), "indication": "Cough."}])
    answer = model.predict(frame).to_dict("records")
    served = service().answer([Question(picture("left", 1, 60, 50), "Cough.")])[0]
    assert answer == [{"findings": served.text, "finish_reason": served.finish_reason}]


def service() -> FindingsService:
    settings = ServingSettings(**IMAGES.model_dump(), generate=GenerateSettings(max_new_tokens=8))
    return FindingsService.load(trained_world() / "finetune", settings, batch_size=2)


def test_served_image_goes_the_way_of_training() -> None:
    """A film larger than the recipe's size is stored first, then read as training does."""
    served = service()
    sample = served._sample(0, Question(picture("left", 5, 64, 48), "Cough."))
    assert sample.pixels is not None
    assert sample.pixels.shape == (1, 28, 28)
    assert sample.turns[0].text == "Report the findings of this chest X-ray. Indication: Cough."


def test_the_served_model_is_asked_as_the_scored_one_was() -> None:
    generate = GenerateSettings(max_new_tokens=8, beams=2, prompt="no-indication")
    settings = ServingSettings(**IMAGES.model_dump(), generate=generate, section="impression")
    served = FindingsService.load(trained_world() / "finetune", settings)
    sample = served._sample(0, Question(picture("left", 5, 64, 48), "Cough."))
    assert sample.turns == (request_turn(Task.IMPRESSION, None),)
    assert served.writer.settings.beams == 2


def test_the_served_model_is_asked_in_a_published_models_words() -> None:
    words = {"plain": "Say it.", "with_indication": "Given {indication}, say it."}
    settings = ServingSettings.model_validate({**IMAGES.model_dump(), "request": words})
    served = FindingsService.load(trained_world() / "finetune", settings)
    sample = served._sample(0, Question(picture("left", 5, 64, 48), "Cough."))
    assert sample.turns == (Turn("user", "Given Cough., say it."),)


def test_a_question_takes_the_reports_place() -> None:
    served = service()
    asked = Question(picture("left", 5, 64, 48), "Cough.", "Is there\n an effusion?")
    assert served._sample(0, asked).turns == (Turn("user", "Is there an effusion?"),)
    blank = Question(picture("left", 5, 64, 48), None, "  ")
    assert served._sample(0, blank).turns == (request_turn(Task.FINDINGS, None),)


def test_questions_are_answered_as_they_were_scored_and_reports_as_they_were() -> None:
    """A report's shortest length would make a paragraph of every answer."""
    settings = ServingSettings(
        **IMAGES.model_dump(),
        generate=GenerateSettings(max_new_tokens=9, min_new_tokens=9),
        answers=GenerateSettings(max_new_tokens=2),
    )
    served = FindingsService.load(trained_world() / "finetune", settings, batch_size=2)
    film = picture("left", 5, 64, 48)
    question = Question(film, None, "Is there an effusion?")
    asked = [Question(film), question, Question(film), question, question]
    lengths = [len(written.generated_ids) for written in served.answer(asked)]
    assert [length == 9 for length in lengths] == [True, False, True, False, False]
    assert max(lengths[1], lengths[3], lengths[4]) <= 2


def test_a_model_that_writes_no_report_wants_a_question() -> None:
    settings = ServingSettings.model_validate({**IMAGES.model_dump(), "section": None})
    served = FindingsService.load(trained_world() / "finetune", settings)
    with pytest.raises(InputError) as error:
        served.answer([Question(picture("left", 5, 64, 48), "Cough.")])
    assert str(error.value) == (
        "found image 0 without a question; expected one: this model writes no report; ask it"
    )


def test_a_model_scored_on_questions_has_a_column_for_them(tmp_path: Path) -> None:
    book = RunBook(f"sqlite:///{tmp_path / 'mlflow.db'}", "llava_rad", tmp_path / "artifacts")
    assert book.experiment_id
    answers = GenerateSettings(max_new_tokens=8)
    assert register(run_for(tmp_path, section=None, answers=answers)) == 0
    folder = next((tmp_path / "artifacts").rglob("MLmodel")).parent
    assert '"name": "question"' in (folder / "MLmodel").read_text()
    mlflow.set_tracking_uri(book.uri)
    model = mlflow.pyfunc.load_model("models:/cxr@candidate")
    film = picture("left", 1, 60, 50)
    frame = pd.DataFrame([{"image": film, "question": "Is there an effusion?"}])
    [answer] = model.predict(frame).to_dict("records")
    served = service().answer([Question(film, question="Is there an effusion?")])[0]
    assert answer["findings"] == served.text


def test_requirements_can_be_installed_from_an_index(registry: Path) -> None:
    lines = "".join(path.read_text() for path in registry.rglob("requirements.txt"))
    assert "pydicom==" in lines
    assert "+" not in lines


def test_questions_are_answered_in_order_over_batches() -> None:
    served = service()
    questions = [Question(picture(side, n, 40, 40)) for n, side in enumerate(["left", "right"] * 2)]
    together = served.answer(questions)
    assert together == [served.answer([question])[0] for question in questions]


def test_unreadable_image_is_named_by_its_reason() -> None:
    with pytest.raises(InputError) as error:
        service().answer([Question(b"no image at all")])
    assert str(error.value) == (
        "found image 0: not-an-image; expected a DICOM, PNG or JPEG chest film; check it"
    )


def test_rows_come_from_frames_mappings_and_bytes() -> None:
    frame = pd.DataFrame([{"image": b"x", "indication": "Cough."}])
    assert rows_of(frame) == [{"image": b"x", "indication": "Cough."}]
    assert rows_of([b"x", {"image": b"y"}]) == [{"image": b"x"}, {"image": b"y"}]


def test_a_missing_indication_may_be_a_nan() -> None:
    assert question_of({"image": b"x", "indication": float("nan")}) == Question(b"x")
    assert question_of({"image": b"x", "indication": "Cough."}) == Question(b"x", "Cough.")
    assert question_of({"image": b"x", "question": "Why?"}) == Question(b"x", None, "Why?")


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"image": None}, "a row without image"),
        ({"indication": "Cough."}, "a row without image"),
        ({"image": "/etc/passwd"}, "an image of type str"),
    ],
)
def test_a_row_without_an_images_bytes_is_refused(row: dict[str, object], found: str) -> None:
    """A path too: a served model reads no file of its server for whoever asks."""
    with pytest.raises(InputError) as error:
        question_of(row)
    assert str(error.value) == (
        f"found {found}; expected the bytes of a DICOM, PNG or JPEG file; fill the column image"
    )

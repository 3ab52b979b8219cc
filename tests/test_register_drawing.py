"""The registered model that draws: signature, prompts in, PNG out, the films that were scored."""

from __future__ import annotations

import io
import json
import math
import shutil
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from diffusion_world import SIDE_PX, drawing_world
from mlflow import MlflowClient
from PIL import Image

from infra.errors import InputError
from infra.runs import RegisterDrawingRun
from infra.settings.diffusion import DrawSettings
from infra.tracking_runs import RunBook
from models.drawing_sampler import DrawingSampler, Request
from models.register_drawing import EXAMPLE, register
from sources.drawing import drawing_prompt
from sources.learned_views import VIEWS_FILE, read_views

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mlflow warns about type hints of its own while it is imported
    from models.drawing_pyfunc import pngs_of, prompts_of, request_of

pytestmark = pytest.mark.filterwarnings("ignore")

QUICK = DrawSettings(steps=2, guidance=2.0, batch_size=2)
LEFT = "There is a nodule in the left lung."


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{root / 'mlflow.db'}"
    assert RunBook(uri, "medxchat", root / "artifacts").experiment_id
    run = RegisterDrawingRun(
        model=drawing_world() / "guide", model_name="cxr-sd", tracking_uri=uri, draw=QUICK,
        experiment="medxchat", tags={"cxrflow.models.draw": "0" * 16}, output=root / "receipt",
        metrics={"none/prompted-side-accuracy": 0.5},
    )  # fmt: skip
    assert register(run) == 0
    return root


def test_the_version_has_its_scores_and_says_what_it_takes(registry: Path) -> None:
    found = json.loads((registry / "receipt" / "registered.json").read_text())
    assert (found["name"], found["version"], found["alias"]) == ("cxr-sd", 1, "candidate")
    uri = f"sqlite:///{registry / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    assert client.get_run(found["run_id"]).data.metrics == {"none/prompted-side-accuracy": 0.5}
    folder = next((registry / "artifacts").rglob("MLmodel")).parent
    schema = (folder / "MLmodel").read_text()
    for column, kind in (
        ("prompt", "string"),
        ("seed", "long"),
        ("film", "binary"),
        ("refused", "string"),
    ):
        assert f'"name": "{column}"' in schema
        assert f'"type": "{kind}"' in schema
    assert not list(folder.rglob("*.pkl"))


def test_prompts_go_in_and_pngs_come_out(registry: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{registry / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model("models:/cxr-sd@candidate")
    asked = pd.DataFrame({"prompt": [LEFT, EXAMPLE, LEFT], "seed": [3, 0, 4]})
    films = model.predict(asked)["film"].tolist()
    with Image.open(io.BytesIO(films[0])) as film:
        assert (film.format, film.mode, film.size) == ("PNG", "L", (SIDE_PX, SIDE_PX))
        pixels = np.asarray(film)
    sampler = DrawingSampler.load(drawing_world() / "guide", QUICK, "auto")
    scored = sampler.draw([Request(LEFT, 3)])[0]
    assert np.abs(pixels.astype(int) - scored.astype(int)).max() <= 1
    assert films[0] != films[2], "another seed"
    bare = model.predict(pd.DataFrame({"prompt": [EXAMPLE]}))["film"].tolist()
    assert len(bare) == 1, "a seed is not needed"


def test_a_row_of_a_view_that_was_never_shown_loses_no_other_row_its_film(registry: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{registry / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model("models:/cxr-sd@candidate")
    asked = [EXAMPLE, drawing_prompt("LATERAL", LEFT), LEFT, drawing_prompt("AP", LEFT)]
    told = model.predict(pd.DataFrame({"prompt": asked}))
    films, why = told["film"].tolist(), told["refused"].tolist()
    assert [film is None for film in films] == [False, True, False, True]
    assert [line is None for line in why] == [True, False, True, False]
    assert why[1].startswith("found a prompt for a LATERAL film; expected one of a view that")
    assert films[0] == model.predict(pd.DataFrame({"prompt": [EXAMPLE]}))["film"].tolist()[0]
    none = model.predict(pd.DataFrame({"prompt": [asked[1]]}))
    assert (none["film"].tolist(), len(none)) == ([None], 1)


def test_an_older_pipelines_views_lie_beside_its_settings(tmp_path: Path) -> None:
    """Its own folder tells none; who registers it may have counted."""
    shutil.copytree(drawing_world() / "guide", tmp_path / "older")
    facts = json.loads((tmp_path / "older" / "config.json").read_text())
    del facts["views"]
    (tmp_path / "older" / "config.json").write_text(json.dumps(facts))
    (tmp_path / VIEWS_FILE).write_text('{"AP": 9}')
    views = read_views(tmp_path / VIEWS_FILE)
    sampler = DrawingSampler.load(tmp_path / "older", QUICK, "cpu", views=views)
    assert sampler.unlearned(EXAMPLE) == "PA"
    assert DrawingSampler.load(tmp_path / "older", QUICK, "cpu").unlearned(EXAMPLE) is None
    assert read_views(tmp_path / "none.json") is None


def test_more_rows_than_a_batch_come_in_their_order() -> None:
    sampler = DrawingSampler.load(drawing_world() / "guide", QUICK, "cpu")
    rows = [Request(LEFT, seed) for seed in range(5)]
    assert len(set(pngs_of(sampler, rows))) == 5


@pytest.mark.parametrize(
    ("row", "request_"),
    [
        ({"prompt": LEFT}, Request(LEFT, 0)),
        ({"prompt": LEFT, "seed": None}, Request(LEFT, 0)),
        ({"prompt": LEFT, "seed": math.nan}, Request(LEFT, 0)),
        ({"prompt": LEFT, "seed": 7.0}, Request(LEFT, 7)),
    ],
)
def test_a_seed_may_be_missing(row: dict[str, object], request_: Request) -> None:
    assert request_of(row) == request_


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "found a row without a prompt"),
        ({"prompt": "  "}, "found a row without a prompt"),
        ({"prompt": 3}, "found a row without a prompt"),
        ({"prompt": LEFT, "seed": -1}, "found the seed -1; expected a whole number from 0 on"),
        ({"prompt": LEFT, "seed": 0.5}, "found the seed 0.5"),
        ({"prompt": LEFT, "seed": math.inf}, "found the seed inf"),
        ({"prompt": LEFT, "seed": "seven"}, "found the seed seven"),
        ({"prompt": LEFT, "seed": "7"}, "found the seed 7"),
        ({"prompt": LEFT, "seed": [7]}, "found the seed \\[7\\]"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(row: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        request_of(row)


def test_rows_come_as_a_table_mappings_or_texts() -> None:
    assert prompts_of(pd.DataFrame({"prompt": [LEFT]})) == [{"prompt": LEFT}]
    assert prompts_of([LEFT, {"prompt": EXAMPLE}]) == [{"prompt": LEFT}, {"prompt": EXAMPLE}]


def test_a_model_that_writes_is_refused(tmp_path: Path) -> None:
    run = RegisterDrawingRun(
        model=drawing_world() / "pretrain", model_name="x", tracking_uri=f"sqlite:///{tmp_path}/m",
        experiment="x", output=tmp_path / "receipt",
    )  # fmt: skip
    with pytest.raises(InputError, match="expected cxr-sd, as a guide or diffuse stage makes it"):
        register(run)

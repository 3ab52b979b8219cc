"""Questions through the whole workflow: the real VQA-RAD subset, and replicas of the gated sets."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_world import look, write_raw
from small_world import cxr_json

from infra.artifact import Artifact
from infra.pieces import Count, add_counts
from sources.record import Study, study_from_row
from tasks.context import Context
from tasks.examples.question_shards import QUESTIONS_FILE
from tasks.examples.work import write_examples
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import STUDIES_FILE, ingest_studies
from tasks.monitor.outcome import funnel
from tasks.reports.connection import Teacher
from tasks.reports.work import write_reports
from tasks.train.work import example_files

REPLICAS = ("mimic_cxr_vqa", "medical_diff_vqa")
STUDIES = 24


def asking(*names: str, **sets: str) -> list[str]:
    """Overrides that make a recipe of questions of the tiny one."""
    sources = json.dumps(list(names))
    routes = ",".join(f'{name}=["keep"]' for name in names)
    tables = f'task="vqa",test_sources={sources},validate_sources={sources}'
    more = "".join(f",{key}={value}" for key, value in sets.items())
    return [
        f"sources.routes={{{routes}}}",
        f"sets={{questions={{{tables}{more}}}}}",
        'abilities={vqa={kind="vqa",examples="questions",model_name="vqa"}}',
        "stages.align.prompt=turns",
        "readings=[]",
        "sources.pieces=2",
        "images.short_side_px=64",
    ]


@dataclass(frozen=True)
class Asked:
    """A set of questions and what it was made from."""

    context: Context
    examples: Artifact
    studies: tuple[Study, ...]

    def questions(self) -> list[dict[str, Any]]:
        return rows(self.examples, QUESTIONS_FILE)

    def counts(self) -> Count:
        [count] = add_counts([one for piece in self.examples.pieces for one in piece.counts])
        return count


def rows(artifact: Artifact, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pa.concat_tables(
        [pq.read_table(path) for path in artifact.files(name)]
    ).to_pylist()
    return found


def make(data: Path, raw: dict[str, Path], **sets: str) -> Asked:
    """Everything up to the examples."""
    context = look(data, raw, *asking(*raw, **sets))
    studies: list[Study] = []
    for name in raw:
        studies += [
            study_from_row(row) for row in rows(ingest_studies(context, name), STUDIES_FILE)
        ]
        ingest_images(context, name)
        with Teacher(context.environment) as teacher:
            write_reports(context, name, teacher)
    return Asked(context, write_examples(context, "questions"), tuple(studies))


def held_apart(asked: Asked) -> None:
    """No film, person or tie of a held-out question is learned from."""
    by_id = {
        (study.source, one.dialogue_id): (study, one)
        for study in asked.studies
        for one in study.dialogues
    }
    kept = {(row["source"], row["dialogue_id"]) for row in asked.questions()}
    learned = {
        (row["source"], row["dialogue_id"]) for row in asked.questions() if row["split"] == "train"
    }
    held = {
        key
        for key, (study, one) in by_id.items()
        if str(one.split or study.split) in ("validate", "test")
    }
    assert learned
    assert held
    for seen in (
        lambda study, one: {(study.source, film) for film in one.image_ids},
        lambda study, one: {(study.source, one.group)} - {(study.source, None)},
        lambda study, one: {study.subject_id} - {None},
    ):
        ours = {item for key in learned for item in seen(*by_id[key])}
        theirs = {item for key in held for item in seen(*by_id[key])}
        assert not ours & theirs
    assert kept <= by_id.keys()


# The real chest subset of VQA-RAD.


@pytest.fixture(scope="module")
def real(public_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return make(tmp_path_factory.mktemp("rad") / "data", {"vqa_rad": public_data / "vqa_rad"})


def test_all_794_pairs_and_107_films_go_in_and_add_up(real: Asked) -> None:
    assert len(real.studies) == 107
    assert sum(len(study.dialogues) for study in real.studies) == 794
    count = real.counts()
    assert (count.unit, count.rows_in, count.kept) == ("questions", 794, 403)
    assert count.rejected == {
        "film-of-held-out-question": 389,
        "linked-to-held-out-question": 2,
    }
    row = next(row for row in funnel(real.context) if row.stage == "examples")
    assert (row.unit, row.rows_in, row.kept) == ("questions", 794, 403)


def test_the_official_test_is_the_test_and_none_of_its_ties_is_learned(real: Asked) -> None:
    told = real.questions()
    assert Counter(row["split"] for row in told) == {"train": 229, "test": 174}
    forms = Counter(row["question_form"] for row in told if row["split"] == "test")
    assert set(forms) == {"test_freeform", "test_para"}
    assert sum(forms.values()) == 174
    held_apart(real)


def test_every_test_question_shows_its_own_film(real: Asked) -> None:
    names = ("example_id", "images", "target", "turns", "split")
    files = example_files(real.context, "test")  # type: ignore[arg-type]
    shown = [row for path in files for row in pq.read_table(path, columns=list(names)).to_pylist()]
    told = {row["example_id"]: row for row in real.questions()}
    assert len(shown) == 174
    for row in shown:
        wanted = told[row["example_id"]]
        assert [film["image_id"] for film in row["images"]] == wanted["image_ids"]
        assert row["target"] == wanted["answer"]
        assert [turn["text"] for turn in row["turns"]] == [wanted["question"]]


def test_the_publishers_own_split_is_there_by_one_setting(
    real: Asked, public_data: Path, tmp_path: Path
) -> None:
    """With its films on both sides; paraphrases stay apart all the same."""
    data, raw = Path(real.context.store.root), {"vqa_rad": public_data / "vqa_rad"}
    context = look(data, raw, *asking("vqa_rad", films_on_both_sides="true"))
    built = write_examples(context, "questions")
    [count] = add_counts([one for piece in built.pieces for one in piece.counts])
    assert (count.rows_in, count.kept) == (794, 792)
    assert count.rejected == {"linked-to-held-out-question": 2}


# Replicas of the gated sets.


@pytest.fixture(scope="module", params=REPLICAS)
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder = tmp_path_factory.mktemp(request.param)
    raw = write_raw(request.param, folder / "raw", STUDIES)
    return make(folder / "data", {request.param: raw})


def test_questions_of_replicas_are_split_by_person_and_add_up(replica: Asked) -> None:
    count = replica.counts()
    assert count.rows_in == sum(len(study.dialogues) for study in replica.studies)
    assert count.kept + sum(count.rejected.values()) == count.rows_in
    assert {"train", "test"} <= {row["split"] for row in replica.questions()}
    held_apart(replica)


def test_a_question_about_a_change_is_not_asked_of_one_film(replica: Asked) -> None:
    """The recipe's vision tower is shown the first film alone."""
    left = replica.counts().rejected.get("more-films-than-shown", 0)
    assert bool(left) is (replica.context.source_names == ("medical_diff_vqa",))
    assert "difference" not in {row["question_type"] for row in replica.questions()}
    assert {len(row["image_ids"]) for row in replica.questions()} == {1}


def test_sets_of_answers_keep_their_parts(replica: Asked) -> None:
    listed = [row for row in replica.questions() if len(row["answers"]) > 1]
    assert all(row["answer"] == ", ".join(row["answers"]) for row in listed)
    assert listed


# The whole run.

SMALL = (
    "stages.language.steps=3",
    "stages.align.steps=2",
    "stages.finetune.steps=6",
    "stages.finetune.sources=null",
    "stages.align.sources=null",
    "stages.pretrain.skip=true",
    "score.bootstrap_resamples=50",
    "abilities.vqa.generate.max_new_tokens=6",
)


def whole(root: Path, *arguments: str, names: tuple[str, ...]) -> Any:
    sets = [word for one in (*asking(*names), *SMALL) for word in ("--set", one)]
    return cxr_json("run", "--scale", "tiny", "--data-root", str(root), *arguments, *sets)


def require_honest(document: Any, questions: int | None = None) -> None:
    """Scores beside three controls, each paired with the model, of every test question."""
    scores = document["scores"]["vqa"]
    assert scores["kind"] == "vqa"
    assert list(scores["systems"]) == ["none", "shuffled", "blank", "majority"]
    assert questions is None or scores["questions"] == questions
    assert all(each["examples"] == scores["questions"] for each in scores["systems"].values())
    pairs = {(row["metric"], row["control"]) for row in scores["differences"]}
    for control in ("shuffled", "blank", "majority"):
        assert {("accuracy", control), ("closed-accuracy", control)} <= pairs
    for row in scores["differences"]:
        if row["group"] == "all" and row["low"] is not None:
            assert row["low"] <= row["value"] <= row["high"]
    assert Path(document["places"]["report page"]).read_text().startswith("<!doctype html>")
    assert document["places"]["registered model"] == "models:/vqa/1"


@pytest.mark.slow
def test_the_official_test_of_vqa_rad_runs_end_to_end(public_data: Path, tmp_path: Path) -> None:
    source = ("--source", f"vqa_rad={public_data / 'vqa_rad'}")
    first = whole(tmp_path, *source, names=("vqa_rad",))
    require_honest(first, questions=174)
    assert first["scores"]["vqa"]["training"] == {"questions": 229, "images": 34}
    again = whole(tmp_path, *source, names=("vqa_rad",))
    assert again["scores"] == first["scores"]
    assert all(step["built"] == 0 for step in again["steps"])


@pytest.mark.slow
@pytest.mark.parametrize("name", REPLICAS)
def test_replicas_of_the_gated_sets_run_end_to_end(name: str, tmp_path: Path) -> None:
    size = ("--set", f"replicas.studies.{name}={STUDIES}", "--set", "replicas.side_px=128")
    require_honest(whole(tmp_path, "--replicas", *size, names=(name,)))

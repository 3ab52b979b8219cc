"""Scoring answers as a unit of work: its files, its numbers, and what a person is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from answers_world import predictions_of
from raw_world import look, payload, write_raw
from test_vqa_run import Asked, asking, make

from infra.artifact import Artifact, build_artifact
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from sources.prediction import PREDICTION_SCHEMA
from sources.question import QUESTION_SCHEMA
from tasks.context import Context
from tasks.examples.question_shards import QUESTIONS_FILE
from tasks.monitor.outcome import outcome_json, outcome_text
from tasks.monitor.trace import trace_study
from tasks.predict.work import PREDICTIONS_FILE, PREDICTIONS_PIECE
from tasks.score.answers import FILES, score_answers
from tasks.score.work import EXAMPLES_FILE, PAGE_FILE, SCORES_FILE, scores_of, unavailable_of

NAME = "mimic_cxr_vqa"
TWICE = "abilities.again={kind='vqa',examples='questions',model_name='vqa'}"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """The examples of a replica, and answers as a model that is mostly right leaves them."""
    folder = tmp_path_factory.mktemp("answers")
    made = make(folder / "data", {NAME: write_raw(NAME, folder / "raw", 24)})
    predict(made.context, answers(made))
    return made


def answers(asked: Asked) -> pa.Table:
    return predictions_of(pa.Table.from_pylist(asked.questions(), schema=QUESTION_SCHEMA))


def predict(context: Context, table: pa.Table) -> None:
    def build(key: str, folder: Path) -> BuiltPiece:
        assert key == PREDICTIONS_PIECE
        write_table(folder / PREDICTIONS_FILE, table)
        return BuiltPiece((Count("predictions", table.num_rows, table.num_rows),))

    step = context.step("predictions")
    build_artifact(context.store, step, lambda: {PREDICTIONS_PIECE: ""}, build)


def again(asked: Asked, *overrides: str) -> Context:
    """Another recipe over the same data."""
    raw = asked.context.roots[NAME]
    return look(Path(asked.context.store.root), {NAME: raw}, *asking(NAME), *overrides)


def document(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(artifact.files(SCORES_FILE)[0].read_text())
    return found


def test_every_answer_is_scored_beside_the_controls(asked: Asked) -> None:
    artifact = score_answers(asked.context)
    tests = sum(row["split"] == "test" for row in asked.questions())
    assert tests >= 9, "the world is too small to score"
    assert artifact.counts == (Count("answers scored", 4 * tests, 4 * tests),)
    found = document(artifact)
    assert found["questions"] == tests
    assert found["sources"] == {NAME: tests}
    assert list(found["systems"]) == ["none", "shuffled", "blank", "majority"]
    assert {row["group"] for row in found["scores"]} >= {"all", "presence", "attribute"}
    assert pq.read_table(artifact.files(EXAMPLES_FILE)[0]).num_rows == 4 * tests
    assert {file.name for file in artifact.pieces[0].files} == set(FILES)


def test_the_page_shows_some_questions_with_their_films(asked: Asked) -> None:
    page = score_answers(asked.context).files(PAGE_FILE)[0].read_text()
    assert "not a medical device" in page.lower()
    assert page.count("data:image/png;base64,") >= 2
    assert "Majority answer" in page
    assert "What became of the questions" in page
    assert asked.context.step("predictions").fingerprint in page
    texts = {row["question"] for row in asked.questions() if row["split"] == "test"}
    assert any(text in page for text in texts)


def test_numbers_go_to_the_registry_by_control(asked: Asked) -> None:
    score_answers(asked.context)
    tracked = scores_of(asked.context)
    assert {name.partition("/")[0] for name in tracked} == {
        *("none", "shuffled", "blank", "majority")
    }
    assert tracked["none/accuracy"] > tracked["blank/accuracy"]
    assert unavailable_of(asked.context) == {}


def test_a_second_ability_of_the_stage_bears_its_name(asked: Asked) -> None:
    context = again(asked, TWICE)
    other = context.doing("again")
    predict(other, answers(asked))
    score_answers(context)
    score_answers(other)
    tracked = scores_of(context)
    assert tracked["again/none/accuracy"] == tracked["none/accuracy"]
    assert len(tracked) == 2 * len(scores_of(asked.context))


def test_a_second_scoring_builds_nothing_and_a_new_one_gives_the_same_bytes(asked: Asked) -> None:
    first = score_answers(asked.context)
    assert score_answers(asked.context).cached
    place = Path(first.store.path(first.pieces[0].folder))
    before = payload(place)
    shutil.rmtree(first.store.path(first.folder))
    repeated = score_answers(asked.context)
    assert payload(Path(repeated.store.path(repeated.pieces[0].folder))) == before


def test_a_person_is_told_scores_and_no_report_is_missed(asked: Asked) -> None:
    score_answers(asked.context)
    text = outcome_text(asked.context, [], 1.0)
    assert "majority answer" in text
    assert "accuracy less that of the majority answer" in text
    assert "WARNING" not in text, "a source of questions has no reports to lose"
    told = outcome_json(asked.context)
    assert told["scores"]["vqa"]["kind"] == "vqa"
    assert told["places"]["report page"].endswith("report.html")
    units = {(row["stage"], row["unit"]) for row in told["funnel"]}
    assert ("examples", "questions") in units


def test_a_trace_shows_questions_only_where_text_is_asked_for(asked: Asked) -> None:
    study = asked.questions()[0]["study_id"]
    for with_text in (False, True):
        found = trace_study(asked.context, study, with_text=with_text)
        [rows] = [rows for place, rows in found.items() if place.endswith(QUESTIONS_FILE)]
        assert {row["study_id"] for row in rows} == {study}
        assert ({"question", "answer", "answers"} <= rows[0].keys()) is with_text
        assert rows[0]["question_type"]


def test_nothing_predicted_is_a_scoring_of_nothing_with_its_reason(asked: Asked) -> None:
    context = again(asked, "abilities.vqa.generate.max_new_tokens=9")
    predict(context, PREDICTION_SCHEMA.empty_table())
    artifact = score_answers(context)
    found = document(artifact)
    assert found["questions"] == 0
    assert found["unavailable"]["answers"].startswith(f"no test examples of {NAME}")
    assert scores_of(context) == {}
    assert "NOT SCORED" in outcome_text(context, [], 1.0)
    assert "this page cannot say" in artifact.files(PAGE_FILE)[0].read_text()

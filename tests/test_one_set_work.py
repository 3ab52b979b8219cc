"""A comparison from the trained recipes to its page: studies, examples, scores, table, MLflow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.artifact import Artifact
from infra.errors import ArtifactError
from sources.record import Split
from tasks.context import open_context
from tasks.monitor.tracked import run_book
from tasks.one_set import task
from tasks.one_set.plan import ComparisonPlan, plan_comparison
from tasks.one_set.work import (
    MARKDOWN_FILE,
    PAGE_FILE,
    PLOT_FILE,
    TABLE_FILE,
    choose_studies,
    compare,
    document_of,
    last_comparison,
    pack_test_set,
)
from tasks.reports.connection import Teacher
from tasks.score.work import score
from tasks.train.work import example_files
from tests.one_set_world import CLEAR, answer, comparison, train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own tables

METRIC = "rule14-micro-F1"
WRITES = {
    "gla_rrg24": lambda control, true: true if control == "none" else CLEAR,
    "llava_rad": lambda control, true: CLEAR,
}
"""The first is right and reads its films, the second always writes a normal chest."""


@dataclass(frozen=True)
class Made:
    """A whole comparison."""

    plan: ComparisonPlan
    studies: Artifact
    packed: dict[str, Artifact]
    table: Artifact


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    asked = comparison(tmp_path_factory.mktemp("compared"))
    for order in asked.orders().values():
        train(open_context(order))
    plan = plan_comparison(asked)
    studies = choose_studies(plan)
    packed = {model.recipe: pack_test_set(model.shown) for model in plan.models}
    for model in plan.models:
        answer(model, WRITES[model.recipe])
        with Teacher(model.shown.environment) as teacher:
            score(model.shown, teacher, lambda done, total: None)
    return Made(plan, studies, packed, compare(plan))


@pytest.fixture(scope="module")
def document(made: Made) -> Any:
    return document_of(made.table)


def test_studies_that_a_model_knows_or_cannot_be_shown_leave_with_a_reason(made: Made) -> None:
    kept = pq.read_table(made.studies.files("studies.parquet")[0])["study_id"].to_pylist()
    assert kept == ["t0", "t4", "t5", "t6", "t7"]
    [count] = made.studies.counts
    assert (count.rows_in, count.kept) == (8, 5)
    assert dict(count.rejected) == {
        "film-learned-from": 1, "not-shown": 1, "subject-learned-from": 1,
    }  # fmt: skip
    rows = pq.read_table(made.studies.files("rejected.parquet")[0]).to_pylist()
    told = {row["study_id"]: (row["reason"], row["detail"].partition(":")[0]) for row in rows}
    assert told == {
        "t1": ("subject-learned-from", "llava_rad"),
        "t2": ("film-learned-from", "llava_rad"),
        "t3": ("not-shown", "llava_rad"),
    }


def test_every_model_is_asked_about_the_same_studies_and_references(made: Made) -> None:
    asked = {}
    for model in made.plan.models:
        rows = [
            row
            for path in example_files(model.shown, Split.TEST)
            for row in pq.read_table(path).to_pylist()
        ]
        asked[model.recipe] = {row["example_id"]: row["target"] for row in rows}
        words = {row["turns"][0]["text"] for row in rows}
        plain = model.own.examples.request.plain
        assert words == {plain or "Report the findings of this chest X-ray."}
        assert not example_files(model.shown, Split.TRAIN)
    assert asked["gla_rrg24"] == asked["llava_rad"]
    assert len(asked["llava_rad"]) == 5
    assert all(name.endswith("/-/keep") for name in asked["llava_rad"])


def test_the_table_holds_the_second_against_the_first(document: Any) -> None:
    assert (document["on"], document["first"]) == ("gla_rrg24/rrg24_findings", "gla_rrg24")
    assert document["dataset"] == "rrg24 (replica)"
    assert (document["studies"], document["examples"], document["subjects"]) == (8, 5, 5)
    first, second = (
        next(cell for cell in model["cells"] if cell["metric"] == METRIC)
        for model in document["models"]
    )
    assert (first["value"]["value"], first["difference"]) == (1.0, None)
    pair = second["difference"]
    assert pair["difference"]["value"] == second["value"]["value"] - 1.0 < 0
    assert pair["examples"] == 5
    assert second["p_holm"] == pair["p"], "one model was tested"


def test_each_model_stands_beside_its_controls(document: Any) -> None:
    rows = {
        (row["recipe"], row["control"]): row
        for row in document["controls"]
        if row["metric"] == METRIC
    }
    assert len(rows) == 4
    assert rows["gla_rrg24", "blank"]["beats"] is True
    assert rows["llava_rad", "blank"]["beats"] is None
    assert rows["llava_rad", "blank"]["difference"]["value"] == 0.0


def test_signatures_differ_in_what_is_a_models_own_alone(document: Any) -> None:
    apart = {row["field"] for row in document["signatures_apart"]}
    assert apart <= {"images", "max_new_tokens"}


def test_those_left_out_are_told_by_reason_and_recipe(document: Any) -> None:
    assert document["left_out"] == [
        {"reason": "film-learned-from", "recipe": "llava_rad", "studies": 1},
        {"reason": "not-shown", "recipe": "llava_rad", "studies": 1},
        {"reason": "subject-learned-from", "recipe": "llava_rad", "studies": 1},
    ]


def test_the_page_shows_the_films_and_what_each_wrote(made: Made) -> None:
    page = made.table.files(PAGE_FILE)[0].read_text()
    assert page.count('<article class="card"') == 5
    assert "data:image/png;base64," in page
    assert page.count("<h4>gla_rrg24</h4>") == 5
    assert "synthetic replica" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_what_mlflow_gets_holds_no_report_text(made: Made) -> None:
    for name in (TABLE_FILE, MARKDOWN_FILE, PLOT_FILE):
        text = made.table.files(name)[0].read_text()
        assert "pleural effusion." not in text
        assert "The lungs are clear" not in text


def test_one_mlflow_run_has_a_nested_run_for_each_model(made: Made) -> None:
    task._log(made.plan, made.table, "an-id")
    book = run_book(made.plan.host, task.EXPERIMENT)
    runs = {run.info.run_name: run for run in book.client.search_runs([book.experiment_id])}
    assert set(runs) == {"gla_rrg24 · llava_rad on gla_rrg24", "gla_rrg24", "llava_rad"}
    parent = runs["gla_rrg24 · llava_rad on gla_rrg24"]
    for name in ("gla_rrg24", "llava_rad"):
        assert runs[name].data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert runs[name].data.metrics[METRIC] <= 1.0
        assert f"blank/{METRIC}" in runs[name].data.metrics
    assert f"{METRIC}/difference" in runs["llava_rad"].data.metrics
    files = book.client.list_artifacts(parent.info.run_id, "comparison")
    assert {Path(file.path).name for file in files} == {TABLE_FILE, MARKDOWN_FILE, PLOT_FILE}


def test_a_second_comparison_builds_nothing(made: Made) -> None:
    plan = plan_comparison(made.plan.asked)
    assert choose_studies(plan).cached
    assert all(pack_test_set(model.shown).cached for model in plan.models)
    again = compare(plan)
    assert again.cached
    found = last_comparison(plan)
    assert found is not None
    assert json.dumps(document_of(found)) == json.dumps(document_of(made.table))


def test_a_damaged_table_is_no_number(made: Made) -> None:
    path = made.table.files(TABLE_FILE)[0]
    sound = path.read_bytes()
    path.write_bytes(sound.replace(b"1", b"2", 1))
    try:
        with pytest.raises(ArtifactError, match=r"comparison\.json damaged or absent"):
            document_of(made.table)
    finally:
        path.write_bytes(sound)

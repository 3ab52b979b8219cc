"""What a run would do and why, before it does it; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_world import look, payload, write_raw

from infra.artifact import build_artifact
from infra.pieces import BuiltPiece
from tasks.context import Context
from tasks.ingest.studies import ingest_studies
from tasks.monitor.plan import ASIDE, KINDS_UNTIL, PlanRow, plan_rows, plan_text, steps_until
from tasks.reports.connection import Teacher
from tasks.reports.work import write_reports

ROUTES = 'sources.routes={chexpert=["synthesize"]}'


@dataclass(frozen=True)
class World:
    raw: Path
    data: Path

    def context(self, *overrides: str) -> Context:
        return look(self.data, {"chexpert": self.raw}, ROUTES, *overrides)


@pytest.fixture
def world(raw: Path, tmp_path: Path) -> World:
    return World(raw, tmp_path / "data")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw("chexpert", tmp_path_factory.mktemp("plan") / "raw", 12)


def by_key(rows: list[PlanRow]) -> dict[str, PlanRow]:
    return {row.key: row for row in rows}


def test_at_first_everything_is_absent(world: World) -> None:
    rows = plan_rows(world.context(), "run")
    assert [row.key for row in rows] == [
        "studies/chexpert",
        "images/chexpert",
        "reports/chexpert",
        "examples/llava_rad",
        "stages/language",
        "stages/pretrain",
        "stages/align",
        "stages/finetune",
        "predictions/llava_rad",
        "scores/llava_rad",
        "grounding/llava_rad",
        "models/llava_rad",
    ]
    assert {(row.state, row.why) for row in rows} == {("absent", "never built")}
    assert {row.requests for row in rows} == {None}


@pytest.mark.parametrize("goal", [*KINDS_UNTIL, "register", "run"])
def test_a_goal_needs_its_kinds_and_what_they_read(world: World, goal: str) -> None:
    steps = steps_until(world.context(), goal)
    keys = {f"{step.kind}/{step.name}" for step in steps}
    for step in steps:
        assert {name for name in step.inputs if name != "raw"} <= keys
    last = {"ingest": "images", "train": "stages", "evaluate": "grounding", "run": "models"}
    last["quality"] = "teachers"
    assert goal == "quality" or not {step.kind for step in steps} & set(ASIDE)
    assert steps[-1].kind == last.get(goal, {"register": "models"}.get(goal, goal))


def test_a_plan_writes_nothing(world: World) -> None:
    plan_rows(world.context(), "run")
    assert payload(world.data) == {}


def test_what_is_there_exists_and_what_is_damaged_is_named(world: World) -> None:
    artifact = ingest_studies(world.context(), "chexpert")
    assert by_key(plan_rows(world.context(), "ingest"))["studies/chexpert"].state == "exists"
    piece = artifact.pieces[1]
    Path(artifact.store.path(f"{piece.folder}/{piece.files[0].name}")).unlink()
    row = by_key(plan_rows(world.context(), "ingest"))["studies/chexpert"]
    assert (row.state, row.why) == ("damaged", f"rebuild {piece.key}")


def test_calls_are_estimated_once_the_studies_are_there(world: World) -> None:
    context = world.context("reports.model=my-local-model")
    artifact = ingest_studies(context, "chexpert")
    studies = artifact.counts[0].kept
    row = by_key(plan_rows(context, "reports"))["reports/chexpert"]
    assert (row.state, row.cost_usd) == ("absent", None)
    assert row.requests is not None
    assert 0 < row.requests <= studies
    line = plan_text([row]).splitlines()[0]
    assert line == (
        f"reports/chexpert  absent   never built  [at most {row.requests} model calls, "
        f"{row.input_tokens:,} tokens in and {row.output_tokens:,} out, price unknown, hours "
        "unknown]"
    )


def test_finished_reports_ask_nothing(world: World) -> None:
    context = world.context()
    ingest_studies(context, "chexpert")
    free = by_key(plan_rows(context, "reports"))["reports/chexpert"]
    assert free.cost_usd == 0.0
    with Teacher(context.environment) as teacher:
        write_reports(context, "chexpert", teacher)
    row = by_key(plan_rows(context, "reports"))["reports/chexpert"]
    assert row == PlanRow(
        "reports/chexpert", context.graph["reports/chexpert"].folder, "exists", ""
    )


def test_a_changed_setting_is_the_reason(world: World) -> None:
    ingest_studies(world.context(), "chexpert")
    changed = by_key(plan_rows(world.context("sources.pieces=2"), "ingest"))
    assert changed["studies/chexpert"].why == "pieces 4 became 2"


def test_the_text_is_aligned_and_counted() -> None:
    rows = [
        PlanRow("studies/brax", "studies/brax-0", "exists", ""),
        PlanRow("reports/brax", "reports/brax-0", "absent", "never built", 1200, 3.456),
        PlanRow("examples/llava_rad", "examples/llava_rad-0", "damaged", "rebuild p0001"),
        PlanRow(
            "reports/nih", "reports/nih-0", "absent", "never built", 9, 0.0, None, 4, 70, 8, 2.04
        ),
    ]
    assert plan_text(rows).splitlines() == [
        "studies/brax        exists",
        "reports/brax        absent   never built  [at most 1,200 model calls, about $3.46]",
        "examples/llava_rad  damaged  rebuild p0001",
        "reports/nih         absent   never built  [at most 9 model calls, 4 more answered "
        "already, 70 tokens in and 8 out, about $0.00, about 2.0 h]",
        "4 steps: 1 exist, 3 would be built",
    ]


def test_calls_that_are_not_known_yet_name_the_step_before(world: World) -> None:
    rows = by_key(plan_rows(world.context(), "run"))
    assert rows["reports/chexpert"].asks_after == "studies/chexpert"
    assert rows["scores/llava_rad"].asks_after == "examples/llava_rad"
    assert rows["examples/llava_rad"].asks_after is None
    (line,) = [
        line for line in plan_text(list(rows.values())).splitlines() if line.startswith("scores/")
    ]
    assert line.endswith("[model calls: known after examples/llava_rad]")


def test_judges_are_estimated_from_the_test_examples(world: World) -> None:
    def write(key: str, folder: Path) -> BuiltPiece:
        rows = pa.table({"study_id": ["a", "a", "b", "c"]})
        pq.write_table(rows, folder / "test-000.parquet")
        pq.write_table(rows, folder / "train-000.parquet")
        return BuiltPiece()

    context = world.context()
    step = context.graph["examples/llava_rad"]
    build_artifact(context.store, step, lambda: {"chexpert-p0000": ""}, write)
    row = by_key(plan_rows(context, "run"))["scores/llava_rad"]
    assert (row.requests, row.cost_usd) == (12, 0.0), "the model and two controls"
    some = world.context("score.judged_studies=2", 'score.judges=["offline-rules","my-model"]')
    row = by_key(plan_rows(some, "run"))["scores/llava_rad"]
    assert (row.requests, row.cost_usd) == (2 * 3 * 3, None), "two studies have three at most"

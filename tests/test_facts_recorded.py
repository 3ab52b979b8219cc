"""Runs and steps as facts: outermost runs, steps that were built, found, failed or cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun

from infra.artifact import Artifact, build_artifact
from infra.errors import SourceError
from infra.facts.contract import document
from infra.facts.files import read_facts
from infra.facts.open_runs import OPEN
from infra.pieces import BuiltPiece, Count
from infra.step import Step
from infra.store import Store
from tasks.context import Order
from tasks.monitor.fact_rows import Told, finished_rows
from tasks.monitor.recorded import note_step, noted, recorded_run, run_head, settle_dead
from tests.facts_world import CANARY, house
from tests.small_world import HOUSE, cxr_environment

STUDIES = Step("studies", "openi", {"pieces": 2}, {}, 1, ("infra.errors",))


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("CXR_")]:
        monkeypatch.delenv(name)
    yield


def order(root: Path) -> Order:
    return Order(data_root=str(root), recipe="llava_rad", scale="tiny")


def build(store: Store, step: Step = STUDIES, rejected: int = 1) -> Artifact:
    """An artifact of two pieces of ten rows each."""

    def write(key: str, folder: Path) -> BuiltPiece:
        (folder / "studies.txt").write_text(f"{key}: {CANARY}")
        lost = {"no-report": rejected} if rejected else {}
        return BuiltPiece((Count("studies", 10, 10 - rejected, lost),), {})

    return build_artifact(store, step, lambda: {"p0": "a", "p1": "b"}, write)


def reading(store: Store, step: Step = STUDIES) -> Callable[[], Artifact]:
    """A task's work that builds the step and tells so."""

    def work() -> Artifact:
        artifact = build(store, step)
        note_step(artifact)
        return artifact

    return noted("read studies", work)


def steps(store: Store) -> list[tuple[str, ...]]:
    found = read_facts(store, "steps")
    return [(row["kind"], row["name"], row["state"], row["why"]) for row in found]


def test_a_built_step_and_then_a_cached_one(tmp_path: Path) -> None:
    store = house(tmp_path)
    for _ in range(2):
        with recorded_run(order(tmp_path), "ingest"):
            reading(store)()
    first, second = read_facts(store, "runs")
    assert (first["why"], second["why"]) == ("built 1 of 1 steps", "built 0 of 1 steps")
    assert (first["goal"], first["trigger"], first["expected_at"]) == ("ingest", "command", None)
    assert steps(store) == [
        ("studies", "openi", "built", "never built"),
        ("studies", "openi", "cached", ""),
    ]
    built, cached = read_facts(store, "rows")
    assert (built["rows_in"], built["kept"], built["rejected"], built["handled"]) == (20, 18, 2, 20)
    assert (cached["rows_in"], cached["handled"], cached["state"]) == (20, 0, "cached")
    assert [row["count"] for row in read_facts(store, "rejects")] == [2, 2]


@pytest.mark.parametrize(
    ("known", "trigger", "late"),
    [
        ({"deployment_id": uuid4(), "auto_scheduled": True}, "schedule", 90.0),
        ({"deployment_id": uuid4(), "auto_scheduled": False}, "deployment", 90.0),
        ({}, "command", None),
    ],
)
def test_who_wanted_a_run_and_when(
    tmp_path: Path, known: dict[str, Any], trigger: str, late: float | None
) -> None:
    wanted = datetime.now(UTC) - timedelta(seconds=90)
    run = FlowRun(flow_id=uuid4(), expected_start_time=wanted, **known)
    head = run_head("run", "ingest", order(tmp_path), "ingest", run)
    assert head["trigger"] == trigger
    assert (head["expected_at"] == wanted) is (late is not None)
    assert head["late_seconds"] == (late if late is None else pytest.approx(late, abs=60))
    assert run_head("run", "ingest", order(tmp_path), "ingest", None)["trigger"] == "command"


def test_flows_inside_a_run_are_part_of_it_and_group_their_own_mlflow_runs(tmp_path: Path) -> None:
    store = house(tmp_path)
    with recorded_run(order(tmp_path), "register") as outer:
        with recorded_run(outer) as inner:
            reading(store)()
            assert inner.pipeline_id == outer.pipeline_id != ""
        with recorded_run(order(tmp_path)) as other:
            assert other.pipeline_id not in ("", outer.pipeline_id)
    assert [row["steps"] for row in read_facts(store, "runs")] == [1]


def test_a_step_that_was_built_stays_so_when_it_is_used_again(tmp_path: Path) -> None:
    store = house(tmp_path)
    with recorded_run(order(tmp_path)):
        reading(store)()
        reading(store)()
    assert [state for _, _, state, _ in steps(store)] == ["built"]


def test_of_an_error_only_the_class_is_told(tmp_path: Path) -> None:
    store = house(tmp_path)

    def break_off() -> None:
        build_artifact(store, STUDIES, plan, lambda *_: BuiltPiece())

    def plan() -> dict[str, str]:
        raise SourceError(CANARY, "another", "look")

    with pytest.raises(SourceError), recorded_run(order(tmp_path)):
        noted("read studies", break_off)()
    assert steps(store) == [("studies", "openi", "failed", "SourceError")]
    [run] = read_facts(store, "runs")
    assert (run["state"], run["why"]) == ("failed", "SourceError in studies/openi")
    texts = document({"runs": [run], "steps": read_facts(store, "steps")})
    assert "cardiomegaly" not in texts


def test_a_task_that_fails_before_any_step_has_the_tasks_name(tmp_path: Path) -> None:
    store = house(tmp_path)

    def stumble() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), recorded_run(order(tmp_path)):
        noted("read studies", stumble)()
    assert steps(store) == [("task", "read studies", "failed", "ZeroDivisionError")]


def test_a_person_who_interrupts_cancels(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), recorded_run(order(tmp_path)):
        raise KeyboardInterrupt
    [run] = read_facts(house(tmp_path), "runs")
    assert (run["state"], run["why"]) == ("cancelled", "cancelled between steps")


def test_outside_a_run_a_task_tells_nothing(tmp_path: Path) -> None:
    store = house(tmp_path)
    assert reading(store)().built == ("p0", "p1")
    assert not store.exists("facts")


KILLED = """
import os, signal
from pathlib import Path
from infra.artifact import build_artifact
from tasks.monitor.recorded import noted, recorded_run
from tests.facts_world import house
from tests.test_facts_recorded import STUDIES, order, reading
from dataclasses import replace
root = Path({root!r})
store = house(root)
with recorded_run(order(root)):
    reading(store)()
    build = lambda key, folder: os.kill(os.getpid(), signal.SIGKILL)
    step = replace(STUDIES, name="nih_cxr14")
    noted("read studies", lambda: build_artifact(store, step, lambda: {{"p0": "a"}}, build))()
"""


def test_kill_9_in_the_middle_of_a_step_shows_which(tmp_path: Path) -> None:
    code = KILLED.format(root=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=HOUSE, env=cxr_environment(), check=False
    )
    assert done.returncode == -signal.SIGKILL
    store = house(tmp_path)
    with recorded_run(order(tmp_path)):  # the next run looks too
        pass
    killed, after = read_facts(store, "runs")
    assert (killed["state"], killed["why"]) == ("killed", "killed in studies/nih_cxr14")
    assert (after["state"], settle_dead(store)) == ("completed", 0)
    assert steps(store) == [
        ("studies", "openi", "built", "never built"),
        ("studies", "nih_cxr14", "killed", "cut off"),
    ]
    assert store.list_folder(OPEN) == []


def artifact_of(store: Store, kind: str, **changes: Any) -> Artifact:
    """A built artifact of a kind, as its task would hand it over."""
    settings = {"stage": {"kind": "finetune"}}
    step = Step(kind, "finetune", settings, {}, 1, ("infra.errors",))
    artifact = build(store, step)
    pieces = tuple(replace(piece, **changes) for piece in artifact.pieces[:1])
    return replace(artifact, pieces=pieces)


def test_a_stages_figures_and_its_bar_are_told_when_they_are_new(tmp_path: Path) -> None:
    pace = {
        "device": "H200",
        "devices": 1,
        "useful_tokens_per_second": 9.5,
        "mfu": None,
        "data_wait_share": 0.1,
        "peak_memory_gib": 3.0,
        "examples_per_second": 2.0,
        "images_per_second": 0,
        "bar": {"verdict": "missed", "missed": ["mfu", "x"]},
    }
    facts = {"steps": 7, "first_loss": 2.0, "last_loss": 1.0, "validate_loss": 1.5}
    measured = {"throughput": pace}
    artifact = artifact_of(house(tmp_path), "stages", facts=facts, measured=measured)
    told = Told("run", "llava_rad", "tiny")
    [row] = finished_rows(told, artifact)["stages"]
    assert (row["stage"], row["kind"], row["steps"], row["mfu"]) == ("finetune",) * 2 + (7, None)
    assert (row["bar"], row["missed"], row["validate_loss"]) == ("missed", "mfu,x", 1.5)
    assert "stages" not in finished_rows(told, replace(artifact, built=()))
    ready = artifact_of(house(tmp_path / "other"), "stages", facts={"steps": 0})
    [row] = finished_rows(told, ready)["stages"]
    assert (row["device"], row["bar"], row["last_loss"]) == (None, None, None)


def test_examples_are_told_by_source(tmp_path: Path) -> None:
    artifact = artifact_of(house(tmp_path), "examples")
    [piece] = artifact.pieces
    pieces = tuple(
        replace(piece, key=key) for key in ("openi-0000", "openi-0001", "mimic_cxr-0000")
    )
    rows = finished_rows(
        Told("run", "r", "s"), replace(artifact, pieces=pieces, built=("openi-0001",))
    )
    assert {row["source"]: (row["rows_in"], row["handled"]) for row in rows["rows"]} == {
        "mimic_cxr": (10, 0),
        "openi": (20, 10),
    }


def test_scores_are_the_models_own_without_details(tmp_path: Path) -> None:
    store = house(tmp_path)
    interval = {"value": 0.5, "low": 0.4, "high": None, "higher_is_better": True}
    signature = {"metric": "m", "examples": 12}
    rows = [
        {"metric": "BLEU", "control": "none", **interval, "signature": signature},
        {"metric": "BLEU", "control": "blank", **interval, "signature": signature},
        {"metric": "part", "control": "none", "is_detail": True, **interval, "signature": {}},
        {"metric": "accuracy", "control": "none", "group": "open", "questions": 3, **interval,
         "signature": {"metric": "m", "examples": 9}},
        {"metric": "accuracy", "control": "none", "group": "all", "questions": 9, **interval,
         "signature": {"metric": "m", "examples": 9}},
    ]  # fmt: skip

    def write(key: str, folder: Path) -> BuiltPiece:
        (folder / "scores.json").write_text(json.dumps({"scores": rows}))
        return BuiltPiece()

    step = Step("scores", "llava_rad", {}, {}, 1, ("infra.errors",))
    artifact = build_artifact(store, step, lambda: {"scores": ""}, write)
    found = finished_rows(Told("run", "r", "s", model="registered"), artifact)["scores"]
    shown = [(row["metric"], row["part"], row["n"], row["high"], row["model"]) for row in found]
    assert shown == [
        ("BLEU", "", 12, None, "registered"),
        ("accuracy", "open", 3, None, "registered"),
        ("accuracy", "", 9, None, "registered"),
    ]
    assert found[0]["signature"] != found[1]["signature"]

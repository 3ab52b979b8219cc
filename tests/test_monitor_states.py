"""What Prefect shows of a run: Cached states, retries, tables, events, progress, sub-flows.

One server serves this file: it takes about 13 seconds to start.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.events.worker import EventsWorker
from prefect.settings import get_current_settings
from prefect.testing.utilities import prefect_test_harness
from raw_world import write_raw

from flows.ingest import ingest
from flows.pipeline import SUB_FLOWS, pipeline
from infra.artifact import build_artifact
from infra.errors import InputError, LanguageModelError, SettingsError
from infra.facts.files import read_facts
from infra.launch import ChildFailed
from infra.log import LOGGER
from infra.pieces import BuiltPiece, Count
from infra.record_file import read_record, sealed
from infra.step import MANIFEST, Step
from infra.store import Store
from tasks.context import Order
from tasks.ingest.task import RETRIES, read_studies
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import step_task
from tests.facts_world import house

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
STEP = Step("images", "open_i", {"px": 1}, {}, 1, ("infra.errors",))
RECIPE = ('sources.routes={chexpert=["synthesize"]}', "images.short_side_px=64", "sources.pieces=3")


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw("chexpert", tmp_path_factory.mktemp("states") / "raw", 12)


def order(raw: Path, data: Path, **fields: Any) -> Order:
    return Order(data_root=str(data), sources=(f"chexpert={raw}",), overrides=RECIPE, **fields)


def asked(what: str, **wanted: Any) -> list[dict[str, Any]]:
    """What the server's API lists of a kind."""
    url = get_current_settings().api.url
    answer = httpx.post(f"{url}/{what}/filter", json={"limit": 200, **wanted}, timeout=60)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def task_states(parent: str, *names: str) -> dict[str, tuple[str, int]]:
    """State and number of tries by name of a flow's task runs, once all of these have ended.

    The server learns of task runs by events, a little later than they end.
    """
    deadline = time.monotonic() + 20
    while True:
        runs = asked("task_runs", flow_runs={"id": {"any_": [parent]}})
        ended = {
            run["name"]: (run["state_name"], run["run_count"]) for run in runs if run["end_time"]
        }
        if set(names) <= set(ended):
            return ended
        assert time.monotonic() < deadline, f"ended are {ended}"
        time.sleep(0.1)


def flow_runs(**wanted: Any) -> list[dict[str, Any]]:
    """Flow runs in the order in which they started."""
    return asked("flow_runs", flow_runs=wanted, sort="START_TIME_ASC")


def artifacts(**wanted: Any) -> list[dict[str, Any]]:
    return asked("artifacts", artifacts=wanted)


def built(store: Store) -> Any:
    def write(key: str, folder: Path) -> BuiltPiece:
        (folder / "rows").write_text(key)
        return BuiltPiece((Count("images", 3, 1, {"not-frontal": 2}),))

    return build_artifact(store, STEP, lambda: {"p0000": "a"}, write)


def test_a_built_step_and_a_cached_one_have_their_own_states(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"), tmp_path / "state")

    @task(cache_policy=NO_CACHE)
    def work() -> StepReport:
        return report_state(built(store))

    @flow
    def both() -> list[Any]:
        return [work(return_state=True), work(return_state=True)]

    first, second = both()
    assert (first.name, second.name) == ("Completed", "Cached")
    assert first.message == f"{STEP.folder}: never built"
    assert second.message == STEP.folder
    assert (first.result().built, first.result().cached) == (1, False)
    assert (second.result().built, second.result().cached) == (0, True)
    assert second.result().counts == (("images", 3, 1),)
    table = artifacts(key={"any_": ["images-open-i"]})
    assert len(table) == 1, "a cached step shows no second table"
    assert '"rejected": "not-frontal 2"' in str(table[0]["data"])
    assert table[0]["description"] == STEP.folder


def test_building_emits_an_event(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"), tmp_path / "state")

    @flow
    def one() -> None:
        report_state(built(store))
        report_state(built(store))

    sent: list[Any] = []
    worker = EventsWorker.instance()
    original = worker.send
    worker.send = lambda event: (sent.append(event), original(event))[1]  # type: ignore[method-assign]
    try:
        one()
    finally:
        worker.send = original  # type: ignore[method-assign]
    ours = [event for event in sent if event.event == "cxrflow.artifact.built"]
    assert len(ours) == 1
    assert ours[0].resource.id == f"cxrflow.{STEP.folder}"
    assert ours[0].resource["cxrflow.kind"] == "images"
    assert ours[0].payload["reason"] == "never built"
    assert ours[0].payload["pieces"] == 1


def test_drifted_code_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "data"), tmp_path / "state")
    built(store)
    manifest = read_record(store, f"{STEP.folder}/{MANIFEST}")
    assert manifest is not None
    manifest["code"]["digests"]["infra.errors"] = "0"
    store.overwrite(f"{STEP.folder}/{MANIFEST}", sealed(manifest))

    @flow
    def one() -> None:
        report_state(built(store))

    monkeypatch.setattr(LOGGER, "propagate", True)
    with caplog.at_level(logging.WARNING, "cxrflow"):
        one()
    assert f"{STEP.folder} is reused, but its code has changed since: infra.errors" in caplog.text


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (InputError("a", "b", "c"), 1),
        (SettingsError("a", "b", "c"), 1),
        (LanguageModelError("no answer"), 1),
        (ChildFailed("models.train", 1, "diverged"), 1),
        (AssertionError("counts"), 1),
        (OSError("stale file handle"), 3),
        (ConnectionError("reset"), 3),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_only_what_may_pass_by_itself_is_tried_again(error: Exception, tries: int) -> None:
    made = 0

    @step_task("tried", tags=set(), timeout=None, retries=RETRIES)
    def work() -> None:
        nonlocal made
        made += 1
        raise error

    @flow
    def one() -> None:
        work()

    with pytest.raises(type(error)):
        one()
    assert made == tries


def test_progress_goes_forward_and_ends_at_100() -> None:
    @flow
    def one() -> None:
        progress = Progress("a stage that is watched")
        for done, total in ((0, 4), (1, 4), (1, 4), (4, 4), (4, 4)):
            progress(done, total)
        Progress("nothing to do")(0, 0)
        child = Progress("a child that tells")
        for event in ({"event": "started"}, {"event": "progress", "step": 3, "steps": 4}):
            child.follow(event)

    one()
    expected = {
        "a stage that is watched": 100.0,
        "nothing to do": 100.0,
        "a child that tells": 75.0,
    }
    shown = {item["description"]: item["data"] for item in artifacts(type={"any_": ["progress"]})}
    assert shown == {**shown, **expected}


def test_ingest_runs_and_then_is_cached(raw: Path, tmp_path: Path) -> None:
    first = ingest(order(raw, tmp_path / "data"))
    assert [report.key for report in first] == ["studies/chexpert", "images/chexpert"]
    assert all(report.built == 3 for report in first)
    second = ingest(order(raw, tmp_path / "data"))
    assert all(report.cached for report in second)
    assert [report.folder for report in second] == [report.folder for report in first]
    names = ("studies of chexpert", "images of chexpert")
    runs = flow_runs()[-2:]
    for run, state in zip(runs, ("Completed", "Cached"), strict=True):
        assert task_states(run["id"], *names) == dict.fromkeys(names, (state, 1))
    told = read_facts(house(tmp_path / "data"), "runs")
    assert [(row["run_id"], row["flow"], row["why"]) for row in told] == [
        (runs[0]["id"], "ingest", "built 2 of 2 steps"),
        (runs[1]["id"], "ingest", "built 0 of 2 steps"),
    ]


def test_bad_input_fails_the_flow_with_its_own_error_once(raw: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    (folder / "CheXpert-v1.0-small").mkdir(parents=True)
    (folder / "CheXpert-v1.0-small" / "train.csv").write_text("no,such,columns\n1,2,3\n")
    with pytest.raises(InputError, match=r"^found "):
        ingest(order(folder, tmp_path / "data"))
    run = flow_runs()[-1]
    assert run["state_name"] == "Failed"
    found = task_states(run["id"], "studies of chexpert")
    assert found["studies of chexpert"] == ("Failed", 1)
    assert read_studies.retries == RETRIES
    [told] = read_facts(house(tmp_path / "data"), "runs")
    assert (told["run_id"], told["state"]) == (run["id"], "failed")
    assert told["why"] == "SourceError in studies/chexpert"


@pytest.mark.slow
def test_the_pipeline_runs_its_sub_flows_in_order_up_to_the_goal(raw: Path, tmp_path: Path) -> None:
    reports = pipeline(order(raw, tmp_path / "data"), "examples")
    assert [report.key for report in reports] == [
        "studies/chexpert",
        "images/chexpert",
        "reports/chexpert",
        "examples/llava_rad",
    ]
    (parent,) = flow_runs(name={"any_": ["llava_rad tiny to examples"]})
    children = flow_runs(parent_flow_run_id={"any_": [parent["id"]]})
    assert [run["state_name"] for run in children] == ["Completed"] * 3
    pipeline_ids = {run["parameters"]["order"]["pipeline_id"] for run in children}
    assert pipeline_ids == {parent["id"]}
    [told] = read_facts(house(tmp_path / "data"), "runs")
    assert (told["run_id"], told["flow"], told["goal"]) == (parent["id"], "pipeline", "examples")
    assert (told["steps"], told["built"]) == (4, 4)
    assert not (tmp_path / "data" / ".state" / "mlflow").exists(), "nothing was trained"
    again = pipeline(order(raw, tmp_path / "data"), "reports")
    assert [report.cached for report in again] == [True] * 3


def test_a_model_that_cannot_be_asked_stops_the_pipeline_before_it_reads(
    raw: Path, tmp_path: Path
) -> None:
    judged = (*RECIPE, 'score.judges=["gpt-4"]')
    changed = order(raw, tmp_path / "data").model_copy(update={"overrides": judged})
    with pytest.raises(SettingsError, match="found model 'gpt-4' without an endpoint"):
        pipeline(changed, "evaluate")
    assert {path.parent.name for path in (tmp_path / "data").glob("*/*")} == {"facts", ".state"}


def test_goals_are_the_sub_flows() -> None:
    assert list(SUB_FLOWS) == ["ingest", "reports", "examples", "train", "evaluate", "register"]
    assert [item.name for item in SUB_FLOWS.values()] == [
        "ingest",
        "write reports",
        "write examples",
        "train",
        "evaluate",
        "register",
    ]

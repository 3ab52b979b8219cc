"""MLflow's runs on SQLite: one experiment, a parent per pipeline, a nested run per stage."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.artifact import Artifact
from infra.facts.files import read_facts
from infra.pieces import Piece
from infra.settings.environment import load_environment
from infra.tracking import all_aliases
from infra.tracking_runs import (
    OWNER_TAG,
    PARENT_TAG,
    PIPELINE_TAG,
    RunBook,
    flatten,
    is_abandoned,
    metric_name,
    this_process,
)
from tasks.context import Context, Order, open_context
from tasks.monitor.alias_facts import observe_aliases
from tasks.monitor.plan import ASIDE
from tasks.monitor.tracked import log_step, run_book, tracked_pipeline, tracked_stage
from tasks.register.work import lineage_tags
from tests.facts_world import house

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own tables


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="module")
def book(place: Path) -> RunBook:
    """One database for all tests here: making its tables takes seconds."""
    return RunBook(f"sqlite:///{place / 'deep' / 'mlflow.db'}", "llava_rad", place / "artifacts")


def test_the_experiment_is_made_once(book: RunBook, place: Path) -> None:
    again = RunBook(book.uri, book.experiment, book.artifacts)
    assert again.experiment_id == book.experiment_id
    experiment = book.client.get_experiment(book.experiment_id)
    assert experiment.name == "llava_rad"
    assert experiment.artifact_location == (place / "artifacts").as_uri()


def test_a_pipeline_has_one_parent_run(book: RunBook) -> None:
    first = book.pipeline_run("0123456789", {"cxrflow.scale": "tiny"})
    assert book.pipeline_run("0123456789", {"cxrflow.scale": "tiny"}) == first
    assert book.pipeline_run("another", {}) != first
    tags = book.client.get_run(first).data.tags
    assert tags[PIPELINE_TAG] == "0123456789"
    assert tags["mlflow.runName"] == "pipeline 01234567"
    assert tags["cxrflow.scale"] == "tiny"


def test_an_ended_parent_is_found_again_and_shows_how_it_ended(book: RunBook) -> None:
    run_id = book.pipeline_run("ends", {})
    assert book.client.get_run(run_id).info.status == "RUNNING"
    book.end(run_id, "FAILED")
    assert book.client.get_run(run_id).info.status == "FAILED"
    assert book.pipeline_run("ends", {}) == run_id


def test_runs_that_a_killed_process_left_open_are_closed_by_the_next(book: RunBook) -> None:
    host = this_process().partition(":")[0]
    owners = {"killed": f"{host}:999999999:1", "living": this_process(), "away": "elsewhere:1:1"}
    runs = {name: book.pipeline_run(name, {}) for name in owners}
    for name, owner in owners.items():
        book.client.set_tag(runs[name], OWNER_TAG, owner)
    book.pipeline_run("the next", {})
    status = {name: book.client.get_run(run).info.status for name, run in runs.items()}
    assert status == {"killed": "KILLED", "living": "RUNNING", "away": "RUNNING"}


def test_a_pipeline_that_goes_on_closes_what_its_killed_process_left_open(book: RunBook) -> None:
    first = book.pipeline_run("one", {})
    stage = book.nested_run(first, "pretrain", {}, {})
    gone = f"{socket.gethostname()}:999999999:1"
    for run_id in (first, stage.run_id):
        book.client.set_tag(run_id, OWNER_TAG, gone)
    assert book.pipeline_run("one", {}) == first
    assert book.client.get_run(stage.run_id).info.status == "KILLED"
    assert book.client.get_run(first).info.status == "RUNNING"
    book.end(first, "FINISHED")


def test_a_process_number_that_was_given_away_again_is_no_owner() -> None:
    assert not is_abandoned({OWNER_TAG: this_process()})
    assert is_abandoned({OWNER_TAG: this_process().rpartition(":")[0] + ":1"})
    assert not is_abandoned({}), "a run of another tool is left alone"


def test_a_stage_is_a_nested_run_with_its_settings(book: RunBook) -> None:
    parent = book.pipeline_run("nested", {})
    settings = {"stage": {"steps": 3, "sources": None}, "note": "x" * 600}
    run = book.nested_run(parent, "align", settings, {"cxrflow.fingerprint": "ff"})
    stored = book.client.get_run(run.run_id)
    assert stored.data.tags[PARENT_TAG] == parent
    assert stored.data.tags["mlflow.runName"] == "align"
    assert stored.data.tags["cxrflow.fingerprint"] == "ff"
    assert stored.data.params == {
        "stage.steps": "3",
        "stage.sources": "None",
        "note": "x" * 500,
    }
    run.end("FINISHED")
    assert book.client.get_run(run.run_id).info.status == "FINISHED"


def test_metrics_are_logged_by_step_and_only_if_finite(book: RunBook) -> None:
    run = book.nested_run(book.pipeline_run("metrics", {}), "pretrain", {}, {})
    run.log_metrics({"loss": 2.5, "grad": float("nan"), "lr": float("inf")}, 1)
    run.log_metrics({"loss": 1.5, "BLEU-4[mimic_cxr]": 0.1}, 2)
    history = book.client.get_metric_history(run.run_id, "loss")
    assert [(item.step, item.value) for item in history] == [(1, 2.5), (2, 1.5)]
    assert set(book.client.get_run(run.run_id).data.metrics) == {"loss", "BLEU-4.mimic_cxr."}


def test_names_keep_what_mlflow_allows() -> None:
    assert metric_name("none/rule14-micro-F1") == "none/rule14-micro-F1"
    assert metric_name("chexprompt[offline-rules]: errors") == "chexprompt.offline-rules.. errors"


@given(st.text(min_size=1, max_size=20))
def test_a_name_keeps_its_length_and_is_stable(name: str) -> None:
    assert len(metric_name(name)) == len(name)
    assert metric_name(metric_name(name)) == metric_name(name)


def test_tables_become_dotted_keys() -> None:
    table = {"a": {"b": {"c": 1}, "d": [1, 2]}, "e": True, "f": {}}
    assert flatten(table) == {"a.b.c": "1", "a.d": "[1, 2]", "e": "True"}


@pytest.fixture
def context(book: RunBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A run that tracks in the same database."""
    monkeypatch.setenv("CXR_MLFLOW_URI", book.uri)
    order = Order(data_root=str(tmp_path / "data"), replicas=True, pipeline_id=tmp_path.name)
    return open_context(order)


def progress(step: int, **values: Any) -> dict[str, object]:
    return {"event": "progress", "stage": "align", "step": step, "steps": 9, **values}


def runs_of(book: RunBook, pipeline_id: str) -> dict[str, Any]:
    """The pipeline's parent and nested runs by name."""
    parent = book.pipeline_run(pipeline_id, {})
    nested = book.client.search_runs([book.experiment_id], f"tags.`{PARENT_TAG}` = '{parent}'")
    named = {run.data.tags["mlflow.runName"]: run for run in nested}
    return {"parent": book.client.get_run(parent), **named}


def test_a_stage_that_runs_is_logged_under_its_pipeline(book: RunBook, context: Context) -> None:
    with tracked_pipeline(context.order.pipeline_id), tracked_stage(context, "align") as log:
        log("align", {"event": "started", "stage": "align"})
        log("align", progress(1, loss=2.5, learning_rate=0.1))
        log("align", progress(2, loss=2.0, learning_rate=0.05))
        validated = {"event": "validated", "step": 2, "validate_loss": 2.25, "best_step": 2}
        log("align", {**validated, "stage": "align"})
        log("align", {"event": "done", "parameters": 7})
    found = runs_of(book, context.order.pipeline_id)
    assert set(found) == {"parent", "align"}
    assert found["parent"].info.status == found["align"].info.status == "FINISHED"
    expected = {"loss": 2.0, "learning_rate": 0.05, "validate_loss": 2.25}
    assert found["align"].data.metrics == expected
    assert found["align"].data.params["stage.kind"] == "align"
    tags = found["align"].data.tags
    assert tags["cxrflow.fingerprint"] == context.graph["stages/align"].fingerprint
    parent = found["parent"].data.tags
    assert parent["cxrflow.scale"] == "tiny"
    assert parent["cxrflow.replicas"].split(",")[0] == "mimic_cxr"
    history = book.client.get_metric_history(found["align"].info.run_id, "loss")
    assert [(item.step, item.value) for item in history] == [(1, 2.5), (2, 2.0)]


def test_steps_between_two_lines_are_logged_too(book: RunBook, context: Context) -> None:
    held = [(step, 1 / step) for step in range(1, 1502)]
    with tracked_pipeline(context.order.pipeline_id), tracked_stage(context, "align") as log:
        log("align", progress(1501, loss=held[-1][1], seconds_per_step=0.25, losses=held))
    run = runs_of(book, context.order.pipeline_id)["align"]
    history = book.client.get_metric_history(run.info.run_id, "loss")
    assert sorted((item.step, item.value) for item in history) == held
    [pace] = book.client.get_metric_history(run.info.run_id, "seconds_per_step")
    assert (pace.step, pace.value) == (1501, 0.25)


def test_the_final_pace_of_a_stage_is_logged_at_its_last_step(
    book: RunBook, context: Context
) -> None:
    pace = {"useful_tokens_per_second": 900.0, "mfu": None, "device": "CPU", "steps": 8}
    with tracked_pipeline(context.order.pipeline_id), tracked_stage(context, "align") as log:
        log("align", progress(8, useful_tokens_per_second=850.0))
        log("align", {"event": "done", "steps": 9, "throughput": pace})
    run = runs_of(book, context.order.pipeline_id)["align"]
    assert run.data.metrics == {"useful_tokens_per_second": 900.0}
    history = book.client.get_metric_history(run.info.run_id, "useful_tokens_per_second")
    assert [(item.step, item.value) for item in history] == [(8, 850.0), (9, 900.0)]


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_a_stage_that_fails_is_shown_as_failed(
    book: RunBook, context: Context, error: type[BaseException], status: str
) -> None:
    with (
        pytest.raises(error),
        tracked_pipeline(context.order.pipeline_id),
        tracked_stage(context, "align") as log,
    ):
        log("align", progress(1, loss=2.5))
        raise error
    found = runs_of(book, context.order.pipeline_id)
    assert found["parent"].info.status == found["align"].info.status == status


def test_a_cached_stage_leaves_no_run(book: RunBook, context: Context) -> None:
    before = len(book.client.search_runs([book.experiment_id]))
    with tracked_pipeline(context.order.pipeline_id), tracked_stage(context, "align") as log:
        pass
    assert log.run is None
    assert len(book.client.search_runs([book.experiment_id])) == before


def test_lineage_names_every_fingerprint_behind_the_model(context: Context) -> None:
    tags = lineage_tags(context)
    steps = {
        f"cxrflow.{step.kind}.{step.name}": step
        for step in context.graph.steps.values()
        if step.kind not in ASIDE
    }
    own = {"cxrflow.git_commit", "cxrflow.scale"}
    assert set(tags) == {*steps, *own}, "all steps of a recipe end in its model"
    assert all(tags[name] == step.fingerprint for name, step in steps.items())
    assert list(tags) == sorted(tags)


def test_the_environment_decides_where_runs_are_kept(context: Context, book: RunBook) -> None:
    there = run_book(context)
    assert (there.uri, there.experiment, there.artifacts) == (book.uri, "llava_rad", None)


def test_pictures_are_uploaded_into_their_folder(book: RunBook, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(b"png")
    parent = book.pipeline_run("has pictures", {})
    run = book.nested_run(parent, "grounding", {}, {})
    run.log_files([tmp_path / "two.png"], "overlays")
    run.end("FINISHED")
    stored = book.client.list_artifacts(run.run_id, "overlays")
    assert [item.path for item in stored] == ["overlays/two.png"]


def test_a_step_leaves_its_settings_numbers_and_pictures(
    book: RunBook, context: Context, tmp_path: Path
) -> None:
    step = context.graph["grounding/llava_rad"]
    piece = Piece("all", "", "", (), facts={"tracked": {"grounding/energy": 0.25}})
    artifact = Artifact(context.store, step, (piece,), ("all",))
    (tmp_path / "overlay-1.png").write_bytes(b"png")
    with tracked_pipeline(context.order.pipeline_id):
        log_step(context, artifact, "grounding", [tmp_path / "overlay-1.png"])
    run = runs_of(book, context.order.pipeline_id)["grounding"]
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"grounding/energy": 0.25}
    assert run.data.params == {key: text[:500] for key, text in flatten(step.settings).items()}
    assert run.data.tags["cxrflow.fingerprint"] == step.fingerprint
    stored = book.client.list_artifacts(run.info.run_id, "overlays")
    assert [item.path for item in stored] == ["overlays/overlay-1.png"]


def test_a_look_at_aliases_makes_no_database(tmp_path: Path) -> None:
    assert observe_aliases(house(tmp_path), load_environment(data_root=str(tmp_path))) == 0
    assert not (tmp_path / ".state" / "mlflow").exists()


def test_moves_of_aliases_are_seen_once_each_with_the_scores_behind_them(
    book: RunBook, tmp_path: Path
) -> None:
    """The history that a registry does not keep."""
    store = house(tmp_path)
    environment = load_environment(data_root=str(tmp_path), mlflow_uri=book.uri)
    book.client.create_registered_model("gla")
    for scores in ("aaa", "bbb"):
        tags = {"cxrflow.scores.gla": scores, "cxrflow.scores.vqa": "c", "other": "x"}
        book.client.create_model_version("gla", str(tmp_path / "model"), tags=tags)
    book.client.set_registered_model_alias("gla", "champion", "1")
    book.client.set_registered_model_alias("gla", "candidate", "2")
    [one, two] = sorted(all_aliases(book.uri), key=lambda each: each.version)
    assert (one.model, one.alias, one.version) == ("gla", "champion", 1)
    assert (two.alias, two.tags["cxrflow.scores.gla"]) == ("candidate", "bbb")
    assert [observe_aliases(store, environment) for _ in range(2)] == [2, 0]
    book.client.set_registered_model_alias("gla", "champion", "2")
    book.client.delete_registered_model_alias("gla", "candidate")
    assert [observe_aliases(store, environment) for _ in range(2)] == [2, 0]
    history = {
        (row["alias"], row["previous"], row["version"], row["scores"])
        for row in read_facts(store, "aliases")
    }
    assert history == {
        ("champion", None, 1, "aaa,c"),
        ("candidate", None, 2, "bbb,c"),
        ("champion", 1, 2, "bbb,c"),
        ("candidate", 2, None, ""),
    }


def test_the_machine_is_measured_beside_a_stage(
    book: RunBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    run = book.nested_run(book.pipeline_run("measured", {}), "stage", {}, {})
    with run.machine_measured():
        deadline = time.monotonic() + 60
        while not _measured(book, run.run_id) and time.monotonic() < deadline:
            time.sleep(0.1)
    run.end("FINISHED")
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= (
        _measured(book, run.run_id)
    )


def _measured(book: RunBook, run_id: str) -> set[str]:
    return {name for name in book.client.get_run(run_id).data.metrics if "system/" in name}

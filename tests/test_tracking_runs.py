"""MLflow's runs on SQLite: one experiment, a parent per pipeline, a nested run per stage."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.tracking_runs import PARENT_TAG, PIPELINE_TAG, RunBook, flatten, metric_name

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

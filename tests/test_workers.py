"""Threads, processes, Dask and Ray do the same: equal bytes, equal errors, lost workers told."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import wait
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_world import look, payload, write_raw

from evaluation.families import FAMILIES, LABELS, known_family
from evaluation.parts import Parts
from infra.artifact import VOLATILE, Artifact, build_artifact
from infra.building import build_apart
from infra.errors import InputError, SettingsError, SourceError, WorkerLost
from infra.record_file import SEAL
from infra.settings.environment import load_environment
from infra.step import Step
from infra.store import Store
from infra.workers import Runner, Workers, close_workers, require_installed, workers_of
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tests.worker_jobs import build_late, build_or_die, kill_worker, own_process, refuse

SLOW_TO_START = [pytest.param("ray", marks=pytest.mark.slow)]
RUNNERS = ["threads", "processes", "dask", *SLOW_TO_START]
APART = ["processes", "dask", *SLOW_TO_START]
"""Those whose workers are processes of their own."""


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    close_workers()


def two(runner: Runner) -> Workers:
    return Workers(runner, 2)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("raw")
    return {name: write_raw(name, folder / name, 10) for name in ("chexpert", "vindr_cxr")}


def told(root: Path) -> dict[str, Any]:
    """All files of a data root by path: digests, and manifests without what may differ."""
    found: dict[str, Any] = {
        path: digest
        for path, digest in payload(root).items()
        if path.endswith((".parquet", ".txt")) and not path.startswith(".")
    }
    for path in sorted(root.glob("*/*/manifest.json")):
        record = json.loads(path.read_text())
        kept = {name: value for name, value in record.items() if name not in (*VOLATILE, SEAL)}
        found[path.relative_to(root).as_posix()] = kept
    assert len(found) > 4
    return found


@pytest.fixture(scope="module")
def by_threads(raw: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("threads")
    ingest(root, raw, two("threads"))
    return told(root)


def ingest(root: Path, raw: dict[str, Path], workers: Workers) -> None:
    context = look(root, raw, "images.short_side_px=64")
    for name in raw:
        ingest_studies(context, name)
        assert ingest_images(context, name, workers).built


@pytest.mark.parametrize("runner", RUNNERS[1:])
def test_artifacts_are_equal_byte_for_byte(
    raw: dict[str, Path], by_threads: dict[str, Any], tmp_path: Path, runner: Runner
) -> None:
    ingest(tmp_path, raw, two(runner))
    assert told(tmp_path) == by_threads


PAIRS = [
    (f"The heart is {size}. There is no effusion. {n} devices.", f"Effusion {n}. Heart {size}.")
    for n, size in enumerate(["normal in size", "large", "of usual size"] * 9)
]


@pytest.mark.parametrize("runner", RUNNERS)
def test_counts_of_pairs_are_equal_whoever_counts(runner: Runner) -> None:
    references, predictions = [list(side) for side in zip(*PAIRS, strict=True)]
    parts = Parts(two(runner), pairs=4)
    for name in ("rule14", "bleu", "rouge"):
        here = known_family(name).count(references, predictions)
        family = known_family(name)
        there = family.of(references, predictions, None, parts=parts)
        assert there.tobytes() == here.tobytes()
        assert there.shape == (27, family.width)


class NoWorkers(Workers):
    """An executor that must not be asked."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a small count was sent away")


def test_few_pairs_are_counted_here() -> None:
    parts = Parts(NoWorkers("threads", 1))
    assert parts.count("bleu", ["a b"], ["a b"]).shape[0] == 1


def test_families_that_weigh_by_a_corpus_are_counted_here() -> None:
    name = next(name for name, each in FAMILIES.items() if each.reads_all_references)
    family, parts = FAMILIES[name], Parts(NoWorkers("threads", 1), pairs=1)
    counts = family.of(["a b", "c d"], ["a b", "c e"], None, parts=parts)
    assert np.array_equal(counts, family.of(["a b", "c d"], ["a b", "c e"], None))
    assert known_family(LABELS.name) is LABELS


@pytest.mark.parametrize("runner", RUNNERS)
def test_an_error_of_the_work_comes_back_as_it_was(runner: Runner) -> None:
    with pytest.raises(SourceError) as caught:
        two(runner).submit(refuse).result()
    assert type(caught.value) is SourceError
    assert str(caught.value) == "found a red film; expected a grey one; look at it"


@pytest.mark.parametrize("runner", APART)
def test_a_lost_worker_is_told_and_the_next_piece_finds_another(runner: Runner) -> None:
    workers = two(runner)
    before = workers.submit(own_process).result()
    with pytest.raises(
        WorkerLost, match=rf"^a worker of {runner} was lost at its piece: "
    ) as caught:
        workers.submit(kill_worker).result()
    assert "\n" not in str(caught.value)
    assert two(runner).submit(own_process).result() not in (before, os.getpid())


@pytest.mark.parametrize("runner", RUNNERS)
def test_what_waits_can_be_cancelled(runner: Runner) -> None:
    futures = [two(runner).submit(own_process) for _ in range(40)]
    for future in futures:
        future.cancel()
    assert not wait(futures, timeout=60).not_done
    assert two(runner).submit(pow, 3, 2).result() == 9


def step(name: str = "late") -> Step:
    return Step("texts", name, {}, {}, 1, ("infra.pieces",))


def artifact(root: Path, build: Any, workers: Workers) -> Artifact:
    store = Store(str(root), root / ".state")
    return build_artifact(
        store, step(), lambda: dict.fromkeys("0123", "x"), build, executor=workers
    )


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_order_of_completion_leaves_no_trace(tmp_path: Path, runner: Runner) -> None:
    artifact(tmp_path / "one", build_late, Workers("threads", 1))
    artifact(tmp_path / "many", build_late, two(runner))
    assert told(tmp_path / "one") == told(tmp_path / "many")


@pytest.mark.parametrize("runner", APART)
def test_a_run_whose_worker_was_killed_completes_when_run_again(
    tmp_path: Path, runner: Runner
) -> None:
    """Dask and Ray begin the piece again by themselves; a pool of processes says so and ends."""
    root, marks = tmp_path / "data", tmp_path / "marks"
    marks.mkdir()
    build = partial(build_or_die, marks)
    if runner == "processes":
        with pytest.raises(WorkerLost, match="finished pieces are kept"):
            artifact(root, build, two(runner))
    done = artifact(root, build, two(runner))
    assert (marks / "died").exists()
    (tmp_path / "marks2").mkdir()
    (tmp_path / "marks2" / "died").touch()
    artifact(tmp_path / "plain", partial(build_or_die, tmp_path / "marks2"), two("threads"))
    assert told(root) == told(tmp_path / "plain")
    assert [piece.key for piece in done.pieces] == list("0123")
    assert list((root / ".scratch").iterdir()) == []


def test_a_worker_that_does_not_see_the_data_root_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"that does not see \S+/nowhere; expected all workers to"):
        build_apart(build_late, "3", tmp_path / "nowhere")


def test_a_piece_that_was_done_twice_is_the_first_ones(tmp_path: Path) -> None:
    folder = tmp_path / "piece-0"
    folder.mkdir()
    assert build_apart(build_late, "3", folder) == build_apart(build_late, "3", folder)
    assert (folder / "text.txt").read_text() == "piece 3\n"
    assert len(list(tmp_path.iterdir())) == 2  # the second one's is scratch, removed with the rest


def test_the_setting_names_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_environment().runner == "processes"
    monkeypatch.setenv("CXR_RUNNER", "threads")
    monkeypatch.setenv("CXR_WORKERS", "3")
    assert workers_of(load_environment()).submit(own_process).result() == os.getpid()


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"CXR_RUNNER": "magic"},
            "found a bad value in CXR_RUNNER; expected 'threads', 'processes', 'dask' or 'ray'; "
            "correct or unset CXR_RUNNER",
        ),
        (
            {"CXR_RUNNER_ADDRESS": "tcp://127.0.0.1:8786"},
            "found CXR_RUNNER_ADDRESS beside CXR_RUNNER=processes; expected it beside dask or ray "
            "alone; unset it, or set CXR_RUNNER",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], line: str
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_environment()
    assert str(caught.value) == line


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_runner_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, runner: Runner
) -> None:
    monkeypatch.setattr("infra.workers.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"pip install 'cxrflow\[{runner}\]', or take threads"):
        require_installed(runner)


def test_a_scheduler_that_nobody_runs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.clusters.CONNECT_SECONDS", 1)
    address = "tcp://127.0.0.1:9"
    with pytest.raises(InputError, match=rf"^found nobody of dask at {address} \("):
        Workers("dask", 2, address).submit(own_process)


def test_a_dask_cluster_that_is_there_is_used(raw: dict[str, Path], tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        workers = Workers("dask", 1, cluster.scheduler_address)
        assert workers.submit(own_process).result() in [
            nanny.pid for nanny in cluster.workers.values()
        ]
        close_workers()

"""The doctor finds what is damaged, removes what killed runs left, and touches nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_llm_compaction import fill, names

from evaluation.metric_cache import MetricCache
from infra.artifact import Artifact, build_artifact
from infra.llm.archive import ARCHIVE_FOLDER
from infra.llm.cache import AnswerCache
from infra.llm.compaction import compact
from infra.pieces import BuiltPiece
from infra.settings.environment import load_environment
from infra.step import MANIFEST, Step
from infra.store import SCRATCH, Store
from tasks.monitor.doctor import Finding, examine

PLAN = {"p0000": "a", "p0001": "b"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), tmp_path / "state")


def build(store: Store, name: str, kind: str = "images") -> Artifact:
    def write(key: str, folder: Path) -> BuiltPiece:
        (folder / "rows").write_text(f"rows of {key}")
        return BuiltPiece()

    step = Step(kind, name, {}, {}, 1, ("infra.egress",))
    return build_artifact(store, step, lambda: PLAN, write)


def examined(store: Store, **fields: Any) -> dict[str, Finding]:
    environment = load_environment(data_root=store.root, state_dir=store.state, **fields)
    return {finding.what: finding for finding in examine(store, environment)}


def test_every_kind_of_trouble_is_told_apart(store: Store) -> None:
    whole, flipped = build(store, "openi"), build(store, "brax")
    lost, unfinished = build(store, "padchest", "studies"), build(store, "vindr_cxr")
    path = flipped.files("rows")[1]
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    Path(store.path(f"{lost.folder}/{MANIFEST}")).write_text("{")
    Path(store.path(f"{unfinished.folder}/{MANIFEST}")).unlink()
    found = examined(store)
    assert whole.folder not in found
    assert found[flipped.folder] == Finding(
        flipped.folder, "wrong", "damaged p0001; the next run rebuilds it"
    )
    assert found[lost.folder] == Finding(
        lost.folder, "wrong", "damaged manifest; the next run mends it"
    )
    assert found[unfinished.folder] == Finding(
        unfinished.folder, "unavailable", "unfinished; the next run goes on from its pieces"
    )
    assert found["artifacts"] == Finding("artifacts", "fine", f"1 whole under {store.root}")


def test_other_files_under_the_root_are_nobodys_business(store: Store) -> None:
    """A data root may hold raw data, notes, or what a file manager leaves."""
    build(store, "openi")
    root = Path(store.root)
    (root / "notes.txt").write_text("mine")
    (root / "raw" / "openi").mkdir(parents=True)
    (root / "images" / ".DS_Store").write_text("")
    found = examined(store)
    assert {name for name in found if "/" in name} == set()
    assert found["artifacts"].detail == f"1 whole under {store.root}"


def test_scratch_of_dead_processes_is_removed_and_of_living_ones_kept(store: Store) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    scratch = Path(store.root) / SCRATCH
    host = os.uname().nodename
    abandoned = scratch / f"{host}-{dead.pid}-{'0' * 32}"
    (abandoned / "piece-0").mkdir(parents=True)
    (abandoned / "piece-0" / "rows").write_text("half")
    (scratch / f"{host}-{dead.pid}-{'1' * 32}").write_text("a file")
    ours = scratch / f"{host}-{os.getpid()}-{'2' * 32}"
    ours.mkdir()
    assert examined(store)["scratch"] == Finding(
        "scratch", "mended", "removed 2 left by killed runs"
    )
    assert list(scratch.iterdir()) == [ours]
    assert examined(store)["scratch"] == Finding("scratch", "fine", "none left by killed runs")


def test_packages_device_disk_and_endpoint_are_told(store: Store) -> None:
    found = examined(
        store,
        llm_base_url="https://user:hunter2@llm.example.org/v1",
        llm_guarantee="zero-retention",
        llm_api_key="sk-secret",
    )
    assert found["prefect"].state == "fine"
    assert found["torch"].detail.startswith("2.")
    assert found["GPU"].state in ("fine", "unavailable")
    assert found["free disk"].detail.endswith(f" GB at {store.root}")
    assert found["language model"].detail == (
        "https://user:***@llm.example.org/v1 with guarantee 'zero-retention'"
    )
    assert "hunter2" not in repr(found)
    assert "sk-secret" not in repr(found)


def test_without_an_endpoint_the_rules_answer(store: Store) -> None:
    assert examined(store)["language model"].detail == "the embedded offline server (rules)"


def test_a_remote_root_is_examined_too(tmp_path: Path) -> None:
    store = Store("memory://doctor/root", tmp_path / "state")
    artifact = build(store, "openi")
    store.fs.rm(store.path(f"{artifact.pieces[0].folder}/rows"))
    found = examined(store)
    assert found[artifact.folder].detail == "damaged p0000; the next run rebuilds it"
    assert found["free disk"].detail.endswith(f" GB at {tmp_path / 'state'}")


def test_damaged_answers_are_found_before_a_run_wants_them(store: Store) -> None:
    assert examined(store)["stored answers"].state == "fine"
    with closing(AnswerCache(store.state)) as cache:
        fill(cache, names(900))
        assert examined(store)["stored answers"].state == "fine"
        compact(cache)
        fill(cache, names(30, 900))
        compact(cache)
    first, second = sorted((store.state / ARCHIVE_FOLDER).iterdir())
    assert examined(store)["stored answers"].state == "fine"
    data = bytearray(second.read_bytes())
    data[200] ^= 1
    second.write_bytes(bytes(data))
    first.unlink()
    finding = examined(store)["stored answers"]
    assert finding.state == "wrong"
    assert finding.detail == (
        f"damaged {first.name}, {second.name}; restore them, or run 'cxr llm compact "
        "--forget-damaged'"
    )


@pytest.mark.slow
def test_damaged_counts_are_removed_and_said(store: Store) -> None:
    cache = MetricCache.in_state(store.state)
    build(store, "openi")
    assert examined(store)["metric cache"].state == "fine"
    texts = (["a"], ["b"])
    cache.counts("whole", "1", 1, texts, lambda one, other: np.ones((1, 1)))
    (cache.folder / "broken-1.sqlite").write_bytes(b"no database" * 500)
    assert examined(store)["metric cache"] == Finding(
        "metric cache", "mended", "removed damaged broken-1.sqlite"
    )
    assert [path.name for path in cache.files()] == ["whole-1.sqlite"]
    found = examined(store)["metric cache"]
    assert found.state == "fine"
    assert str(cache.folder) in found.detail

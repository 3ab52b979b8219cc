"""What a run with nothing to do reads: only what may have changed since it was last read."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import checked, pieces
from infra.artifact import Artifact, build_artifact, damaged_pieces
from infra.checked import CheckedPieces, checked_pieces, forget_checks
from infra.pieces import BuiltPiece
from infra.step import Step
from infra.store import Store

KEYS = ("p000", "p001")
LONG_AGO = time.time() - 3600
STEP = Step("images", "openi", {"px": 112}, {"raw": "77"}, 1, ("infra.egress",))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), tmp_path / "state")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the piece files whose bytes are compared."""
    found: list[str] = []
    read = pieces.file_digest

    def watched(path: Path) -> str:
        found.append(path.parent.name.partition("-")[0])
        return read(path)

    monkeypatch.setattr(pieces, "file_digest", watched)
    return found


def write(key: str, folder: Path) -> BuiltPiece:
    (folder / "rows.txt").write_text(f"rows of {key}")
    os.utime(folder / "rows.txt", (LONG_AGO, LONG_AGO))
    return BuiltPiece()


def build(store: Store, step: Step = STEP) -> Artifact:
    return build_artifact(store, step, lambda: dict.fromkeys(KEYS, "digest"), write)


def check(store: Store, artifact: Artifact) -> list[str]:
    with checked_pieces(store) as known:
        return damaged_pieces(artifact, known)


def settle(monkeypatch: pytest.MonkeyPatch, seconds: float = 60.0) -> None:
    """Let time pass."""
    now = time.time
    monkeypatch.setattr(checked.time, "time", lambda: now() + seconds)


def test_what_was_built_is_not_read_again(store: Store, reads: list[str]) -> None:
    build(store)
    reads.clear()
    assert build(store).cached
    assert reads == []


def test_what_was_read_is_not_read_again(
    store: Store, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = build(store)
    forget_checks(store, artifact.folder)
    settle(monkeypatch)
    reads.clear()
    assert check(store, artifact) == []
    assert reads == list(KEYS)
    assert check(store, artifact) == []
    assert build(store).cached
    assert reads == list(KEYS)


def test_a_file_that_may_still_change_unseen_is_read_again(store: Store, reads: list[str]) -> None:
    artifact = build(store)
    forget_checks(store, artifact.folder)
    reads.clear()
    for _ in range(2):
        assert check(store, artifact) == []
    assert reads == [*KEYS, *KEYS]


def test_times_of_whole_seconds_are_not_trusted_at_once(
    store: Store, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look = checked._look
    coarse: Any = lambda *told: (look(*told)[0], float(int(LONG_AGO)))  # type: ignore[index]  # noqa: E731
    monkeypatch.setattr(checked, "_look", coarse)
    artifact = build(store)
    reads.clear()
    assert check(store, artifact) == []
    assert reads == list(KEYS)


def _flip(path: Path) -> None:
    """Another byte, under the old time and in the same file: only the system's own time tells."""
    with path.open("r+b") as stream:
        stream.write(b"R")
    os.utime(path, (LONG_AGO, LONG_AGO))


def _swap(path: Path) -> None:
    """Another file of equal size and times in its place."""
    other = path.with_name("other")
    other.write_bytes(path.read_bytes().replace(b"r", b"R"))
    os.utime(other, (LONG_AGO, LONG_AGO))
    other.replace(path)


def _shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [_flip, _swap, _shorten, Path.unlink])
def test_whatever_happened_to_a_file_is_found(store: Store, damage: Callable[[Path], None]) -> None:
    artifact = build(store)
    time.sleep(0.05)  # longer than a tick of the system's clock
    damage(artifact.files("rows.txt")[1])
    assert check(store, artifact) == ["p001"]
    assert check(store, artifact) == ["p001"], "a damaged piece is never known as sound"
    mended = build(store)
    assert mended.built == ("p001",)
    assert mended.pieces == artifact.pieces


def test_everything_is_read_again_after_a_week(
    store: Store, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = build(store)
    settle(monkeypatch, checked.AGAIN_SECONDS + 60)
    reads.clear()
    assert check(store, artifact) == []
    assert reads == list(KEYS)
    assert check(store, artifact) == []
    assert reads == list(KEYS)


def test_a_clock_that_was_ahead_vouches_for_nothing(
    store: Store, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = build(store)
    settle(monkeypatch, -3600)
    reads.clear()
    assert check(store, artifact) == []
    assert reads == list(KEYS)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', "null", '{"a": ["b", "c"]}'])
def test_damaged_knowledge_costs_a_reading(store: Store, reads: list[str], text: str) -> None:
    artifact = build(store)
    [file] = (store.state / checked.FOLDER).rglob("*.json")
    file.write_text(text)
    reads.clear()
    assert check(store, artifact) == []
    assert reads == list(KEYS)


def test_two_roots_of_one_state_folder_know_nothing_of_each_other(
    store: Store, tmp_path: Path, reads: list[str]
) -> None:
    build(store)
    other = Store(str(tmp_path / "other"), store.state)
    artifact = build(other)
    artifact.files("rows.txt")[0].write_bytes(b"rows of p00O")
    assert check(other, artifact) == ["p000"]
    reads.clear()
    assert build(store).cached
    assert reads == []


def test_a_plan_keeps_nothing(store: Store) -> None:
    artifact = build(store)
    forget_checks(store, artifact.folder)
    assert damaged_pieces(artifact) == []
    assert list((store.state / checked.FOLDER).rglob("*.json")) == []


def test_pieces_of_a_sibling_are_not_read_for_a_change_elsewhere(
    store: Store, reads: list[str]
) -> None:
    build(store)
    edited = Step("images", "openi", {"px": 112}, {"raw": "78"}, 1, ("infra.egress",))
    reads.clear()
    plan = {"p000": "digest", "p001": "another"}
    after = build_artifact(store, edited, lambda: plan, write)
    assert after.built == ("p001",)
    assert "p000" not in reads


def test_an_object_store_is_asked_once_for_an_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = Store(f"memory://{uuid.uuid4().hex}", tmp_path / "state")
    artifact = build(remote)
    asked: list[str] = []
    find = remote.fs.find

    def watched(path: str, **options: Any) -> Any:
        asked.append(path)
        return find(path, **options)

    monkeypatch.setattr(remote.fs, "find", watched)
    with monkeypatch.context() as patched:
        patched.setattr(remote.fs, "info", pytest.fail)
        assert damaged_pieces(artifact, CheckedPieces(remote)) == []
    assert len(asked) == 1
    remote.remove(artifact.pieces[1].folder)
    assert damaged_pieces(artifact) == ["p001"]

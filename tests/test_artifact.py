"""Artifacts are whole or absent, shared, checked, and rebuilt piece by piece."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.artifact import Artifact, build_artifact, damaged_pieces, read_artifact
from infra.errors import ArtifactError, InputError
from infra.pieces import BuiltPiece, Count, add_counts
from infra.record_file import read_record
from infra.step import Step, why_absent
from infra.store import Store

PLAN = {"p000": "a", "p001": "b", "p002": "c"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), tmp_path / "state")


def step_of(revision: int = 1, **settings: object) -> Step:
    return Step(
        "images", "openi", settings or {"px": 112}, {"raw": "77"}, revision, ("infra.egress",)
    )


def write_piece(key: str, folder: Path) -> BuiltPiece:
    (folder / "rows.txt").write_text(f"rows of {key}")
    return BuiltPiece((Count("images", 3, 2, {"truncated": 1}),), {"key": key})


class Counting:
    """A builder that remembers which pieces it was asked for."""

    def __init__(self, text: str = "") -> None:
        self.keys: list[str] = []
        self.text = text

    def __call__(self, key: str, folder: Path) -> BuiltPiece:
        self.keys.append(key)
        (folder / "rows.txt").write_text(f"rows of {key}{self.text}")
        return BuiltPiece()


def build(store: Store, step: Step, builder: Callable[[str, Path], BuiltPiece]) -> Artifact:
    return build_artifact(store, step, lambda: PLAN, builder)


def test_second_build_is_cached_and_never_plans(store: Store) -> None:
    first = build(store, step_of(), write_piece)
    assert first.built == ("p000", "p001", "p002")
    assert first.reason == "never built"

    def no_plan() -> dict[str, str]:
        raise AssertionError("a cached artifact is not planned")

    second = build_artifact(store, step_of(), no_plan, write_piece)
    assert second.cached
    assert second.pieces == first.pieces
    assert [path.read_text() for path in second.files("rows.txt")] == [
        "rows of p000",
        "rows of p001",
        "rows of p002",
    ]


def test_counts_are_summed_by_unit_and_reason(store: Store) -> None:
    artifact = build(store, step_of(), write_piece)
    assert artifact.counts == (Count("images", 9, 6, {"truncated": 3}),)
    both = add_counts([Count("a", 2, 1, {"x": 1}), Count("b", 1, 1), Count("a", 3, 1, {"y": 2})])
    assert both == (Count("a", 5, 2, {"x": 1, "y": 2}), Count("b", 1, 1))


def test_counts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(AssertionError, match="images: 3 in, 1 kept, 1 rejected"):
        Count("images", 3, 1, {"truncated": 1})


@pytest.mark.parametrize("damage", ["flip", "delete", "truncate", "folder"])
def test_only_the_damaged_piece_is_rebuilt(store: Store, damage: str) -> None:
    before = build(store, step_of(), Counting())
    victim = before.files("rows.txt")[1]
    if damage == "flip":
        text = bytearray(victim.read_bytes())
        text[3] ^= 1
        victim.write_bytes(bytes(text))
    elif damage == "delete":
        victim.unlink()
    elif damage == "truncate":
        victim.write_bytes(victim.read_bytes()[:-1])
    else:
        victim.unlink()
        victim.parent.rmdir()
    assert damaged_pieces(before) == ["p001"]
    builder = Counting()
    after = build(store, step_of(), builder)
    assert builder.keys == ["p001"]
    assert after.reason == "damaged: p001"
    assert after.pieces == before.pieces
    assert build(store, step_of(), builder).cached


def test_a_flipped_byte_in_the_manifest_is_mended_without_building(store: Store) -> None:
    before = build(store, step_of(), Counting())
    manifest = Path(store.path(f"{step_of().folder}/manifest.json"))
    manifest.write_text(manifest.read_text().replace('"bytes": 12', '"bytes": 13', 1))
    assert read_artifact(store, step_of()) is None
    builder = Counting()
    after = build(store, step_of(), builder)
    assert builder.keys == []
    assert after.reason == "damaged manifest"
    assert after.pieces == before.pieces


def test_an_edited_input_rebuilds_one_piece_and_refers_to_the_rest(store: Store) -> None:
    old = build(store, step_of(), Counting())
    edited = Step("images", "openi", {"px": 112}, {"raw": "78"}, 1, ("infra.egress",))
    assert why_absent(store, edited) == "input raw changed"
    builder = Counting(" edited")
    new = build_artifact(store, edited, lambda: {**PLAN, "p001": "B"}, builder)
    assert builder.keys == ["p001"]
    assert new.pieces[0].folder == old.pieces[0].folder
    assert new.pieces[1].folder.startswith(edited.folder)
    assert new.files("rows.txt")[1].read_text() == "rows of p001 edited"


def test_another_setting_or_revision_shares_nothing(store: Store) -> None:
    build(store, step_of(), Counting())
    for step in (step_of(px=224), step_of(revision=2)):
        builder = Counting()
        build(store, step, builder)
        assert builder.keys == list(PLAN)
    assert why_absent(store, step_of(px=64)) in (
        "px 112 became 64; code revision 2 became 1",
        "px 224 became 64",
        "px 112 became 64",
    )


def test_a_failing_piece_leaves_the_finished_ones_for_the_next_try(store: Store) -> None:
    def fail_at_last(key: str, folder: Path) -> BuiltPiece:
        if key == "p002":
            raise ValueError("no luck")
        return write_piece(key, folder)

    with pytest.raises(ValueError, match="no luck"):
        build(store, step_of(), fail_at_last)
    assert read_artifact(store, step_of()) is None
    builder = Counting()
    build(store, step_of(), builder)
    assert builder.keys == ["p002"]
    assert store.abandoned_scratch() == []


def test_an_executor_gives_the_same_pieces(store: Store, tmp_path: Path) -> None:
    alone = build(store, step_of(), write_piece)
    other = Store(str(tmp_path / "other"), tmp_path / "state2")
    with ThreadPoolExecutor(2) as pool:
        together = build_artifact(other, step_of(), lambda: PLAN, write_piece, executor=pool)
    assert together.pieces == alone.pieces


def test_a_piece_that_writes_nothing_is_an_error(store: Store) -> None:
    def nothing(key: str, folder: Path) -> BuiltPiece:
        return BuiltPiece()

    with pytest.raises(ArtifactError, match="piece p000 wrote no file"):
        build(store, step_of(), nothing)


def test_drifted_code_is_named_on_a_hit(store: Store) -> None:
    build(store, step_of(), write_piece)
    place = f"{step_of().folder}/manifest.json"
    manifest = read_record(store, place)
    assert manifest is not None
    manifest["code"]["digests"]["infra.errors"] = "0" * 16
    from infra.record_file import sealed

    store.overwrite(place, sealed(manifest))
    assert build(store, step_of(), write_piece).drift == ("infra.errors",)


def test_a_setting_json_cannot_hold_is_an_error() -> None:
    with pytest.raises(TypeError):
        _ = Step("k", "n", {"path": Path("/x")}, {}, 1, ("infra.egress",)).fingerprint
    with pytest.raises(ValueError, match="not JSON compliant"):
        _ = Step("k", "n", {"rate": float("nan")}, {}, 1, ("infra.egress",)).fingerprint


def _slow_build(root: Path, log: Path) -> None:
    def slow(key: str, folder: Path) -> BuiltPiece:
        with log.open("a") as stream:
            stream.write(f"{key}\n")
        time.sleep(0.15)
        return write_piece(key, folder)

    build(Store(str(root / "data"), root / "state"), step_of(), slow)


def test_two_runs_at_once_build_each_piece_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    runs = [context.Process(target=_slow_build, args=(tmp_path, log)) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
        assert run.exitcode == 0
    assert sorted(log.read_text().split()) == list(PLAN)


def test_a_killed_run_keeps_its_pieces_and_its_scratch_is_known(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = multiprocessing.get_context("fork").Process(target=_slow_build, args=(tmp_path, log))
    run.start()
    while not log.exists() or log.read_text().count("\n") < 2:
        time.sleep(0.01)
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    run.join()
    store = Store(str(tmp_path / "data"), tmp_path / "state")
    assert len(store.abandoned_scratch()) == 1
    builder = Counting()
    artifact = build(store, step_of(), builder)
    assert "p000" not in builder.keys
    assert damaged_pieces(artifact) == []


def test_a_read_only_root_is_one_clear_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    store = Store(str(tmp_path / "data"), tmp_path / "state")
    error = OSError(28, "No space left on device")

    def full(key: str, folder: Path) -> BuiltPiece:
        raise error

    with pytest.raises(InputError) as caught:
        build(store, step_of(), full)
    assert str(caught.value) == (
        f"found no space left at {store.root}; expected room for what is written; "
        "mend that and run again: finished pieces are kept"
    )
    assert caught.value.exit_code == 2


def test_manifest_says_what_made_it(store: Store) -> None:
    build(store, step_of(), write_piece)
    manifest = json.loads(Path(store.path(f"{step_of().folder}/manifest.json")).read_text())
    assert manifest["settings"] == {"px": 112}
    assert manifest["inputs"] == {"raw": "77"}
    assert manifest["counts"] == [
        {"unit": "images", "rows_in": 9, "kept": 6, "rejected": {"truncated": 3}}
    ]
    assert set(manifest["code"]["digests"]) == {"infra.egress", "infra.errors"}


def test_a_remote_root_works_like_a_local_one(tmp_path: Path) -> None:
    store = Store("memory://bucket/root", tmp_path / "state")
    first = build(store, step_of(), Counting())
    assert build(store, step_of(), Counting()).cached
    assert first.files("rows.txt")[2].read_text() == "rows of p002"
    store.fs.rm(store.path(f"{first.pieces[0].folder}/rows.txt"))
    builder = Counting()
    assert build(store, step_of(), builder).pieces == first.pieces
    assert builder.keys == ["p000"]


def test_a_piece_that_says_nothing_of_its_input_is_built_again_for_other_inputs(
    store: Store,
) -> None:
    """A stage after an edited report: equal settings, other inputs."""
    builds: list[str] = []
    for raw in ("77", "78"):
        step = Step("stages", "align", {"steps": 3}, {"examples": raw}, 1, ("infra.egress",))
        builder = Counting(raw)
        artifact = build_artifact(store, step, lambda: {"model": ""}, builder)
        builds += builder.keys
        assert artifact.files("rows.txt")[0].read_text() == f"rows of model{raw}"
    assert builds == ["model", "model"]

"""What crashes and bad disks leave behind never ends up in a finished artifact."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from infra.artifact import Artifact, build_artifact, damaged_pieces, read_artifact
from infra.errors import ArtifactError, InputError
from infra.pieces import BuiltPiece
from infra.step import MANIFEST, Step
from infra.store import Store

STEP = Step("images", "openi", {"px": 112}, {"raw": "77"}, 1, ("infra.egress",))
PLAN = {"p0000": "a", "p0001": "b"}


def write(key: str, folder: Path) -> BuiltPiece:
    (folder / "deep").mkdir()
    (folder / "deep" / "rows").write_text(f"rows of {key}")
    return BuiltPiece()


def build(store: Store) -> Artifact:
    return build_artifact(store, STEP, lambda: PLAN, write)


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), tmp_path / "state")


@pytest.fixture
def remote(tmp_path: Path) -> Store:
    return Store(f"memory://{uuid.uuid4().hex}/root", tmp_path / "state")


def test_a_piece_damaged_before_the_manifest_is_not_taken_over(local: Store) -> None:
    """A power cut may leave a piece's folder and receipt with a file cut short."""
    first = build(local)
    Path(local.path(f"{STEP.folder}/{MANIFEST}")).unlink()
    first.files("deep/rows")[1].write_text("rows")
    again = build(local)
    assert again.built == ("p0001",)
    assert damaged_pieces(again) == []
    assert again.files("deep/rows")[1].read_text() == "rows of p0001"


def test_a_folder_without_receipt_is_not_trusted(local: Store) -> None:
    first = build(local)
    Path(local.path(f"{STEP.folder}/{MANIFEST}")).unlink()
    for receipt in Path(local.path(f"{STEP.folder}/.receipts")).iterdir():
        receipt.write_text("{")
    first.files("deep/rows")[0].write_text("planted!!!!!!")
    again = build(local)
    assert again.built == tuple(PLAN)
    assert again.pieces == first.pieces
    assert again.files("deep/rows")[0].read_text() == "rows of p0000"


def test_a_manifest_and_a_piece_damaged_at_once_are_both_mended(local: Store) -> None:
    first = build(local)
    Path(local.path(f"{STEP.folder}/{MANIFEST}")).write_text("{")
    first.files("deep/rows")[0].unlink()
    again = build(local)
    assert (again.built, again.reason) == (("p0000",), "damaged manifest")
    assert damaged_pieces(again) == []
    assert build(local).cached


def test_a_piece_that_vanished_from_a_remote_root_is_rebuilt_alone(remote: Store) -> None:
    first = build(remote)
    remote.fs.rm(remote.path(first.pieces[0].folder), recursive=True)
    again = build(remote)
    assert (again.built, again.reason) == (("p0000",), "damaged: p0000")
    assert again.pieces == first.pieces


def test_a_remote_folder_is_fetched_whole_and_checked(remote: Store) -> None:
    artifact = build(remote)
    folder = artifact.local_folder("p0001")
    assert (folder / "deep" / "rows").read_text() == "rows of p0001"
    (folder / "deep" / "rows").write_text("edited by hand")
    assert (artifact.local_folder("p0001") / "deep" / "rows").read_text() == "rows of p0001"
    remote.overwrite(f"{artifact.pieces[0].folder}/deep/rows", "rows of p000X")
    with pytest.raises(ArtifactError, match="differs from its manifest; remove it and run again"):
        artifact.local_folder("p0000")


def test_a_plan_that_may_not_read_its_input_is_one_line(local: Store) -> None:
    def plan() -> dict[str, str]:
        raise PermissionError(13, "Permission denied", "/raw/reports.csv")

    with pytest.raises(InputError, match=r"found no permission at /raw/reports\.csv; expected"):
        build_artifact(local, STEP, plan, write)
    assert read_artifact(local, STEP) is None


def test_nothing_to_build_is_an_artifact_too(local: Store) -> None:
    """A source whose every row was rejected has no piece; it must not be read again each time."""
    empty = build_artifact(local, STEP, dict, write)
    assert (empty.pieces, empty.built) == ((), (MANIFEST,))
    assert build_artifact(local, STEP, dict, write).cached


def test_progress_counts_what_was_there_already(local: Store) -> None:
    build(local)
    Path(local.path(f"{STEP.folder}/{MANIFEST}")).unlink()
    told: list[tuple[int, int]] = []
    plan = {**PLAN, "p0002": "c"}
    build_artifact(local, STEP, lambda: plan, write, on_piece=lambda *at: told.append(at))
    assert told == [(2, 3), (3, 3)]

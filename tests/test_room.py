"""Room on the disk is told before a run, by what absent artifacts took the last time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import fsspec
import pytest
from cli_world import Say
from raw_world import look, write_raw

from tasks.context import Order, open_context
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tasks.retention.room import Room, room_for


class Usage(NamedTuple):
    """As ``shutil.disk_usage`` tells it."""

    total: int
    used: int
    free: int


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw("chexpert", tmp_path_factory.mktemp("room") / "raw", 12)


def full(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(10**12, 10**12 - free, free))


def test_what_was_never_built_is_named(raw: Path, tmp_path: Path) -> None:
    room = room_for(look(tmp_path / "data", {"chexpert": raw}), "ingest")
    assert (room.wanted, room.unknown) == (0, ("studies/chexpert", "images/chexpert"))
    assert room.is_enough
    assert room.line is not None
    assert room.line.endswith(
        "how much this run writes cannot be told, for 2 steps were never built here: "
        "studies/chexpert, images/chexpert"
    )


def test_a_sibling_tells_how_much_will_be_written(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = look(tmp_path / "data", {"chexpert": raw})
    built = [ingest_studies(context, "chexpert"), ingest_images(context, "chexpert")]
    done = room_for(context, "ingest")
    assert (done.wanted, done.unknown, done.line) == (0, (), None)
    other = look(tmp_path / "data", {"chexpert": raw}, "images.short_side_px=144")
    size = sum(file.bytes for piece in built[1].pieces for file in piece.files)
    full(monkeypatch, size - 1)
    room = room_for(other, "ingest")
    assert (room.wanted, room.unknown, room.is_enough) == (size, (), False)
    full(monkeypatch, size)
    enough = room_for(other, "ingest")
    assert (enough.is_enough, enough.line) == (True, None)


def test_the_line_says_what_is_there_what_is_wanted_and_what_to_do() -> None:
    never = tuple(f"stages/{name}" for name in "abcdef")
    line = Room("/data", 1_200_000_000, 7_000_000_000, never).line
    assert line is not None
    assert "\n" not in line
    for told in (
        "1.2 GB at /data",
        "7.0 GB",
        "6 steps were never built here: stages/a, stages/b, stages/c, stages/d and 2 more",
        "'cxr gc --dry-run'",
    ):
        assert told in line


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    """A data root that is no local folder, in this process's memory."""
    yield f"memory://{tmp_path.name}"
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def test_of_an_object_store_the_line_says_that_its_room_is_unknown(
    raw: Path, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_STATE_DIR", str(tmp_path / "state"))
    order = Order(data_root=bucket, sources=(f"chexpert={raw}",))
    context = open_context(order)
    ingest_studies(context, "chexpert")
    room = room_for(context, "ingest")
    assert (room.free, room.unknown, room.is_enough) == (None, ("images/chexpert",), True)
    assert room.line == (
        f"free space of the object store {bucket} is unknown; how much this run writes cannot "
        "be told, for a step was never built here: images/chexpert"
    )


def test_a_dry_run_says_it_too(
    raw: Path, tmp_path: Path, cxr: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = look(tmp_path / "data", {"chexpert": raw})
    ingest_studies(context, "chexpert")
    ingest_images(context, "chexpert")
    full(monkeypatch, 7)
    arguments = ("ingest", "--dry-run", "--data-root", tmp_path / "data", "--source")
    chosen = (f"chexpert={raw}", "--set", "sources.pieces=4", "--set", "images.short_side_px=144")
    said = cxr(*arguments, *chosen)
    assert said.code == 0
    assert said.err.count("free disk is 0.0 GB") == 1
    said = cxr(*arguments, *chosen[:3])
    assert "free disk" not in said.err, "all that is asked for is there"

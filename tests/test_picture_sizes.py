"""Sizes of images with boxes, from the heads of plain and zipped files."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image

from sources.picture_sizes import HEAD_BYTES, size_boxed_images
from sources.raw_files import RawFileError, RawFolder
from sources.record import Box, Reading, Study, View, rejected_to_table, studies_to_table
from sources.record import Image as Film


def encoded(kind: str, width: int = 40, height: int = 30, comment: int = 0) -> bytes:
    stream = BytesIO()
    options = {"comment": b"c" * comment} if kind == "JPEG" and comment else {}
    Image.new("L", (width, height)).save(stream, kind, **options)
    return stream.getvalue()


def film(uri: str) -> Film:
    return Film(uri, View.PA, uri)


def read_sizes(root: Path, *uris: str, boxed: bool = True) -> list[tuple[int | None, int | None]]:
    boxes = tuple(Box(uri, "n", 1, 1, 2, 2) for uri in uris) if boxed else ()
    study = Study("nih_cxr14", "s", None, None, tuple(map(film, uris)), boxes=boxes)
    bare = replace(study, study_id="t", boxes=())
    reading = Reading(studies_to_table([study, bare]), rejected_to_table([]), 2, 2 * len(uris))
    sized = size_boxed_images(reading, root)
    assert sized.studies.schema.equals(reading.studies.schema)
    first, second = sized.studies.to_pylist()
    assert all(image["width"] is None for image in second["images"])
    without = [name for name in reading.studies.column_names if name != "images"]
    assert sized.studies.select(without).equals(reading.studies.select(without))
    return [(image["width"], image["height"]) for image in first["images"]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_plain_and_zipped_files(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.img").write_bytes(encoded(kind))
    with ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("in/b.img", encoded(kind, 7, 9))
    assert read_sizes(tmp_path, "a.img", "b.zip!in/b.img") == [(40, 30), (7, 9)]


def test_nothing_is_opened_where_there_are_no_boxes(tmp_path: Path) -> None:
    assert read_sizes(tmp_path, "absent.png", boxed=False) == [(None, None)]


def test_damaged_and_absent_files_have_no_size(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_bytes(b"no picture")
    (tmp_path / "cut.png").write_bytes(encoded("PNG")[:20])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "bad.zip").write_bytes(b"PK no zip")
    uris = ("text.png", "cut.png", "empty.png", "absent.png", "bad.zip!a.png", "../out.png")
    assert read_sizes(tmp_path, *uris) == [(None, None)] * len(uris)


def test_a_jpeg_tells_its_size_behind_a_long_comment(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG", comment=50_000))
    assert read_sizes(tmp_path, "a.jpg") == [(40, 30)]
    assert HEAD_BYTES > 50_000


def test_a_head_is_the_beginning_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(100)))
    with ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("a.bin", bytes(range(100)))
    with RawFolder(tmp_path) as folder:
        for uri in ("a.bin", "b.zip!a.bin"):
            assert folder.head(uri, 7) == bytes(range(7))
            assert folder.head(uri, 1000) == bytes(range(100))
        for uri, reason in (
            ("absent", "file-missing"),
            ("b.zip!absent", "member-missing"),
            ("../a.bin", "path-outside-root"),
        ):
            with pytest.raises(RawFileError) as caught:
                folder.head(uri, 7)
            assert caught.value.reason == reason

"""Where PadChest's images are found."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

from sources.padchest_files import BROKEN, MISSING, find_images


def touch(root: Path, *places: str) -> None:
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(b"png")


def rows(root: Path) -> list[tuple[str, str | None, str]]:
    table = find_images(root).images
    return [(row["name"], row["holder"], row["uri"]) for row in table.to_pylist()]


def test_nothing_is_found_in_an_empty_folder(tmp_path: Path) -> None:
    found = find_images(tmp_path)
    assert (found.images.num_rows, found.archives.num_rows) == (0, 0)
    assert found.images.column_names == ["name", "holder", "uri"]


def test_flat_numbered_and_below_images(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "7/b.png", "images/c.png", "images/8/d.png")
    assert rows(tmp_path) == [
        ("b.png", "7", "7/b.png"),
        ("a.png", None, "a.png"),
        ("d.png", "8", "images/8/d.png"),
        ("c.png", None, "images/c.png"),
    ]


def test_other_folders_and_files_are_left_alone(tmp_path: Path) -> None:
    touch(tmp_path, "other/a.png", "table.csv", "0/notes.txt", "readme.zip", "x7/b.png")
    assert rows(tmp_path) == []


def test_members_of_zips(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "12.zip", "w") as archive:
        archive.writestr("a.png", b"png")
        archive.writestr("12/b.png", b"png")
        archive.writestr("notes.txt", b"text")
    assert rows(tmp_path) == [
        ("a.png", "12", "12.zip!a.png"),
        ("b.png", "12", "12.zip!12/b.png"),
    ]


def test_a_broken_zip_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "1.zip").write_bytes(b"no zip")
    with ZipFile(tmp_path / "2.zip", "w") as archive:
        archive.writestr("a.png", b"png")
    found = find_images(tmp_path)
    assert found.archives.to_pylist() == [{"holder": "1", "fault": "not a readable zip: 1.zip"}]
    assert found.images.num_rows == 1


def test_the_publishers_lists() -> None:
    assert BROKEN.isdisjoint(MISSING)
    for name in BROKEN | MISSING:
        assert name.startswith("216840111366964")
        assert name.endswith(".png")
        assert len(name) == 60

"""Files that are not what their publisher's list tells: found, named, and read once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from raw_world import look, write_raw

from infra.artifact import Artifact
from infra.errors import SourceError
from sources.checksums import (
    CHECKED_FIRST,
    LISTS,
    check_first,
    checking_sums,
    published_sums,
)
from sources.raw_files import RawFileError, RawFolder
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import REJECTED_FILE, ingest_studies

TABLES = {"a.csv": b"id\n1\n", "deep/b.csv.gz": b"packed", "c.zip": b"zip"}


def write_list(root: Path, name: str = "SHA256SUMS.txt", between: str = " ") -> Path:
    """A list of every file of a root, as PhysioNet's have one space, and ``sha256sum`` two."""
    algorithm = LISTS[name]
    lines = [
        f"{hashlib.new(algorithm, path.read_bytes()).hexdigest()}{between}"
        f"{path.relative_to(root).as_posix()}\n"
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in LISTS
    ]
    (root / name).write_text("".join(lines))
    return root / name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "raw"
    for name, data in TABLES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "film.jpg").write_bytes(b"film")
    write_list(root)
    return root


def check(root: Path, read: list[tuple[int, int]] | None = None) -> int:
    reading = [] if read is None else read
    memory = root.parent / "memory" / "x.json"
    return check_first(root, published_sums(root), memory, lambda *told: reading.append(told))


@pytest.mark.parametrize("between", [" ", "  ", " *"])
@pytest.mark.parametrize("name", ["SHA256SUMS.txt", "MD5SUMS"])
def test_lists_are_read_as_their_programs_write_them(
    tmp_path: Path, name: str, between: str
) -> None:
    (tmp_path / "a b.csv").write_bytes(b"x")
    write_list(tmp_path, name, between)
    (found,) = published_sums(tmp_path).items()
    assert found[0] == "a b.csv"
    assert found[1].is_of(b"x")
    assert not found[1].is_of(b"y")
    assert found[1].told_by == name


def test_of_two_lists_sha256_counts(root: Path) -> None:
    write_list(root, "MD5SUMS")
    assert {one.algorithm for one in published_sums(root).values()} == {"sha256"}


@pytest.mark.parametrize("line", ["<!doctype html>", "abc  a.csv", "0" * 32 + "  a.csv", "0" * 64])
def test_a_line_that_is_no_checksum_is_named(root: Path, line: str) -> None:
    (root / "SHA256SUMS.txt").write_text(f"\n# a comment\n{line}\n")
    with pytest.raises(SourceError, match=r"line 3 of .*SHA256SUMS.txt; expected a checksum and"):
        published_sums(root)


def test_a_list_in_no_encoding_is_one_line(root: Path) -> None:
    (root / "SHA256SUMS.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match=r"cannot be read \(UnicodeDecodeError\)"):
        published_sums(root)


def test_without_a_list_nothing_is_read(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    assert check(tmp_path / "raw") == 0
    assert not (tmp_path / "memory").exists()


def test_tables_and_archives_are_read_once_and_again_when_they_change(root: Path) -> None:
    read: list[tuple[int, int]] = []
    size = sum(map(len, TABLES.values()))
    assert [check(root, read), check(root, read)] == [3, 3]
    assert read == [(3, size)]
    os.utime(root / "a.csv")
    check(root, read)
    assert read == [(3, size), (1, len(TABLES["a.csv"]))]
    (root / "c.zip").rename(root / "old")
    (root / "c.zip").write_bytes(TABLES["c.zip"])
    shutil.copystat(root / "old", root / "c.zip")  # another inode with the same size and time
    check(root, read)
    assert read[-1] == (1, len(TABLES["c.zip"]))


def test_a_table_that_differs_is_one_line_and_is_not_read_again_either(root: Path) -> None:
    (root / "a.csv").write_bytes(b"id\n2\n")
    (root / "c.zip").write_bytes(b"zap")
    read: list[tuple[int, int]] = []
    for _ in range(2):
        with pytest.raises(SourceError) as caught:
            check(root, read)
        assert str(caught.value) == (
            f"found {root / 'a.csv'} with another sha256 than SHA256SUMS.txt tells (and 1 more "
            "files); expected the publisher's bytes; download the file again, or set "
            "sources.checksums=false to read it as it is"
        )
    assert len(read) == 1


@pytest.mark.parametrize("damage", ["{", "[]", '{"a.csv": 5}', '{"a.csv": [1]}'])
def test_a_damaged_memory_is_as_good_as_none(root: Path, damage: str) -> None:
    check(root)
    (root.parent / "memory" / "x.json").write_text(damage)
    read: list[tuple[int, int]] = []
    assert check(root, read) == 3
    assert read[0][0] == 3


def test_a_new_list_is_held_against_what_was_found_before(root: Path) -> None:
    check(root)
    text = (root / "SHA256SUMS.txt").read_text()
    (root / "SHA256SUMS.txt").write_text(re.sub(r"^\w{64} a.csv", "0" * 64 + " a.csv", text))
    read: list[tuple[int, int]] = []
    with pytest.raises(SourceError, match=r"a.csv with another sha256"):
        check(root, read)
    assert read == []


def test_no_list_makes_anything_outside_be_opened(root: Path) -> None:
    outside = root.parent / "secret.csv"
    outside.write_bytes(b"secret")
    (root / "link.csv").symlink_to(outside)
    names = ("../secret.csv", str(outside), "link.csv", "gone.csv", "deep.csv/x.csv")
    (root / "deep.csv").mkdir()
    lines = "".join(f"{'0' * 64}  {name}\n" for name in names)
    (root / "SHA256SUMS.txt").write_text(lines)
    assert check(root) == 0


def test_a_film_is_held_against_its_sum_where_that_is_asked(root: Path) -> None:
    (root / "film.jpg").write_bytes(b"flim")
    with RawFolder(root) as folder:
        assert folder.read("film.jpg") == b"flim"
        assert folder.sums_digest(["film.jpg"]) == ""
    with checking_sums(True), RawFolder(root) as folder:
        with pytest.raises(RawFileError) as caught:
            folder.read("film.jpg")
        told = "checksum-mismatch: another sha256 than SHA256SUMS.txt tells: film.jpg"
        assert str(caught.value) == told
        assert folder.sums_digest(["film.jpg"])


def ingested(data: Path, raw: Path, *sets: str) -> tuple[Artifact, Artifact]:
    context = look(data, {"mimic_cxr": raw}, *sets)
    return ingest_studies(context, "mimic_cxr"), ingest_images(context, "mimic_cxr")


def rejected(artifact: Artifact) -> list[str]:
    """Levels of the rows that were rejected for their sums."""
    tables = map(pq.read_table, artifact.files(REJECTED_FILE))
    rows = [row for table in tables for row in table.to_pylist()]
    return [row["level"] for row in rows if row["reason"] == "checksum-mismatch"]


def test_a_source_with_damaged_files_is_ingested_without_them(tmp_path: Path) -> None:
    raw, data = write_raw("mimic_cxr", tmp_path / "raw", 8), tmp_path / "data"
    write_list(raw)
    studies, images = ingested(data, raw)
    assert rejected(studies) == rejected(images) == []
    film, report = sorted(raw.rglob("*.jpg"))[0], sorted(raw.glob("files/p*/p*/s*.txt"))[0]
    for path in (film, report):
        path.write_bytes(path.read_bytes() + b" ")
    studies, images = ingested(data, raw)
    assert rejected(images) == ["image"]
    assert len(images.built) == 1
    assert rejected(studies) == ["text"]
    unchecked = ingested(data, raw, "sources.checksums=false")
    assert rejected(unchecked[0]) == rejected(unchecked[1]) == []
    table = next(path for path in sorted(raw.iterdir()) if path.name.endswith(CHECKED_FIRST))
    table.write_bytes(table.read_bytes() + b"\n")
    with pytest.raises(SourceError, match="with another sha256 than SHA256SUMS"):
        ingested(data, raw)


def test_sums_that_are_checked_are_part_of_no_fingerprint(tmp_path: Path) -> None:
    """Where no list is, all stays as it was before lists were read."""
    raw = write_raw("mimic_cxr", tmp_path / "raw", 2)
    context = look(tmp_path / "data", {"mimic_cxr": raw})
    off = look(tmp_path / "data", {"mimic_cxr": raw}, "sources.checksums=false")
    assert "checksums" not in json.dumps(context.graph["studies/mimic_cxr"].settings)
    for kind in ("studies", "images"):
        assert off.graph[f"{kind}/mimic_cxr"].settings["checksums"] is False

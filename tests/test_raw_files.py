"""Published files are read in place, none outside the root is, and every failure has a reason."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from sources.raw_files import ABSENT, FileStat, RawFileError, RawFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A source with a plain file, a zip with folders, and a secret beside it."""
    place = tmp_path / "source"
    (place / "files" / "p10").mkdir(parents=True)
    (place / "files" / "p10" / "a.jpg").write_bytes(b"film a")
    (place / "files" / "empty.jpg").touch()
    with zipfile.ZipFile(place / "train.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/b.jpg", b"film b" * 100)
        archive.writestr("train/empty.jpg", b"")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return place


def refusal(root: Path, uri: str) -> str:
    with RawFolder(root) as folder, pytest.raises(RawFileError) as caught:
        folder.read(uri)
    return str(caught.value)


def test_files_and_members_are_read(root: Path) -> None:
    with RawFolder(root) as folder:
        assert folder.read("files/p10/a.jpg") == b"film a"
        assert folder.read("train.zip!train/b.jpg") == b"film b" * 100
        assert folder.read("train.zip!train/b.jpg") == b"film b" * 100


@pytest.mark.parametrize(
    ("uri", "line"),
    [
        ("files/none.jpg", "file-missing: no file at files/none.jpg"),
        ("files/p10", "file-missing: no file at files/p10"),
        ("files/p10/a.jpg/x", "file-missing: no file at files/p10/a.jpg/x"),
        ("none.zip!x", "file-missing: no file at none.zip"),
        ("files/empty.jpg", "file-empty: 0 bytes at files/empty.jpg"),
        ("train.zip!train/empty.jpg", "file-empty: 0 bytes at train.zip!train/empty.jpg"),
        ("train.zip!train/c.jpg", "member-missing: no member train/c.jpg in train.zip"),
        ("train.zip!../b.jpg", "member-missing: no member ../b.jpg in train.zip"),
        ("../secret.txt", "path-outside-root: not a relative path: '../secret.txt'"),
        ("files/../../secret.txt", "path-outside-root: not a relative path"),
        ("/etc/passwd", "path-outside-root: not a relative path: '/etc/passwd'"),
        ("", "path-outside-root: not a relative path: ''"),
        ("files\\p10\\a.jpg", "path-outside-root: not a relative path"),
        ("files/a\0.jpg", "path-outside-root: not a relative path"),
        ("../x.zip!a", "path-outside-root: not a relative path: '../x.zip'"),
    ],
)
def test_refused_with_this_line(root: Path, uri: str, line: str) -> None:
    assert refusal(root, uri).startswith(line)


def test_links_out_of_the_root_are_refused(root: Path, tmp_path: Path) -> None:
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "folder").symlink_to(tmp_path)
    (root / "inside.jpg").symlink_to(root / "files" / "p10" / "a.jpg")
    line = "path-outside-root: a link leads outside the root: "
    assert refusal(root, "link.txt") == line + "link.txt"
    assert refusal(root, "folder/secret.txt") == line + "folder/secret.txt"
    with RawFolder(root) as folder:
        assert folder.read("inside.jpg") == b"film a"


def test_a_root_that_is_a_link_is_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    with RawFolder(tmp_path / "alias") as folder:
        assert folder.read("files/p10/a.jpg") == b"film a"


def test_a_broken_zip(root: Path) -> None:
    whole = (root / "train.zip").read_bytes()
    (root / "cut.zip").write_bytes(whole[:-40])
    (root / "text.zip").write_bytes(b"no zip at all")
    start = whole.index(b"train/b.jpg") + len("train/b.jpg")
    (root / "flipped.zip").write_bytes(whole[:start] + b"\xff\xff\xff" + whole[start + 3 :])
    assert refusal(root, "cut.zip!train/b.jpg") == "archive-broken: not a readable zip: cut.zip"
    assert refusal(root, "text.zip!x") == "archive-broken: not a readable zip: text.zip"
    assert refusal(root, "flipped.zip!train/b.jpg") == (
        "archive-broken: damaged member in flipped.zip: train/b.jpg"
    )


def test_a_member_that_claims_to_unpack_to_gigabytes(root: Path) -> None:
    whole = bytearray((root / "train.zip").read_bytes())
    central = whole.index(b"PK\x01\x02")
    whole[central + 24 : central + 28] = struct.pack("<I", 3_000_000_000)
    (root / "bomb.zip").write_bytes(whole)
    assert refusal(root, "bomb.zip!train/b.jpg") == (
        "archive-broken: member of 3000000000 bytes in bomb.zip: train/b.jpg"
    )


def test_a_member_behind_a_password(root: Path) -> None:
    whole = bytearray((root / "train.zip").read_bytes())
    for mark, flag_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(mark) + flag_at] |= 1
    (root / "locked.zip").write_bytes(whole)
    assert refusal(root, "locked.zip!train/b.jpg") == (
        "archive-broken: damaged member in locked.zip: train/b.jpg"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(root: Path) -> None:
    (root / "files" / "p10" / "a.jpg").chmod(0)
    assert refusal(root, "files/p10/a.jpg") == (
        "file-unreadable: Permission denied at files/p10/a.jpg"
    )


def test_a_file_under_a_name_that_is_too_long(root: Path) -> None:
    name = "x" * 300
    assert refusal(root, name) == f"file-unreadable: File name too long at {name[:260]}…"


def test_a_pipe_is_not_opened(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    assert refusal(root, "pipe.jpg") == "file-unreadable: a pipe or device at pipe.jpg"


def test_a_file_beyond_the_bound_is_not_read(root: Path) -> None:
    with RawFolder(root) as folder:
        assert folder.read("files/p10/a.jpg", largest_bytes=6) == b"film a"
        with pytest.raises(RawFileError) as caught:
            folder.read("files/p10/a.jpg", largest_bytes=5)
        assert str(caught.value) == "file-unreadable: 6 bytes at files/p10/a.jpg; at most 5"


def test_names_in_messages_stay_on_one_line(root: Path) -> None:
    assert refusal(root, "a\nb.jpg") == "file-missing: no file at a?b.jpg"


def test_members_and_paths_without_reading(root: Path) -> None:
    with RawFolder(root) as folder:
        assert folder.members("train.zip") == ["train/b.jpg", "train/empty.jpg"]
        assert folder.file("files/p10/a.jpg") == root / "files" / "p10" / "a.jpg"
        with pytest.raises(RawFileError) as caught:
            folder.file("../secret.txt")
    assert caught.value.reason == "path-outside-root"


def test_stat_tells_versions_apart_without_reading(root: Path) -> None:
    uris = [
        "files/p10/a.jpg",
        "train.zip!train/b.jpg",
        "none.jpg",
        "train.zip!none",
        "../secret.txt",
    ]
    with RawFolder(root) as folder:
        plain, member, *absent = folder.stat(uris)
        before = folder.stat_digest(uris)
        assert folder.stat_digest(uris) == before
    status = (root / "files" / "p10" / "a.jpg").stat()
    assert plain == FileStat(6, status.st_mtime_ns)
    assert member == FileStat(600, zipfile.ZipFile(root / "train.zip").getinfo("train/b.jpg").CRC)
    assert absent == [ABSENT] * 3
    os.utime(root / "files" / "p10" / "a.jpg", ns=(1, 1))
    with RawFolder(root) as folder:
        assert folder.stat_digest(uris) != before
        assert folder.stat_digest(uris[1:]) != folder.stat_digest(uris[2:])


def _read(folder: RawFolder, uri: str) -> bytes:
    return folder.read(uri)


def test_a_folder_with_open_zips_travels_to_other_processes(root: Path) -> None:
    with RawFolder(root) as folder, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert folder.read("train.zip!train/b.jpg")
        uris = ["train.zip!train/b.jpg", "files/p10/a.jpg"] * 4
        found = list(pool.map(_read, [folder] * 8, uris))
    assert found == [b"film b" * 100, b"film a"] * 4


def test_a_refusal_travels_between_processes() -> None:
    error = RawFileError("file-missing", "no file at x")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert (copy.reason, copy.detail) == ("file-missing", "no file at x")

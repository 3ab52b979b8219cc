"""Objects of an S3-like store as files of one folder, each written whole or not at all.

    objects/<bucket>/<part>/<part>/<leaf>@

An object's file ends in ``@`` and a folder's name never does, for S3 lets the keys ``a`` and
``a/b`` stand side by side. A store that kept its objects in memory would forget, whenever it is
started anew, what both databases point at.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

_LEAF = "@"
_EMPTY = "%"
_LONGEST_NAME = 255
"""Bytes of a file's name on the file systems of Linux."""
_DOTS = {".": "%2E", "..": "%2E%2E", "": _EMPTY}


class KeyTooLong(ValueError):
    """A part of a key makes too long a file name."""


@dataclass(frozen=True)
class Found:
    """One object of a listing."""

    key: str
    size: int
    modified: float
    etag: str


def etag_of(status: os.stat_result) -> str:
    """What changes whenever an object is written anew; S3 promises no more of an ETag."""
    return f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'


class ObjectFiles:
    """Buckets below one folder.

    Args:
        root: gets ``objects/`` and, for what is being written, ``partial/``.
    """

    def __init__(self, root: Path) -> None:
        self._objects, self._partial = root / "objects", root / "partial"
        for folder in (self._objects, self._partial):
            folder.mkdir(parents=True, exist_ok=True)

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket if it is not there."""
        (self._objects / _quoted(bucket)).mkdir(exist_ok=True)

    def buckets(self) -> list[str]:
        """Names of all buckets, sorted."""
        return sorted(unquote(folder.name) for folder in self._objects.iterdir())

    def has_bucket(self, bucket: str) -> bool:
        return (self._objects / _quoted(bucket)).is_dir()

    def place(self, bucket: str, key: str) -> Path:
        """Where an object lies, or would.

        Raises:
            KeyTooLong: the file system cannot hold it under that name.
        """
        parts = [_quoted(part) for part in key.split("/")]
        parts[-1] += _LEAF
        if max(len(part) for part in parts) > _LONGEST_NAME:
            raise KeyTooLong(key)
        return self._objects.joinpath(_quoted(bucket), *parts)

    def partial(self) -> Path:
        """A new place to write to before ``publish``."""
        return self._partial / uuid.uuid4().hex

    def clear_partial(self) -> None:
        """Delete what a killed store was writing; uploads in parts may still go on."""
        for path in self._partial.iterdir():
            if path.is_file():
                path.unlink()

    def parts_folder(self, upload: str) -> Path:
        """Where the parts of one multipart upload wait for each other."""
        return self._partial / f"upload-{_quoted(upload)}"

    def publish(self, written: Path, place: Path, *, new: bool) -> bool:
        """Put a written file in its place; False if it must be new and is not."""
        with written.open("rb") as stream:
            os.fsync(stream.fileno())
        while True:
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                if new:
                    os.link(written, place)
                    written.unlink()
                else:
                    written.replace(place)
            except FileNotFoundError:
                continue  # a deletion has just removed the folder as empty
            except FileExistsError:
                return False
            return True

    def remove(self, bucket: str, key: str) -> None:
        """Delete an object, if it is there, and the folders that are then empty."""
        place, top = self.place(bucket, key), self._objects / _quoted(bucket)
        place.unlink(missing_ok=True)
        for folder in place.parents:
            if folder == top:
                return
            try:
                folder.rmdir()
            except OSError:  # not empty, or gone already
                return

    def list_keys(self, bucket: str, prefix: str) -> Iterator[Found]:
        """Every object whose key begins so, in the order of keys."""
        found = sorted(self._walk(bucket, prefix), key=lambda one: one.key.encode())
        return iter(found)

    def list_folder(self, bucket: str, prefix: str) -> tuple[list[Found], list[str]]:
        """Objects and common prefixes one level below ``prefix``, both sorted."""
        folder, before = self._folder_of(bucket, prefix)
        objects: list[Found] = []
        folders: list[str] = []
        with suppress(FileNotFoundError, NotADirectoryError):
            for entry in os.scandir(folder):
                key = before + _plain(entry.name)
                if key.startswith(prefix) and entry.name.endswith(_LEAF):
                    objects += _found(entry, key)
                elif key.startswith(prefix):
                    folders.append(f"{key}/")
        return sorted(objects, key=lambda one: one.key.encode()), sorted(folders)

    def _walk(self, bucket: str, prefix: str) -> Iterator[Found]:
        folder, before = self._folder_of(bucket, prefix)
        waiting = [(folder, before)]
        while waiting:
            folder, before = waiting.pop()
            with suppress(FileNotFoundError, NotADirectoryError):
                for entry in os.scandir(folder):
                    key = before + _plain(entry.name)
                    if not entry.name.endswith(_LEAF):
                        if f"{key}/".startswith(prefix) or prefix.startswith(f"{key}/"):
                            waiting.append((Path(entry.path), f"{key}/"))
                    elif key.startswith(prefix):
                        yield from _found(entry, key)

    def _folder_of(self, bucket: str, prefix: str) -> tuple[Path, str]:
        """The deepest folder that holds all keys of a prefix, and what their keys begin with."""
        before, slash, _ = prefix.rpartition("/")
        parts = [_quoted(part) for part in before.split("/")] if slash else []
        return self._objects.joinpath(_quoted(bucket), *parts), before + slash


def _quoted(part: str) -> str:
    return _DOTS.get(part) or quote(part, safe="")


def _plain(name: str) -> str:
    bare = name.removesuffix(_LEAF)
    return "" if bare == _EMPTY else unquote(bare)


def _found(entry: os.DirEntry[str], key: str) -> list[Found]:
    """The entry, unless it has just been deleted."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        return []
    return [Found(key, status.st_size, status.st_mtime, etag_of(status))]

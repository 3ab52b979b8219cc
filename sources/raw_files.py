"""A source's published files, read in place: plain files, and members of zips without unpacking.

A uri is a path relative to the source's root with forward slashes; ``archive.zip!member`` names a
member of a zip under the root, ``shard.parquet!images/17/0`` the first of the pictures that a
Parquet file has in the column ``images`` of row 17. No uri reaches outside the root, by ``..``, an
absolute path or a symbolic link to a file or folder elsewhere; a root that is itself a link is
followed. Pipes and devices are never opened, since reading one may wait for ever.
"""

from __future__ import annotations

import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import xxhash

from sources.checksums import sums_to_check
from sources.parquet_pictures import MemberError, ParquetPictures

_DAMAGED_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression method that zipfile lacks
    RuntimeError,  # a password is asked for
    ValueError,
    OSError,
    lzma.LZMAError,
    struct.error,
)
LARGEST_FILE_BYTES = 1 << 30
"""A file, or a member that claims to unpack to more, is refused. Our choice: ten times the largest
films."""
_SHOWN_CHARACTERS = 260
"""Of a file's name, in a message. Our choice: the longest of the sources, BRAX's, have 220."""


class RawFileError(Exception):
    """One published file that cannot be read.

    Args:
        reason: short code for ``Rejected.reason``.
        detail: one line that names the file, never its content.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type[RawFileError], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True)
class FileStat:
    """What tells one published file from another without reading it.

    Args:
        size: bytes, unpacked; -1 where the file is absent.
        mark: modification time in ns, or a zip member's CRC-32.
    """

    size: int
    mark: int


ABSENT = FileStat(-1, 0)


class RawFolder:
    """Files under a source's root; keeps archives open, and may be pickled into another process.

    Not for several threads at once: a zip has one read position.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real_root = Path(os.path.realpath(root))
        self._sums = sums_to_check(root)
        self._archives: dict[str, zipfile.ZipFile] = {}
        self._shards: dict[str, ParquetPictures] = {}
        self._inside = lru_cache(maxsize=65_536)(self._folder_is_inside)

    def __reduce__(self) -> tuple[type[RawFolder], tuple[Path]]:
        return type(self), (self.root,)

    def __enter__(self) -> RawFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the open archives; they open again when asked for."""
        for archive in self._archives.values():
            archive.close()
        for shard in self._shards.values():
            shard.close()
        self._archives.clear()
        self._shards.clear()

    def read(self, uri: str, largest_bytes: int = LARGEST_FILE_BYTES) -> bytes:
        """The file's bytes.

        Raises:
            RawFileError: ``path-outside-root``, ``file-missing``, ``file-unreadable``,
                ``file-empty``, ``archive-broken`` or ``member-missing``; where sums are checked
                (``sources.checksums``), ``checksum-mismatch``.
        """
        place, member = _split(uri)
        if member is None:
            data = self._read_file(place, largest_bytes)
            self._require_sum(place, data)
        elif _is_shard(place):
            data = self._read_picture(place, member, largest_bytes)
        else:
            data = self._read_member(place, member, largest_bytes)
        if not data:
            raise RawFileError("file-empty", f"0 bytes at {shown(uri)}")
        return data

    def _require_sum(self, place: str, data: bytes) -> None:
        told = self._sums.get(place)
        if told is not None and not told.is_of(data):
            detail = f"another {told.algorithm} than {told.told_by} tells: {shown(place)}"
            raise RawFileError("checksum-mismatch", detail)

    def sums_digest(self, uris: Iterable[str]) -> str:
        """xxh3-128, in hex, of the published sums of these files; empty where none is checked."""
        if not self._sums:
            return ""
        digest = xxhash.xxh3_128()
        for uri in uris:
            told = self._sums.get(uri)
            digest.update(f"{told.digest if told else None}\n".encode())
        return digest.hexdigest()

    def head(self, uri: str, size: int) -> bytes:
        """The first ``size`` bytes of a file, or all of a smaller one.

        Raises:
            RawFileError: as ``read`` does.
        """
        place, member = _split(uri)
        try:
            if member is None:
                with self._regular_file(place)[0].open("rb") as stream:
                    return stream.read(size)
            if _is_shard(place):
                return self._read_picture(place, member, LARGEST_FILE_BYTES)[:size]
            with self._archive(place).open(self._entry(place, member)) as packed:
                return packed.read(size)
        except _DAMAGED_ZIP as error:
            raise RawFileError("file-unreadable", f"unreadable at {shown(uri)}") from error

    def file(self, uri: str) -> Path:
        """The path of a plain file, for a reader that wants its beginning alone.

        Raises:
            RawFileError: ``path-outside-root``, ``file-missing`` or ``file-unreadable``.
        """
        return self._regular_file(uri)[0]

    def members(self, place: str) -> list[str]:
        """Names of a zip's members, from its central directory alone.

        Raises:
            RawFileError: ``path-outside-root``, ``file-missing`` or ``archive-broken``.
        """
        return self._archive(place).namelist()

    def stat(self, uris: Iterable[str]) -> list[FileStat]:
        """Size and mark of each file, in order, without reading it; ABSENT where ``read`` fails."""
        stats = []
        for uri in uris:
            try:
                stats.append(self._stat(uri))
            except RawFileError:
                stats.append(ABSENT)
        return stats

    def stat_digest(self, uris: Sequence[str]) -> str:
        """xxh3-128, in hex, of the uris and what ``stat`` says of them, in order."""
        digest = xxhash.xxh3_128()
        for uri, found in zip(uris, self.stat(uris), strict=True):
            digest.update(f"{uri}\0{found.size}\0{found.mark}\n".encode())
        return digest.hexdigest()

    def _regular_file(self, place: str) -> tuple[Path, int]:
        """A file's path and size in bytes."""
        path = self._path(place)
        try:
            status = path.stat()
        except OSError as error:
            raise _unreadable(place, error) from error
        if stat.S_ISDIR(status.st_mode):
            raise RawFileError("file-missing", f"no file at {shown(place)}")
        if not stat.S_ISREG(status.st_mode):
            raise RawFileError("file-unreadable", f"a pipe or device at {shown(place)}")
        return path, status.st_size

    def _read_file(self, place: str, largest_bytes: int) -> bytes:
        path, size = self._regular_file(place)
        if size > largest_bytes:
            raise RawFileError(
                "file-unreadable", f"{size} bytes at {shown(place)}; at most {largest_bytes}"
            )
        try:
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(place, error) from error

    def _read_member(self, place: str, member: str, largest_bytes: int) -> bytes:
        entry = self._entry(place, member)
        if entry.file_size > largest_bytes:
            raise RawFileError(
                "archive-broken",
                f"member of {entry.file_size} bytes in {shown(place)}: {shown(member)}",
            )
        try:
            return self._archive(place).read(entry)
        except _DAMAGED_ZIP as error:
            detail = f"damaged member in {shown(place)}: {shown(member)}"
            raise RawFileError("archive-broken", detail) from error

    def _read_picture(self, place: str, member: str, largest_bytes: int) -> bytes:
        shard = self._shards.get(place)
        try:
            if shard is None:
                shard = self._shards[place] = ParquetPictures(self._regular_file(place)[0])
            data = shard.read(member)
        except MemberError as error:
            where = f"{shown(member)} in {shown(place)}"
            raise RawFileError(error.reason, f"{error.detail}: {where}") from error
        if len(data) > largest_bytes:
            raise RawFileError("archive-broken", f"{len(data)} bytes of {shown(member)}")
        return data

    def _stat(self, uri: str) -> FileStat:
        place, member = _split(uri)
        if member is not None and not _is_shard(place):
            entry = self._entry(place, member)
            return FileStat(entry.file_size, entry.CRC)
        try:
            status = self._path(place).stat()
        except OSError as error:
            raise RawFileError("file-missing", f"no file at {place}") from error
        return FileStat(status.st_size, status.st_mtime_ns)

    def _entry(self, place: str, member: str) -> zipfile.ZipInfo:
        try:
            return self._archive(place).getinfo(member)
        except KeyError as error:
            detail = f"no member {shown(member)} in {shown(place)}"
            raise RawFileError("member-missing", detail) from error

    def _archive(self, place: str) -> zipfile.ZipFile:
        """The open zip; its central directory is read once."""
        found = self._archives.get(place)
        if found is not None:
            return found
        path, _ = self._regular_file(place)
        try:
            archive = zipfile.ZipFile(path)
        except _DAMAGED_ZIP as error:
            raise RawFileError("archive-broken", f"not a readable zip: {shown(place)}") from error
        self._archives[place] = archive
        return archive

    def _path(self, place: str) -> Path:
        """The place under the root, after all checks that it stays there."""
        parts = place.split("/")
        if not place or "\0" in place or "\\" in place or ".." in parts or place.startswith("/"):
            raise RawFileError("path-outside-root", f"not a relative path: {shown(place)!r}")
        folder = place.rpartition("/")[0]
        path = self.root / place
        outside = not self._inside(folder) or (
            os.path.islink(path)  # noqa: PTH114  # Path.is_symlink raises on too long a name
            and not self._is_inside(Path(os.path.realpath(path)))
        )
        if outside:
            detail = f"a link leads outside the root: {shown(place)}"
            raise RawFileError("path-outside-root", detail)
        return path

    def _folder_is_inside(self, folder: str) -> bool:
        return self._is_inside(Path(os.path.realpath(self.root / folder)))

    def _is_inside(self, real: Path) -> bool:
        return real == self._real_root or self._real_root in real.parents


def shown(name: str) -> str:
    """A file's name as a message may show it: on one line, and not endless."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in name[:_SHOWN_CHARACTERS])
    return clean if len(name) <= _SHOWN_CHARACTERS else f"{clean}…"


def is_storable(name: str) -> bool:
    """Whether a file's name is text: a name in another encoding can be in no UTF-8 table."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(place: str, error: OSError) -> RawFileError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return RawFileError("file-missing", f"no file at {shown(place)}")
    return RawFileError("file-unreadable", f"{error.strerror} at {shown(place)}")


def _split(uri: str) -> tuple[str, str | None]:
    """(path of the file, member or None) of a uri."""
    for suffix in (".zip", ".parquet"):
        place, mark, member = uri.partition(f"{suffix}!")
        if mark:
            return f"{place}{suffix}", member
    return uri, None


def _is_shard(place: str) -> bool:
    return place.endswith(".parquet")

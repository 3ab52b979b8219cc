"""Publishers' checksums: what a file must hold, by the list that comes with the source.

PhysioNet's sources (MIMIC-CXR, VinDr-CXR, BRAX) have ``SHA256SUMS.txt`` at their root; lists as
``sha256sum`` and ``md5sum`` write them are read for any source. A film or a report is checked when
it is read for ingestion, and is a rejected row (``checksum-mismatch``) if it differs. Tables and
archives are checked before anything of them is read, once: a file of the same size, time and inode
is not read again. Files that are listed and not there are no fault: who has a part of a source has
the list of all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from infra.errors import SourceError
from infra.store import explained_place

Algorithm = Literal["sha256", "md5"]
LISTS: Final[Mapping[str, Algorithm]] = {
    **dict.fromkeys(("SHA256SUMS.txt", "SHA256SUMS", "sha256sums.txt"), "sha256"),
    **dict.fromkeys(("MD5SUMS.txt", "MD5SUMS", "md5sums.txt", "checksums.md5"), "md5"),
}
"""Names of lists at a source's root; the first that names a file tells its sum."""
CHECKED_FIRST: Final = (".csv", ".tsv", ".gz", ".zip", ".json", ".parquet", ".tar", ".xlsx")
"""Ends of names of tables and archives, which hold many studies' rows at once."""
_LINE: Final = re.compile(r"^\\?([0-9a-fA-F]{32}|[0-9a-fA-F]{64})\s[ *]?(\S.*)$")
_DIGITS: Final[Mapping[Algorithm, int]] = {"sha256": 64, "md5": 32}
_BLOCK_BYTES: Final = 1 << 20
_KEEP_EVERY_BYTES: Final = 1 << 30
"""What is checked again at most after a kill. Our choice: some seconds of reading."""


@dataclass(frozen=True)
class Sum:
    """A published checksum: ``digest`` in lower-case hexadecimal digits, and who says so."""

    algorithm: Algorithm
    digest: str
    told_by: str

    def is_of(self, data: bytes) -> bool:
        """Whether these bytes have it."""
        return hashlib.new(self.algorithm, data, usedforsecurity=False).hexdigest() == self.digest


Sums = Mapping[str, Sum]
"""By path relative to the source's root, with forward slashes."""
_CHECKING: ContextVar[bool] = ContextVar("checking sums", default=False)


@contextmanager
def checking_sums(asked: bool) -> Iterator[None]:
    """Within the block this thread's readers hold each file that they read against its sum."""
    token = _CHECKING.set(asked)
    try:
        yield
    finally:
        _CHECKING.reset(token)


def sums_to_check(root: Path) -> Sums:
    """The published sums of a source; none where nobody asked to check them."""
    return published_sums(root) if _CHECKING.get() else {}


def published_sums(root: Path) -> Sums:
    """What the lists at a source's root tell; none without a list.

    Raises:
        SourceError: a list cannot be read, or a line of it is no checksum.
    """
    lists = [root / name for name in LISTS if (root / name).is_file()]
    marks = tuple((path.stat().st_size, path.stat().st_mtime_ns) for path in lists)
    return _read_lists(tuple(lists), marks)


@lru_cache(maxsize=8)
def _read_lists(lists: tuple[Path, ...], marks: tuple[tuple[int, int], ...]) -> Sums:
    """Kept while the lists stay as they are: that of MIMIC-CXR-JPG has some 380,000 lines."""
    del marks
    found: dict[str, Sum] = {}
    for path in reversed(lists):
        found.update(_read_list(path))
    return found


def _read_list(path: Path) -> Iterator[tuple[str, Sum]]:
    algorithm = LISTS[path.name]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _bad_list(f"{path}, which cannot be read ({type(error).__name__})") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None or len(match[1]) != _DIGITS[algorithm]:
            raise _bad_list(f"line {number} of {path}")
        name = match[2].rstrip().removeprefix("./")
        yield name, Sum(algorithm, match[1].lower(), path.name)


def _bad_list(found: str) -> SourceError:
    return SourceError(
        found,
        "a checksum and a file's name on each line",
        "download the list again, or set sources.checksums=false",
    )


def check_first(
    root: Path, sums: Sums, memory: Path, on_reading: Callable[[int, int], None]
) -> int:
    """Hold a source's tables and archives against their sums; how many there are.

    Args:
        memory: a file that remembers what was found of which file.
        on_reading: told how many files of how many bytes are read now, if any are.

    Raises:
        SourceError: some differ; the first of them and how many more.
    """
    wanted = {name: one for name, one in sums.items() if name.endswith(CHECKED_FIRST)}
    here = {name: root / name for name in sorted(wanted) if _is_inside(root, name)}
    known = _read_memory(memory)
    marks = {name: _mark(path) for name, path in here.items()}
    fresh = {
        name: tuple(entry)
        for name, entry in known.items()
        if name in marks and entry[:-1] == [*marks[name], wanted[name].algorithm]
    }
    todo = [name for name in here if name not in fresh]
    if todo:
        on_reading(len(todo), sum(marks[name][0] for name in todo))
    unsaved = 0
    for name in todo:
        digest = _file_digest(here[name], wanted[name].algorithm)
        fresh[name] = (*marks[name], wanted[name].algorithm, digest)
        unsaved += marks[name][0]
        if unsaved >= _KEEP_EVERY_BYTES:
            unsaved = 0
            _write_memory(memory, fresh)
    if todo:
        _write_memory(memory, fresh)
    bad = [name for name in here if fresh[name][-1] != wanted[name].digest]
    if bad:
        told = wanted[bad[0]]
        more = f" (and {len(bad) - 1} more files)" if len(bad) > 1 else ""
        raise SourceError(
            f"{here[bad[0]]} with another {told.algorithm} than {told.told_by} tells{more}",
            "the publisher's bytes",
            "download the file again, or set sources.checksums=false to read it as it is",
        )
    return len(here)


def _is_inside(root: Path, name: str) -> bool:
    """A file of the source that is there; no list makes anything else be opened."""
    path = root / name
    plain = not name.startswith("/") and ".." not in name.split("/") and "\0" not in name
    return plain and path.is_file() and path.resolve().is_relative_to(root.resolve())


def _mark(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _file_digest(path: Path, algorithm: Algorithm) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _read_memory(memory: Path) -> dict[str, list[object]]:
    """What was found before; a damaged file is as good as none, for all is then read again."""
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    lists = found.items() if isinstance(found, dict) else ()
    return {name: entry for name, entry in lists if isinstance(entry, list) and len(entry) == 5}


def _write_memory(memory: Path, entries: Mapping[str, tuple[object, ...]]) -> None:
    with explained_place(str(memory.parent)):
        memory.parent.mkdir(parents=True, exist_ok=True)
        partial = memory.with_suffix(".partial")
        partial.write_text(json.dumps(entries), encoding="utf-8")
        partial.replace(memory)

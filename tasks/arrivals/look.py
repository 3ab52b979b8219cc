"""Look at sources' folders until they have come to rest.

By asking, again and again: a network disk tells nobody what others write to it. What counts is the
size and time of every file, as it does for ingestion, which reads the whole folder. So a folder is
taken when all of it has stayed the same for a while: a file that is still being copied grows.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.log import LOGGER

_DIGITS: Final = 15  # 60 bits: SQLite's integers have 63
_BEING_WRITTEN: Final = (".part", ".partial", ".tmp", ".crdownload", ".filepart")
"""Ends of names that programs give to files until they are whole; they hold a folder up."""


@dataclass(frozen=True)
class Seen:
    """A folder as it was at one look.

    Args:
        state: a number that differs when any file's path, size or time does; 0 without a file.
        files: how many.
        unfinished: whether one has a name that says it is being written.
    """

    state: int
    files: int
    unfinished: bool = False


def see(root: Path) -> Seen:
    """Every file below a folder but hidden ones; one that vanishes meanwhile is as good as none.

    Raises:
        FileNotFoundError: there is no such folder, as when a disk is away.
    """
    root.stat()
    entries: list[bytes] = []
    unfinished = False
    for folder, _, names in os.walk(root):
        for path in (Path(folder) / name for name in names if not name.startswith(".")):
            try:
                status = path.stat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                unfinished |= path.name.lower().endswith(_BEING_WRITTEN)
                told = f"{path.relative_to(root)}\0{status.st_size}\0{status.st_mtime_ns}"
                entries.append(hashlib.blake2b(os.fsencode(told), digest_size=16).digest())
    if not entries:
        return Seen(0, 0)
    digest = hashlib.blake2b(b"".join(sorted(entries))).hexdigest()
    return Seen(int(digest[:_DIGITS], 16) + 1, len(entries), unfinished)


@dataclass
class _Folder:
    seen: Seen
    since: float
    changing_since: float


class Rest:
    """Which folders have come to rest.

    Args:
        settle_seconds: how long all of a folder must have stayed the same.
        patience_seconds: how long a folder that never rests is waited for; then it is taken as it
            is, and what was not whole is ingested again when it is.
    """

    def __init__(self, settle_seconds: float, patience_seconds: float) -> None:
        self._settle, self._patience = settle_seconds, patience_seconds
        self._folders: dict[str, _Folder] = {}
        self._taken: dict[str, int] = {}

    def look(self, roots: Mapping[str, Path], now: float) -> dict[str, int]:
        """The state of each source's folder that has come to rest since the last look.

        Args:
            now: seconds of a clock that never goes back.
        """
        before = dict(self._taken)
        for name, root in roots.items():
            self._look_at(name, root, now)
        return {name: state for name, state in self._taken.items() if before.get(name) != state}

    def _look_at(self, name: str, root: Path, now: float) -> None:
        try:
            seen = see(root)
        except OSError as error:
            LOGGER.warning("source %s: %s is not there (%s)", name, root, type(error).__name__)
            self._folders.pop(name, None)
            return
        if not seen.files:
            self._folders.pop(name, None)  # a disk that is not mounted is an empty folder
            return
        known = self._folders.get(name)
        if known is None or known.seen != seen:
            began = now if known is None or self._is_taken(name, known) else known.changing_since
            self._folders[name] = _Folder(seen, now, began)
            known = self._folders[name]
        if self._is_taken(name, known):
            return
        if not seen.unfinished and now - known.since >= self._settle:
            self._taken[name] = seen.state
        elif now - known.changing_since >= self._patience:
            LOGGER.warning("source %s: never at rest; it is ingested as it is", name)
            self._taken[name] = seen.state
            known.changing_since = now

    def _is_taken(self, name: str, folder: _Folder) -> bool:
        return self._taken.get(name) == folder.seen.state

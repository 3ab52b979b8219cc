"""Counts of pairs that were counted before: one SQLite file per family of counts and version.

A row's key is a hash of reference and prediction; the file's name says the family and the version
of its code, so counts of older code are never read. No text is stored. Rows carry a checksum; a row
or a file that is damaged is counted again, and the log says so. Writers put all their rows in one
transaction, so a killed process leaves whole rows or none, and two writers wait for each other.

The folder never holds more than ``LARGEST_BYTES`` after a run: files that were written longest ago
go first, then the oldest half of the rows of the last one. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.statistics import Floats
from infra.log import LOGGER

CACHE_FOLDER = "metric-cache"
LARGEST_BYTES = 512 << 20
"""Our choice: counts of about half a million pairs under all profiles."""
BUSY_SECONDS = 30.0
"""How long a writer waits for another (our choice: writing 100,000 rows takes about one)."""
KEYS_PER_QUERY = 500
"""SQLite admits 999 variables in its oldest builds; our choice stays under it."""
_SUFFIX = ".sqlite"
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""SQLITE_ERROR is what a file with other tables ends in."""

Count = Callable[[Sequence[str], Sequence[str]], Floats]
"""From n references and n predictions to counts (n, K)."""


@dataclass(frozen=True)
class MetricCache:
    """The cache of one state folder."""

    folder: Path
    largest_bytes: int = LARGEST_BYTES

    @classmethod
    def in_state(cls, state: Path) -> MetricCache:
        """The cache that belongs to a state folder."""
        return cls(state / CACHE_FOLDER)

    def counts(
        self,
        family: str,
        version: str,
        width: int,
        pairs: tuple[Sequence[str], Sequence[str]],
        count: Count,
    ) -> Floats:
        """(n, width) counts of n pairs (references, predictions): stored ones, others by ``count``.

        What cannot be stored (a full or read-only disk, a lock that is never let go) is logged and
        counted all the same.
        """
        references, predictions = pairs
        keys = [pair_key(one, other) for one, other in zip(references, predictions, strict=True)]
        path = self._path(family, version)
        known = self._read(path, keys, width)
        missing = {key: place for place, key in enumerate(keys) if key not in known}
        if missing:
            chosen = list(missing.values())
            fresh = count([references[i] for i in chosen], [predictions[i] for i in chosen])
            assert fresh.shape == (len(chosen), width), (family, fresh.shape)
            rows = dict(zip(missing, fresh, strict=True))
            self._write(path, rows)
            known |= rows
        return np.array([known[key] for key in keys], dtype=np.float64).reshape(-1, width)

    def _path(self, family: str, version: str) -> Path:
        name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{family}-{version}")
        return self.folder / f"{name}{_SUFFIX}"

    def _read(self, path: Path, keys: Sequence[bytes], width: int) -> dict[bytes, Floats]:
        found: dict[bytes, Floats] = {}
        if path.exists():
            with self._forgiving(path, "read"), closing(_connect(path)) as connection:
                found = _stored(connection, path, keys, width)
        return found

    def _write(self, path: Path, rows: dict[bytes, Floats]) -> None:
        with self._forgiving(path, "written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(_connect(path)) as connection, connection:
                connection.execute(_TABLE)
                connection.executemany(
                    "INSERT OR REPLACE INTO counts (key, row, checksum) VALUES (?, ?, ?)",
                    (
                        (key, row.tobytes(), _checksum(key, row.tobytes()))
                        for key, row in rows.items()
                    ),
                )
            self.keep_small()

    @contextmanager
    def _forgiving(self, path: Path, what: str) -> Iterator[None]:
        """A damaged file is removed, anything else is left alone; the log says which."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                _remove(path)
                LOGGER.warning("metric cache: %s is damaged and is made anew", path.name)
            else:
                LOGGER.warning("metric cache: %s cannot be %s: %s", path.name, what, error)
        except OSError as error:
            LOGGER.warning("metric cache: %s cannot be %s: %s", path.name, what, error.strerror)

    def keep_small(self) -> None:
        """Hold the folder under its bound, files written longest ago first."""
        files = sorted(self.files(), key=lambda path: path.stat().st_mtime_ns)
        total = sum(path.stat().st_size for path in files)
        for path in files[:-1]:
            if total <= self.largest_bytes:
                return
            total -= path.stat().st_size
            _remove(path)
        if files and total > self.largest_bytes:
            _halve(files[-1])

    def files(self) -> list[Path]:
        """The cache's files, by name."""
        return sorted(self.folder.glob(f"*{_SUFFIX}"))

    def damaged(self) -> list[str]:
        """Names of files that are no sound SQLite files; the next run that needs one mends it."""
        return [path.name for path in self.files() if not _is_sound(path)]

    def forget(self, names: Sequence[str]) -> None:
        """Remove files by name."""
        for name in names:
            _remove(self.folder / name)


def pair_key(reference: str, prediction: str) -> bytes:
    """16 bytes that stand for a pair; the length keeps two texts apart that join alike."""
    first = reference.encode("utf-8", "surrogatepass")
    second = prediction.encode("utf-8", "surrogatepass")
    head = len(first).to_bytes(8, "big")
    return hashlib.blake2b(head + first + second, digest_size=16).digest()


_TABLE = (
    "CREATE TABLE IF NOT EXISTS counts "
    "(id INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, row BLOB NOT NULL, checksum INTEGER)"
)
"""``id`` grows with every row that is written, so the smallest ids are the oldest rows."""


def _connect(path: Path) -> sqlite3.Connection:
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return sqlite3.connect(path, timeout=BUSY_SECONDS)


def _checksum(key: bytes, row: bytes) -> int:
    return zlib.crc32(row, zlib.crc32(key))


def _stored(
    connection: sqlite3.Connection, path: Path, keys: Sequence[bytes], width: int
) -> dict[bytes, Floats]:
    found: dict[bytes, Floats] = {}
    damaged = 0
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'counts'").fetchone():
        return found  # another writer has just begun this file
    for start in range(0, len(keys), KEYS_PER_QUERY):
        part = keys[start : start + KEYS_PER_QUERY]
        marks = ",".join("?" * len(part))
        query = f"SELECT key, row, checksum FROM counts WHERE key IN ({marks})"
        for key, row, checksum in connection.execute(query, part):
            if isinstance(row, bytes) and _is_whole(key, row, checksum, width):
                found[key] = np.frombuffer(row, dtype=np.float64)
            else:
                damaged += 1
    if damaged:
        LOGGER.warning("metric cache: %d damaged rows of %s are counted anew", damaged, path.name)
    return found


def _is_whole(key: bytes, row: bytes, checksum: object, width: int) -> bool:
    return checksum == _checksum(key, row) and len(row) == 8 * width


def _remove(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}-journal")):
        name.unlink(missing_ok=True)


def _halve(path: Path) -> None:
    with closing(_connect(path)) as connection:
        with connection:
            connection.execute(
                "DELETE FROM counts WHERE id <= (SELECT (min(id) + max(id)) / 2 FROM counts)"
            )
        connection.execute("VACUUM")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """The low byte of SQLite's code says what happened, the others where."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF in _DAMAGE


def _is_sound(path: Path) -> bool:
    try:
        with closing(_connect(path)) as connection:
            return bool(connection.execute("PRAGMA quick_check").fetchone()[0] == "ok")
    except sqlite3.DatabaseError as error:
        return not _is_damage(error)  # a file that another process writes to is sound

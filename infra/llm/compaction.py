"""Moves stored answers from SQLite into sorted Parquet files, while others read and write.

The new file is on disk for good before one transaction lists it and drops the rows that it holds;
a kill at any moment leaves the answers in SQLite or in the file, and at worst a file that nobody
lists, which the next compaction removes. Small files are merged into the new one, so that their
number grows with the logarithm of the answers.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from filelock import FileLock, Timeout

from infra.errors import ArtifactError, InputError
from infra.llm.archive import ArchiveFile, Row, damaged, write_archive
from infra.llm.cache import COLUMNS, AnswerCache, connect

COMPACT_BYTES = 256 * 2**20
"""Size of SQLite's content at which a client compacts by itself. Our choice: some 200,000 answers,
moved in a few seconds; below it SQLite alone answers faster."""
MERGE_FACTOR = 2
"""Files of up to this many times the rows gathered so far go into the new one (our choice)."""
TRIES = 5
"""Times that a compaction starts anew because an answer was dropped meanwhile (our choice)."""


@dataclass(frozen=True)
class Compacted:
    """What a compaction did: rows moved out of SQLite, rows lost with damaged files, files now."""

    moved: int
    lost: int
    files: int


Listed = tuple[int, str, int]
"""Number, name and rows of a file."""
_LISTED = "SELECT number, name, rows FROM archives ORDER BY number DESC"


class _Disturbed(Exception):
    """An answer was dropped while its file was written."""


def compact(cache: AnswerCache, *, forget_damaged: bool = False) -> Compacted:
    """Move all good answers into Parquet; waits for another compaction to end.

    Args:
        forget_damaged: give up answers in damaged or missing files instead of raising.

    Raises:
        InputError: a file is damaged.
        ArtifactError: answers were dropped all the time; nothing was moved.
    """
    with FileLock(lock_path(cache)):
        return _compact_locked(cache, forget_damaged)


def compact_if_large(cache: AnswerCache) -> Compacted | None:
    """Compact when SQLite has passed ``COMPACT_BYTES`` and nobody else is at it."""
    if cache.bytes_in_use() < COMPACT_BYTES:
        return None
    try:
        with FileLock(lock_path(cache), timeout=0):
            return _compact_locked(cache, forget_damaged=False)
    except Timeout:
        return None


def lock_path(cache: AnswerCache) -> str:
    """The lock of whoever rewrites the Parquet files."""
    return f"{cache.path}.compact.lock"


def _compact_locked(cache: AnswerCache, forget_damaged: bool) -> Compacted:
    cache.folder.mkdir(mode=0o700, exist_ok=True)
    with closing(connect(cache.path)) as connection:
        # the commit must be on disk before merged files go: a power cut may not undo it alone
        connection.execute("PRAGMA synchronous=FULL")
        remove_unlisted(connection, cache.folder)
        for _ in range(TRIES):
            try:
                return _Move(connection, cache.folder, forget_damaged).run()
            except _Disturbed:
                remove_unlisted(connection, cache.folder)
    raise ArtifactError(
        f"answers in {cache.path} were dropped {TRIES} times while they were moved; nothing is "
        "lost: run it again when fewer processes work there"
    )


def remove_unlisted(run: sqlite3.Connection, folder: Path) -> None:
    """Remove what a killed compaction left; only the holder of the lock writes here."""
    listed = {name for (name,) in run.execute("SELECT name FROM archives")}
    for path in folder.iterdir():
        ours = path.name.startswith("answers-") or path.name.endswith(".tmp")
        if ours and path.name not in listed:
            path.unlink()


class _Move:
    """One attempt."""

    def __init__(self, run: sqlite3.Connection, folder: Path, forget_damaged: bool) -> None:
        self._run, self._folder, self._forget_damaged = run, folder, forget_damaged
        self._read = 0

    def run(self) -> Compacted:
        """Raises _Disturbed when an answer was dropped meanwhile; nothing has changed then."""
        run = self._run.execute
        run("BEGIN")  # one moment for the rows, the list and the keys that are hidden
        try:
            drops, listed = self._drops(), run(_LISTED).fetchall()
            count, last = run(
                "SELECT count(*), coalesce(max(rowid), 0) FROM answers WHERE status = 'ok'"
            ).fetchone()
            if not count and not self._forget_damaged:
                return Compacted(0, 0, len(listed))
            merged = self._choose(listed, count)
            number = 1 + max((row[0] for row in listed), default=0)
            path = write_archive(self._folder, number, _unique(self._sources(merged, last)))
        finally:
            run("COMMIT")
        self._commit(drops, (count, last), [row[0] for row in merged], (number, path))
        for _, name, _ in merged:
            (self._folder / name).unlink(missing_ok=True)
        lost = sum(row[2] for row in merged) - self._read
        return Compacted(count, lost, len(listed) - len(merged) + 1)

    def _drops(self) -> int:
        """A number that grows whenever an answer is dropped."""
        row = self._run.execute("SELECT seq FROM sqlite_sequence WHERE name = 'forgotten'")
        return int((row.fetchone() or (0,))[0])

    def _choose(self, listed: list[Listed], count: int) -> list[Listed]:
        """The newest files that are not much larger than what is written anyway."""
        if self._forget_damaged:
            return listed
        chosen: list[Listed] = []
        for row in listed:
            if row[2] > MERGE_FACTOR * count:
                break
            chosen.append(row)
            count += row[2]
        return chosen

    def _sources(self, merged: list[Listed], last: int) -> Iterator[Row]:
        """Rows of SQLite and of the merged files in the order of their keys, newest first."""
        hidden = dict(
            self._run.execute("SELECT request_hash, max(number) FROM forgotten GROUP BY 1")
        )
        rows = self._run.cursor().execute(
            f"SELECT {','.join(COLUMNS)} FROM answers WHERE status = 'ok' AND rowid <= ? "
            "ORDER BY request_hash",
            (last,),
        )
        files = [self._rows_of(name, hidden) for _, name, _ in merged]
        return heapq.merge(filter(_is_whole, rows), *files, key=itemgetter(0))

    def _rows_of(self, name: str, hidden: dict[str, int]) -> Iterator[Row]:
        try:
            file = ArchiveFile(self._folder / name)
        except (FileNotFoundError, InputError):
            if self._forget_damaged:
                return
            raise damaged(self._folder / name, "which is damaged or not there") from None
        for row in file.rows(skip_damaged=self._forget_damaged):
            self._read += 1
            if hidden.get(row[0], 0) < file.number:
                yield row

    def _commit(
        self, drops: int, moved: tuple[int, int], merged: list[int], new: tuple[int, Path]
    ) -> None:
        run = self._run.execute
        number, path = new
        rows = ArchiveFile(path).rows_total
        run("BEGIN IMMEDIATE")
        try:
            gone = run("DELETE FROM answers WHERE status = 'ok' AND rowid <= ?", (moved[1],))
            if self._drops() != drops or gone.rowcount != moved[0]:
                raise _Disturbed
            self._run.executemany("DELETE FROM archives WHERE number = ?", zip(merged))
            run("INSERT INTO archives VALUES (?, ?, ?)", (number, path.name, rows))
            run("DELETE FROM forgotten WHERE number < (SELECT min(number) FROM archives)")
        except BaseException:
            run("ROLLBACK")
            raise
        run("COMMIT")


def _is_whole(row: Row) -> bool:
    """Whether all text of a row can be written: damaged text is dropped, and asked again."""
    try:
        for item in row:
            if isinstance(item, str):
                item.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unique(rows: Iterable[Row]) -> Iterator[Row]:
    """The first row of each key."""
    before = None
    for row in rows:
        if row[0] != before:
            yield row
        before = row[0]

"""Takes answers out of a state folder for good: rows, Parquet files, quarantine and batches.

``AnswerCache.forget`` only hides what lies in a Parquet file; here the file is written anew without
it. A kill leaves the old files or the new ones, and at worst one that nobody lists, which the next
compaction removes. Databases are written anew as well, since SQLite keeps what was deleted in pages
that it may use again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from infra.llm.archive import ARCHIVE_FOLDER, ArchiveFile, Row, write_archive
from infra.llm.batch_state import BATCH_FILE
from infra.llm.cache import CACHE_FILE, COLUMNS, AnswerCache, connect
from infra.llm.compaction import lock_path, remove_unlisted
from infra.llm.owners import known_requests
from infra.llm.quarantine import QUARANTINE_FILE
from infra.sqlite_files import open_rows, rewrite

_CONTENT = COLUMNS.index("content")
Holds = Callable[[str], bool]
"""Whether a stored text is one of those to be erased."""


@dataclass(frozen=True)
class Erased:
    """How many rows went from each place; ``sent`` are batches that still hold such requests."""

    answers: int = 0
    archived: int = 0
    quarantined: int = 0
    batches: int = 0
    sent: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return self.answers + self.archived + self.quarantined + self.batches


def erase_answers(
    state: Path, requests: Iterable[str], holds: Holds, *, dry_run: bool = False
) -> Erased:
    """Erase what answers these requests, and whatever else holds such a text.

    Args:
        requests: hashes of requests, without the ``@rules`` that a key may have behind it.

    Raises:
        InputError: a file is none of ours or is damaged.
    """
    wanted = frozenset(requests)

    def is_meant(key: str, *texts: str | None) -> bool:
        return key.partition("@")[0] in wanted or any(text and holds(text) for text in texts)

    answers, archived = _erase_cache(state, is_meant, dry_run)
    batches, sent = _erase_batches(state / BATCH_FILE, is_meant, dry_run)
    return Erased(
        answers,
        archived,
        _erase_rows(state / QUARANTINE_FILE, "failures", "request_key, request", is_meant, dry_run),
        batches,
        sent,
    )


IsMeant = Callable[..., bool]


def unowned_requests(state: Path, known: Set[str]) -> set[str]:
    """Stored requests of which nobody knows whose they are, wherever an answer to them lies.

    Answers that were stored before ``owners`` was there, and were not replayed since.

    Args:
        known: hashes of requests whose owner is known otherwise.
    """
    told = known | known_requests(state)
    return {key for key in _stored_requests(state) if key not in told}


def _stored_requests(state: Path) -> Iterator[str]:
    for path, table, column in (
        (state / CACHE_FILE, "answers", "request_hash"),
        (state / QUARANTINE_FILE, "failures", "request_key"),
        (state / BATCH_FILE, "replies", "request_hash"),
        (state / BATCH_FILE, "requests", "request_hash"),
    ):
        if path.exists():
            with open_rows(path) as run:
                if _has_table(run, table):
                    for (key,) in run.execute(f"SELECT {column} FROM {table}"):
                        yield key.partition("@")[0]
    for path in sorted((state / ARCHIVE_FOLDER).glob("answers-*.parquet")):
        for row in ArchiveFile(path).rows():
            yield row[0].partition("@")[0]


def _has_table(run: sqlite3.Connection, table: str) -> bool:
    found = run.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    return found is not None


def _erase_cache(state: Path, is_meant: IsMeant, dry_run: bool) -> tuple[int, int]:
    """Rows erased from SQLite, and from the files beside it."""
    if not (state / CACHE_FILE).exists():
        return 0, 0
    live = _erase_rows(state / CACHE_FILE, "answers", "request_hash, content", is_meant, dry_run)
    with closing(AnswerCache(state)) as cache, FileLock(lock_path(cache)):
        moved = 0
        with closing(connect(cache.path)) as run:
            listed = run.execute("SELECT number, name FROM archives ORDER BY number").fetchall()
            for number, name in listed:
                moved += _erase_from(run, state / ARCHIVE_FOLDER, (number, name), is_meant, dry_run)
            if not dry_run and (state / ARCHIVE_FOLDER).is_dir():
                remove_unlisted(run, state / ARCHIVE_FOLDER)
    if not dry_run:
        rewrite(state / CACHE_FILE)
    return live, moved


def _erase_from(
    run: sqlite3.Connection,
    folder: Path,
    listed: tuple[int, str],
    is_meant: IsMeant,
    dry_run: bool,
) -> int:
    """Write one file anew without its meant rows; a file of the same number takes its place."""
    number, name = listed
    gone = sum(is_meant(row[0], row[_CONTENT]) for row in ArchiveFile(folder / name).rows())
    if dry_run or not gone:
        return gone
    path = write_archive(folder, number, _rest(folder / name, is_meant))
    rows = ArchiveFile(path).rows_total
    run.execute("BEGIN IMMEDIATE")
    if rows:
        run.execute(
            "UPDATE archives SET name = ?, rows = ? WHERE number = ?", (path.name, rows, number)
        )
    else:
        run.execute("DELETE FROM archives WHERE number = ?", (number,))
    run.execute("COMMIT")
    if path.name != name:
        (folder / name).unlink(missing_ok=True)
    return gone


def _rest(path: Path, is_meant: IsMeant) -> Iterator[Row]:
    return (row for row in ArchiveFile(path).rows() if not is_meant(row[0], row[_CONTENT]))


def _erase_rows(path: Path, table: str, columns: str, is_meant: IsMeant, dry_run: bool) -> int:
    """Delete rows whose key or text is meant, and write the database anew."""
    if not path.exists():
        return 0
    key = columns.partition(",")[0]
    with open_rows(path) as run:
        if not _has_table(run, table):
            return 0
        rows = run.execute(f"SELECT {columns} FROM {table}")
        meant = [row[0] for row in rows if is_meant(*row)]
        if meant and not dry_run:
            run.executemany(f"DELETE FROM {table} WHERE {key} = ?", [(name,) for name in meant])
    if meant and not dry_run:
        rewrite(path)
    return len(meant)


def _erase_batches(path: Path, is_meant: IsMeant, dry_run: bool) -> tuple[int, tuple[str, ...]]:
    """Stored replies erased, and the batches at a server that hold such requests."""
    gone = _erase_rows(path, "replies", "request_hash, reply", is_meant, dry_run)
    if not path.exists():
        return gone, ()
    with open_rows(path) as run:
        asked = run.execute(
            "SELECT request_hash, coalesce(batch_id, file_id, requests.job_id) FROM requests "
            "JOIN jobs USING (job_id)"
        )
        return gone, tuple(sorted({batch for key, batch in asked if is_meant(key)}))

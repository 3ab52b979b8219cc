"""Every answer that was paid for, by its request's hash: SQLite and Parquet in the state folder.

Answers come into SQLite, whose write-ahead log lets several processes share it; each is one
committed transaction, so a killed process loses only what was still in flight. ``compaction`` moves
them into the Parquet files of ``archive``. SQLite lists those files in the transaction that drops
the moved rows, so that a reader sees an answer in one place or the other, never in none. All files
hold report text: they are readable by their owner alone and belong to the state folder, never to a
shared one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from itertools import islice
from pathlib import Path

from filelock import FileLock

from infra.errors import InputError
from infra.llm.archive import ARCHIVE_FOLDER, ArchiveFile, Row, damaged
from infra.llm.layout import layout_of
from infra.llm.ledger import COST, EARLIER, NANO, SENT, Earlier, Work, task_of

CACHE_FILE = "llm-answers.sqlite"
LAYOUT_VERSION = 2
"""2 has the list of Parquet files; 1 had none and becomes 2 when it is opened."""
KEYS_PER_QUERY = 500
"""SQLite admits 999 variables in its oldest builds; our choice stays under it."""
BUSY_SECONDS = 60.0


class AnsweredMeanwhile(Exception):
    """Another thread or process stored the answer just before it was asked for."""


@dataclass(frozen=True)
class StoredAnswer:
    """One row: what the server said and what it cost; ``content`` is the answer's JSON text."""

    request_hash: str
    status: str
    content: str | None
    model: str
    prompt_version: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    answered_at: str


COLUMNS = tuple(item.name for item in fields(StoredAnswer))


_TABLES = (
    "CREATE TABLE IF NOT EXISTS answers (request_hash TEXT PRIMARY KEY, status TEXT, "
    "content TEXT, model TEXT, prompt_version TEXT, input_tokens INTEGER, "
    "output_tokens INTEGER, cost_usd REAL, answered_at TEXT)",
    "CREATE TABLE IF NOT EXISTS archives (number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
    "rows INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS forgotten (id INTEGER PRIMARY KEY AUTOINCREMENT, "
    "request_hash TEXT NOT NULL, number INTEGER NOT NULL)",
)
"""``forgotten`` hides a key in the files up to that number; its ids tell a compaction that an
answer was dropped meanwhile."""


_INSERT = (
    f"INSERT OR IGNORE INTO answers ({','.join(COLUMNS)}) SELECT {','.join('?' * len(COLUMNS))}"
)


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a cache's SQLite file that commits each statement by itself.

    Damaged text is read with surrogates in it, which no answer holds: it is forgotten as any that
    does not fit. SQLite's own error would quote it.
    """
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    return connection


class AnswerCache:
    """The replay cache of one state folder; safe for threads and processes.

    Args:
        rules: stored answers count only for the rules that gave them; empty for a model's.

    Raises:
        InputError: the file is not such a cache.
    """

    def __init__(self, state_dir: Path, rules: str = "") -> None:
        self._suffix = f"@{rules}" if rules else ""
        state_dir.mkdir(parents=True, exist_ok=True)
        self.path = state_dir / CACHE_FILE
        self.folder = state_dir / ARCHIVE_FOLDER
        self._lock = threading.RLock()
        self._files: dict[str, ArchiveFile] = {}
        self._newest_seen = 0
        with FileLock(f"{self.path}.lock"):
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = connect(self.path)
            try:
                self._prepare()
            except sqlite3.DatabaseError:
                self._connection.close()
                raise InputError(
                    f"{self.path} that is not an answer cache", "a SQLite file", "move it away"
                ) from None

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=NORMAL")  # a power cut may cost the last answers, never the file
        found = layout_of(self._connection, self.path, LAYOUT_VERSION)
        if found != LAYOUT_VERSION:
            for table in _TABLES:
                run(table)
            run(f"PRAGMA user_version={LAYOUT_VERSION}")

    def get_many(self, hashes: Iterable[str]) -> dict[str, StoredAnswer]:
        """The stored answers among these hashes.

        Raises:
            InputError: a file of the archive is damaged.
        """
        found = self._search([f"{key}{self._suffix}" for key in hashes])
        answers: dict[str, StoredAnswer] = {}
        for key, row in found.items():
            plain = key.removesuffix(self._suffix)
            answers[plain] = StoredAnswer(plain, *row[1:])
        return answers

    def has(self, request_hash: str) -> bool:
        """Whether another process stored an answer since ``get_many`` found none.

        Looks in SQLite alone, so that it costs little before each request: what has gone to a file
        within so short a time is seen when the own answer is stored.
        """
        query = "SELECT 1 FROM answers WHERE request_hash = ?"
        with self._lock:
            row = self._connection.execute(query, (f"{request_hash}{self._suffix}",)).fetchone()
        return row is not None

    def _search(self, keys: Sequence[str]) -> dict[str, Row]:
        """Rows of these keys, in their order."""
        before: list[str] | None = None
        while True:
            found, names, hidden = self._look(keys)
            missing = sorted(key for key in keys if key not in found) if names else []
            try:
                self._look_in_files(missing, names, hidden, found)
            except FileNotFoundError as error:  # compacted away since the list was read
                if names == before:
                    raise damaged(Path(error.filename), "which is not there") from None
                before = names
            else:
                return {key: found[key] for key in keys if key in found}

    def _look(self, keys: Sequence[str]) -> tuple[dict[str, Row], list[str], dict[str, int]]:
        """Rows in SQLite, the files beside it (newest first) and what is hidden in them.

        All from one moment: a row that moves to a file meanwhile is seen in one place or the other.
        """
        found: dict[str, Row] = {}
        with self._lock:
            run = self._connection.execute
            run("BEGIN")
            try:
                for batch in _batches(keys, KEYS_PER_QUERY):
                    marks = ",".join("?" * len(batch))
                    query = (
                        f"SELECT {','.join(COLUMNS)} FROM answers WHERE request_hash IN ({marks})"
                    )
                    found.update((row[0], row) for row in run(query, batch))
                names, hidden = self._listed()
                newest = run("SELECT max(number) FROM archives").fetchone()[0]
            finally:
                run("COMMIT")
            self._newest_seen = newest or 0
        return found, names, hidden

    def _listed(self) -> tuple[list[str], dict[str, int]]:
        """Names of the files, newest first, and up to which number each forgotten key is hidden."""
        run = self._connection.execute
        names = [name for (name,) in run("SELECT name FROM archives ORDER BY number DESC")]
        return names, dict(run("SELECT request_hash, max(number) FROM forgotten GROUP BY 1"))

    def _look_in_files(
        self, missing: list[str], names: list[str], hidden: dict[str, int], found: dict[str, Row]
    ) -> None:
        """Add the rows of missing keys to ``found``, from the newest file that has them."""
        for name in names:
            with self._lock:
                file = self._files.get(name) or ArchiveFile(self.folder / name)
                self._files[name] = file
                rows = list(file.find(missing))
            found.update((row[0], row) for row in rows if hidden.get(row[0], 0) < file.number)
            if rows:
                missing = [key for key in missing if key not in found]
        with self._lock:
            self._files = {name: file for name, file in self._files.items() if name in names}

    def put(self, answer: StoredAnswer) -> bool:
        """Store one answer for good; False where another was first, which stays."""
        row = (f"{answer.request_hash}{self._suffix}", *list(vars(answer).values())[1:])
        with self._lock:
            nothing_moved = "SELECT coalesce(max(number), 0) <= ? FROM archives"
            run = self._connection.execute
            if run(f"{_INSERT} WHERE ({nothing_moved})", (*row, self._newest_seen)).rowcount == 1:
                return True
        with self._writing() as run:  # another file has come, or another answer
            if self._has_moved(row[0]):
                return False
            return run(_INSERT, row).rowcount == 1

    def _has_moved(self, key: str) -> bool:
        """Whether another process's answer came and went to a file since this one looked.

        Asked inside a write transaction, in which no listed file can go. A damaged file does not
        keep an answer that was paid from being stored; who reads next is told of it.
        """
        names, hidden = self._listed()
        moved: dict[str, Row] = {}
        try:
            self._look_in_files([key], names, hidden, moved)
        except (FileNotFoundError, InputError):
            return False
        return bool(moved)

    @contextmanager
    def _writing(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """``execute`` inside one write transaction."""
        with self._lock:
            run = self._connection.execute
            run("BEGIN IMMEDIATE")
            try:
                yield run
            except BaseException:
                run("ROLLBACK")
                raise
            run("COMMIT")

    def forget(self, request_hash: str) -> None:
        """Drop one answer, so that it is asked again."""
        key = f"{request_hash}{self._suffix}"
        with self._writing() as run:
            run("DELETE FROM answers WHERE request_hash = ?", (key,))
            run(
                "INSERT INTO forgotten (request_hash, number) "
                "SELECT ?, coalesce(max(number), 0) FROM archives",
                (key,),
            )

    def forget_failures(self, keys: Iterable[str]) -> int:
        """Drop those answers that are not ``ok`` so that they are asked again; returns how many.

        Failures never leave SQLite, so none is in a file.

        Args:
            keys: as the quarantine names them.
        """
        dropped = 0
        with self._lock:
            for batch in _batches(keys, KEYS_PER_QUERY):
                marks = ",".join("?" * len(batch))
                dropped += self._connection.execute(
                    f"DELETE FROM answers WHERE status != 'ok' AND request_hash IN ({marks})", batch
                ).rowcount
        return dropped

    def size(self) -> tuple[int, int, int]:
        """Answers in SQLite, answers in Parquet files, and bytes in use by SQLite."""
        with self._lock:
            run = self._connection.execute
            rows = run("SELECT count(*) FROM answers").fetchone()[0]
            moved = run("SELECT coalesce(sum(rows), 0) FROM archives").fetchone()[0]
            return rows, moved, self.bytes_in_use()

    def bytes_in_use(self) -> int:
        """Bytes of SQLite's pages that hold something; those that a compaction freed do not."""
        with self._lock:
            pages, free, each = (
                self._connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * each)

    def paid_so_far(self) -> Iterator[Earlier]:
        """Counts of all stored answers, for a ledger that was begun later."""
        numbers: dict[Work, Counter[str]] = {}
        with self._lock:
            rows = self._connection.execute(
                "SELECT prompt_version, model, status, count(*), sum(input_tokens), "
                "sum(output_tokens), sum(coalesce(cost_usd, 0)) FROM answers GROUP BY 1, 2, 3"
            ).fetchall()
            for name in self._look([])[1]:
                rows += ArchiveFile(self.folder / name).sums()
        for version, model, status, count, tokens_in, tokens_out, cost in rows:
            work = Work(EARLIER, task_of(version), model)
            numbers.setdefault(work, Counter()).update(
                {
                    SENT: count,
                    status: count,
                    "input_tokens": tokens_in,
                    "output_tokens": tokens_out,
                    COST: round((cost or 0.0) * NANO),
                }
            )
        yield from numbers.items()

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _batches(items: Iterable[str], size: int) -> Iterator[Sequence[str]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch

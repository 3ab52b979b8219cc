"""Every answer that was paid for, by its request's hash: SQLite in the state folder.

Write-ahead logging lets several processes share it; each answer is one committed transaction, so
a killed process loses only what was still in flight. The file holds report text: it is readable by
its owner alone and belongs to the state folder, never to a shared one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import islice
from pathlib import Path

from filelock import FileLock

from infra.errors import InputError

CACHE_FILE = "llm-answers.sqlite"
LAYOUT_VERSION = 1
KEYS_PER_QUERY = 500
"""SQLite admits 999 variables in its oldest builds; our choice stays under it."""
BUSY_SECONDS = 60.0


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
        self._lock = threading.Lock()
        with FileLock(f"{self.path}.lock"):
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
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
        run(
            "CREATE TABLE IF NOT EXISTS answers (request_hash TEXT PRIMARY KEY, status TEXT, "
            "content TEXT, model TEXT, prompt_version TEXT, input_tokens INTEGER, "
            "output_tokens INTEGER, cost_usd REAL, answered_at TEXT)"
        )
        found = run("PRAGMA user_version").fetchone()[0]
        if found not in (0, LAYOUT_VERSION):
            raise InputError(
                f"{self.path} of layout {found}", f"layout {LAYOUT_VERSION}", "move it away"
            )
        run(f"PRAGMA user_version={LAYOUT_VERSION}")

    def get_many(self, hashes: Iterable[str]) -> dict[str, StoredAnswer]:
        """The stored answers among these hashes."""
        found: dict[str, StoredAnswer] = {}
        stored = (f"{key}{self._suffix}" for key in hashes)
        for keys in _batches(stored, KEYS_PER_QUERY):
            marks = ",".join("?" * len(keys))
            query = f"SELECT {','.join(COLUMNS)} FROM answers WHERE request_hash IN ({marks})"
            with self._lock:
                rows = self._connection.execute(query, keys).fetchall()
            for key, *rest in rows:
                request_hash = key.removesuffix(self._suffix)
                found[request_hash] = StoredAnswer(request_hash, *rest)
        return found

    def put(self, answer: StoredAnswer) -> bool:
        """Store one answer for good; False where another was first, which stays."""
        marks = ",".join("?" * len(COLUMNS))
        with self._lock:
            cursor = self._connection.execute(
                f"INSERT OR IGNORE INTO answers ({','.join(COLUMNS)}) VALUES ({marks})",
                (f"{answer.request_hash}{self._suffix}", *astuple(answer)[1:]),
            )
            return cursor.rowcount == 1

    def forget(self, request_hash: str) -> None:
        """Drop one answer, so that it is asked again."""
        with self._lock:
            self._connection.execute(
                "DELETE FROM answers WHERE request_hash = ?", (f"{request_hash}{self._suffix}",)
            )

    def forget_failures(self) -> int:
        """Drop every answer that is not ``ok`` so that it is asked again; returns how many."""
        with self._lock:
            return self._connection.execute("DELETE FROM answers WHERE status != 'ok'").rowcount

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _batches(items: Iterable[str], size: int) -> Iterator[Sequence[str]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch

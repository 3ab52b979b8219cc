"""Requests whose failure is final, kept with the reason until they are answered: SQLite.

The file holds report text, like the cache: readable by its owner alone, never outside the state
folder. ``release`` lets requests be asked again; it also numbers the round per source and task,
which counts as an input of the steps that asked them, so that these run again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra.errors import InputError
from infra.llm.endpoint import Endpoint
from infra.llm.ledger import task_of
from infra.llm.request import Answer, AnswerStatus, ChatRequest, schema_name

QUARANTINE_FILE = "llm-quarantine.sqlite"
LAYOUT_VERSION = 1
BUSY_SECONDS = 60.0
FINAL_FAILURES = (
    AnswerStatus.REFUSED,
    AnswerStatus.CONTENT_FILTER,
    AnswerStatus.TRUNCATED,
    AnswerStatus.INVALID,
    AnswerStatus.CONTEXT_LENGTH,
)
_OF_KEY = "WHERE request_key >= ? AND request_key < ?"
_TABLES = (
    "CREATE TABLE IF NOT EXISTS failures (request_key TEXT PRIMARY KEY, reason TEXT, source TEXT, "
    "egress TEXT, model TEXT, prompt_version TEXT, request TEXT, endpoint TEXT, "
    "input_tokens INTEGER, output_tokens INTEGER, cost_usd REAL, failed_at TEXT, times INTEGER, "
    "released_at TEXT)",
    "CREATE TABLE IF NOT EXISTS rounds (source TEXT, task TEXT, round INTEGER NOT NULL, "
    "PRIMARY KEY (source, task))",
)


@dataclass(frozen=True)
class Failure:
    """One request in quarantine, without its text.

    ``request_key`` is its key in the cache; ``released`` is 1 once it is to be asked again.
    """

    request_key: str
    reason: str
    source: str
    model: str
    prompt_version: str
    failed_at: str
    times: int
    released: int


class Quarantine:
    """The quarantine of one state folder; its file is made with the first failure."""

    def __init__(self, state_dir: Path, endpoint: Endpoint | None = None) -> None:
        self.path = state_dir / QUARANTINE_FILE
        self._suffix = f"@{endpoint.rules}" if endpoint is not None and endpoint.rules else ""
        self._host = endpoint.host if endpoint is not None else ""
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connect(self.path)
        return self._connection

    def put(self, key: str, request: ChatRequest, answer: Answer) -> None:
        """Keep a request that failed for good, with all that was asked."""
        asked = {
            "messages": [[item.role, item.content] for item in request.messages],
            "answer": schema_name(request.answer),
            "temperature": request.temperature,
            "seed": request.seed,
            "max_output_tokens": request.max_output_tokens,
        }
        values = (
            f"{key}{self._suffix}", str(answer.status), request.source, str(request.egress),
            request.model, request.prompt_version, json.dumps(asked), self._host,
            answer.input_tokens, answer.output_tokens, answer.cost_usd,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        with self._lock:
            self._open().execute(
                "INSERT INTO failures VALUES (?,?,?,?,?,?,?,?,?,?,?,?,1,NULL) "
                "ON CONFLICT DO UPDATE SET reason = excluded.reason, endpoint = excluded.endpoint, "
                "source = excluded.source, egress = excluded.egress, times = times + 1, "
                "input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, "
                "cost_usd = excluded.cost_usd, failed_at = excluded.failed_at, released_at = NULL",
                values,
            )

    def answered(self, key: str) -> None:
        """A request has got its answer: it is no failure any more."""
        with self._lock:
            if self._connection is None and not self.path.exists():
                return
            run, span = self._open(), (key, f"{key}A")  # with or without "@rules": A follows @
            if run.execute(f"SELECT 1 FROM failures {_OF_KEY}", span).fetchone():
                run.execute(f"DELETE FROM failures {_OF_KEY}", span)

    def failures(self, reason: str | None = None, source: str | None = None) -> list[Failure]:
        """What is in quarantine, by source and reason, oldest first."""
        with self._lock:
            if self._connection is None and not self.path.exists():
                return []
            rows = self._open().execute(
                "SELECT request_key, reason, source, model, prompt_version, failed_at, times, "
                "released_at IS NOT NULL FROM failures WHERE coalesce(?1, reason) = reason "
                "AND coalesce(?2, source) = source ORDER BY source, reason, failed_at, request_key",
                (reason, source),
            )
            return [Failure(*row) for row in rows]

    def release(self, failures: Sequence[Failure]) -> None:
        """Mark requests as to be asked again, and number the round of their sources and tasks."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock:
            run = self._open()
            run.execute("BEGIN IMMEDIATE")
            run.executemany(
                "UPDATE failures SET released_at = ? WHERE request_key = ?",
                [(now, item.request_key) for item in failures],
            )
            run.executemany(
                "INSERT INTO rounds VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET round = round + 1",
                sorted({(item.source, task_of(item.prompt_version)) for item in failures}),
            )
            run.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def retry_rounds(state_dir: Path, tasks: Iterable[str], source: str | None = None) -> int:
    """How often failures of these tasks were released, of one source or of all; 0 without any."""
    path, wanted = state_dir / QUARANTINE_FILE, sorted(tasks)
    if not path.exists():
        return 0
    marks = ",".join("?" * len(wanted))
    with closing(_connect(path)) as run:
        return int(
            run.execute(
                "SELECT coalesce(sum(round), 0) FROM rounds "
                f"WHERE task IN ({marks}) AND source = coalesce(?, source)",
                [*wanted, source],
            ).fetchone()[0]
        )


def _connect(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, LAYOUT_VERSION):
            raise InputError(
                f"{path} of layout {found}", f"layout {LAYOUT_VERSION}", "move it away"
            )
        if found == 0:
            for table in _TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA user_version={LAYOUT_VERSION}")
    except sqlite3.DatabaseError:
        connection.close()
        raise InputError(f"{path} that is no quarantine", "a SQLite file", "move it away") from None
    return connection

"""What was asked, kept, lost and paid, per source, task and model: SQLite in the state folder.

Every process of a data root adds to one table of counts, so that a budget holds for all of them
and ``cxr llm status`` can look on. Counts gather in memory (a few microseconds a request) and are
written once a second, or at once where money is guarded. Requests in flight belong to a process:
what a killed one had in flight counts as lost, and what it had reserved is released.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import NamedTuple

import psutil
from filelock import FileLock

from infra.errors import InputError
from infra.llm.layout import layout_of
from infra.llm.request import ChatRequest
from infra.log import LOGGER

LEDGER_FILE = "llm-ledger.sqlite"
LAYOUT_VERSION = 1
NANO = 1_000_000_000
"""Money is counted in whole billionths of a dollar: sums of integers do not drift, and a single
token of the cheapest model (1.5e-7 dollars) is still 150 of them."""
COST, SENT, REPLAYED = "cost_nano", "sent", "replayed"
RETRIED, REFUSED_429 = "retried", "rate_limited"
"""Tries that brought no reply and were made again, and those that were answered 429."""
EARLIER = "(earlier)"
"""The source of what the cache held before there was a ledger: the cache does not know it."""
FLUSH_SECONDS = 1.0
HEARTBEAT_SECONDS = 60.0
FOREIGN_SECONDS = 600.0
"""Our choice: a process of another host (containers share a folder, not process numbers) counts as
dead when ten of its heartbeats are missing."""
BUSY_SECONDS = 60.0
_SAME_START_S = 2.0
"""A process number counts as the same process if it started within this of what was noted."""
_TABLES = (
    "CREATE TABLE IF NOT EXISTS counts (what TEXT, source TEXT, task TEXT, model TEXT, "
    "number INTEGER NOT NULL, PRIMARY KEY (what, source, task, model)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS processes (id TEXT PRIMARY KEY, host TEXT, pid INTEGER, "
    "born REAL, seen REAL, reserved INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS in_flight (process TEXT, source TEXT, task TEXT, model TEXT, "
    "number INTEGER NOT NULL, PRIMARY KEY (process, source, task, model)) WITHOUT ROWID",
)


class Work(NamedTuple):
    """What counts are kept for: one task of one source, asked of one model."""

    source: str
    task: str
    model: str


def task_of(prompt_version: str) -> str:
    """``structure`` for ``structure-3``."""
    return prompt_version.rpartition("-")[0] or prompt_version


def work_of(request: ChatRequest) -> Work:
    """Whose counts a request belongs to."""
    return Work(request.source, task_of(request.prompt_version), request.model)


@dataclass(frozen=True)
class Observed:
    """Sums over the paid exchanges of a task with a model; all 0 before the first.

    ``milliseconds`` is how long the ``timed`` ones took: those of batches tell no latency.
    """

    asks: int
    input_characters: int
    input_tokens: int
    output_tokens: int
    timed: int
    milliseconds: int


Earlier = tuple[Work, Mapping[str, int]]


class Ledger:
    """The counts of one state folder; safe for threads and processes. Close it.

    Args:
        earlier: what was paid before this ledger existed; asked once, when it is made.

    Raises:
        InputError: the file is not such a ledger.
    """

    def __init__(
        self, state_dir: Path, earlier: Callable[[], Iterable[Earlier]] | None = None
    ) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.path = state_dir / LEDGER_FILE
        self._lock = threading.RLock()
        self._pending: Counter[tuple[str, Work]] = Counter()
        self._totals: Counter[tuple[str, str, str]] = Counter()
        self._in_flight: Counter[Work] = Counter()
        self._moved: set[Work] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._own_id, self._seen = uuid.uuid4().hex, time.time()
        with FileLock(f"{self.path}.lock"):
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                is_new = self._prepare()
            except sqlite3.DatabaseError:
                self._connection.close()
                raise InputError(
                    f"{self.path} that is not a ledger", "a SQLite file", "move it away"
                ) from None
            self._register(earlier() if is_new and earlier is not None else ())
        for what, task, model, number in self._connection.execute(
            "SELECT what, task, model, sum(number) FROM counts GROUP BY what, task, model"
        ):
            self._totals[what, task, model] = number

    def _prepare(self) -> bool:
        run = self._connection.execute
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=NORMAL")  # a power cut may cost the last second, never the file
        found = layout_of(self._connection, self.path, LAYOUT_VERSION)
        for table in _TABLES:
            run(table)
        return bool(found == 0)

    def _register(self, earlier: Iterable[Earlier]) -> None:
        born = psutil.Process().create_time()
        with self.transaction() as run:
            for work, numbers in earlier:
                for what, number in numbers.items():
                    _add(run, what, work, number)
            run.execute(
                "INSERT INTO processes VALUES (?, ?, ?, ?, ?, 0)",
                (self._own_id, gethostname(), os.getpid(), born, self._seen),
            )
            run.execute(f"PRAGMA user_version={LAYOUT_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection inside one write transaction that no other process interrupts."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def add(self, work: Work, **numbers: int) -> None:
        """Count; written within a second."""
        with self._lock:
            for what, number in numbers.items():
                if number:
                    self._pending[what, work] += number
                    self._totals[what, work.task, work.model] += number
            self._wake()

    def move(self, work: Work, change: int) -> None:
        """Count requests into flight (+1) or out of it (-1)."""
        with self._lock:
            self._in_flight[work] += change
            self._moved.add(work)
            self._wake()

    def observed(self, task: str, model: str) -> Observed:
        """What exchanges of this task with this model took so far, over all sources."""
        with self._lock:
            return Observed(
                *(self._totals[what, task, model] for what in Observed.__dataclass_fields__)
            )

    def has_company(self) -> bool:
        """Whether other processes work in this state folder, or were killed there."""
        with self._lock:
            others = "SELECT 1 FROM processes WHERE id != ? LIMIT 1"
            return self._connection.execute(others, (self._own_id,)).fetchone() is not None

    def _wake(self) -> None:
        if self._thread is None and not self._stop.is_set():
            self._thread = threading.Thread(
                target=self._flush_regularly, name="ledger", daemon=True
            )
            self._thread.start()

    def _flush_regularly(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            try:
                self.flush()
            except sqlite3.OperationalError as error:  # a full disk, say; the counts are kept
                LOGGER.warning("counts of the language model wait in memory: %s", error)

    def flush(self) -> None:
        """Write what has gathered."""
        with self._lock:
            late = time.time() - self._seen > HEARTBEAT_SECONDS
            if self._pending or self._moved or late:
                with self.transaction() as run:
                    self.write_pending(run)

    def write_pending(self, run: sqlite3.Connection) -> None:
        """Write what has gathered, inside a transaction of the caller."""
        for (what, work), number in self._pending.items():
            _add(run, what, work, number)
        for work in self._moved:
            run.execute(
                "INSERT OR REPLACE INTO in_flight VALUES (?, ?, ?, ?, ?)",
                (self._own_id, *work, self._in_flight[work]),
            )
        self._seen = time.time()
        run.execute("UPDATE processes SET seen = ? WHERE id = ?", (self._seen, self._own_id))
        self._pending.clear()
        self._moved.clear()

    def reserve(self, run: sqlite3.Connection, change: int) -> None:
        """Change what this process has reserved, in billionths of a dollar."""
        run.execute(
            "UPDATE processes SET reserved = reserved + ? WHERE id = ?", (change, self._own_id)
        )

    def close(self) -> None:
        """Write what is left and take this process off the list; a second time does nothing."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock, closing(self._connection), self.transaction() as run:
            self.write_pending(run)
            _remove_process(run, self._own_id)


def _add(run: sqlite3.Connection, what: str, work: Work, number: int) -> None:
    run.execute(
        "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
        "SET number = number + excluded.number",
        (what, *work, number),
    )


def _remove_process(run: sqlite3.Connection, process: str) -> None:
    run.execute("DELETE FROM processes WHERE id = ?", (process,))
    run.execute("DELETE FROM in_flight WHERE process = ?", (process,))


def money(run: sqlite3.Connection) -> tuple[int, int]:
    """What is spent and what is reserved by all processes, in billionths of a dollar."""
    spent = "SELECT coalesce(sum(number), 0) FROM counts WHERE what = ?"
    reserved = "SELECT coalesce(sum(reserved), 0) FROM processes"
    return run.execute(spent, (COST,)).fetchone()[0], run.execute(reserved).fetchone()[0]


def dead_processes(run: sqlite3.Connection) -> list[str]:
    """Ids of processes that ended without closing their ledger."""
    rows = run.execute("SELECT id, host, pid, born, seen FROM processes").fetchall()
    return [name for name, *facts in rows if not _is_alive(*facts)]


def release_dead(run: sqlite3.Connection) -> int:
    """Drop what dead processes had in flight and reserved; how many there were."""
    dead = dead_processes(run)
    for name in dead:
        _remove_process(run, name)
    return len(dead)


def _is_alive(host: str, pid: int, born: float, seen: float) -> bool:
    if host != gethostname():
        return time.time() - seen < FOREIGN_SECONDS
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - born) < _SAME_START_S
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

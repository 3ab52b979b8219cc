"""Which requests are under way in which batch, and replies not yet fetched: SQLite, one file.

A *job* is one input file and its batch. A request is part of one open job at most: ``claim`` is a
single transaction, so two processes cannot put it into two files. A job goes

    claimed     nothing is known to have been sent
    uploaded    ``file_id`` is known
    created     ``batch_id`` is known
    finished    its replies are stored here, its requests are free, its remote files to be deleted

and each step is written down after it was made. A process that dies between the two leaves a job
whose next owner looks at the server first. The file holds report text (replies) until the replies
are in the answer cache: its owner alone may read it, and what is deleted is overwritten.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from filelock import FileLock

from infra.errors import InputError
from infra.llm.layout import layout_of
from infra.llm.transport import Reply

BATCH_FILE = "llm-batches.sqlite"
LOCK_FOLDER = "llm-batch-locks"
LAYOUT_VERSION = 1
BUSY_SECONDS = 60.0
KEPT_SECONDS = 30 * 24 * 3600.0
"""OpenAI keeps files of batches for 30 days at most; an older job has nothing left to fetch."""
TABLES = """
CREATE TABLE IF NOT EXISTS jobs (job_id TEXT PRIMARY KEY, place TEXT, file_id TEXT,
    batch_id TEXT, leftovers TEXT, due_at REAL, created_at REAL);
CREATE TABLE IF NOT EXISTS requests (place TEXT, request_hash TEXT, job_id TEXT,
    PRIMARY KEY (place, request_hash)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS requests_of_job ON requests (job_id);
CREATE TABLE IF NOT EXISTS replies (place TEXT, request_hash TEXT, reply TEXT,
    PRIMARY KEY (place, request_hash)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Job:
    """An open job; times are seconds of the Unix clock."""

    job_id: str
    file_id: str | None
    batch_id: str | None
    due_at: float
    created_at: float


class BatchState:
    """The jobs of one state folder at one place (endpoint and rules).

    Raises:
        InputError: the file is not such a state.
    """

    def __init__(self, state_dir: Path, place: str) -> None:
        self.path = state_dir / BATCH_FILE
        self._locks = state_dir / LOCK_FOLDER
        self._place = place
        self._locks.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                self._prepare()
            except sqlite3.DatabaseError:
                self._database.close()
                raise InputError(
                    f"{self.path} that is no state of batches", "a SQLite file", "move it away"
                ) from None

    def _prepare(self) -> None:
        run = self._database.execute
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA secure_delete=ON")
        layout_of(self._database, self.path, LAYOUT_VERSION)
        self._database.executescript(TABLES)
        run(f"PRAGMA user_version={LAYOUT_VERSION}")
        with self._transaction():
            oldest = (time.time() - KEPT_SECONDS,)
            old = "SELECT job_id FROM jobs WHERE created_at < ?"
            run(f"DELETE FROM requests WHERE job_id IN ({old})", oldest)
            run("DELETE FROM jobs WHERE created_at < ?", oldest)

    def claim(self, groups: Sequence[Sequence[str]], due_at: float) -> list[Job]:
        """A new job for each group, without the requests that an open job has already."""
        now = time.time()
        jobs = []
        with self._transaction():
            for group in groups:
                taken = self._owners(group)
                free = [key for key in group if key not in taken]
                if not free:
                    continue
                job = Job(token_hex(12), None, None, due_at, now)
                jobs.append(job)
                self._database.execute(
                    "INSERT INTO jobs VALUES (?, ?, NULL, NULL, NULL, ?, ?)",
                    (job.job_id, self._place, due_at, now),
                )
                self._database.executemany(
                    "INSERT INTO requests VALUES (?, ?, ?)",
                    [(self._place, key, job.job_id) for key in free],
                )
        return jobs

    def open_jobs(self, keys: Iterable[str]) -> list[str]:
        """Ids of the open jobs that any of these requests is part of."""
        return sorted(set(self._owners(keys).values()))

    def _owners(self, keys: Iterable[str]) -> dict[str, str]:
        return dict(self._among("SELECT request_hash, job_id FROM requests", keys))

    def _among(self, select: str, keys: Iterable[str]) -> list[Any]:
        condition = "place = ? AND request_hash IN (SELECT value FROM json_each(?))"
        query = f"{select} WHERE {condition}"
        return self._database.execute(query, (self._place, json.dumps(list(keys)))).fetchall()

    def job(self, job_id: str) -> Job | None:
        """An open job, None once it is finished or released."""
        row = self._database.execute(
            "SELECT job_id, file_id, batch_id, due_at, created_at FROM jobs "
            "WHERE job_id = ? AND leftovers IS NULL",
            (job_id,),
        ).fetchone()
        return None if row is None else Job(*row)

    def requests_of(self, job_id: str) -> list[str]:
        """The hashes of a job's requests, in the order in which they stand in its file."""
        rows = self._database.execute(
            "SELECT request_hash FROM requests WHERE job_id = ? ORDER BY request_hash", (job_id,)
        )
        return [row[0] for row in rows]

    def uploaded(self, job_id: str, file_id: str) -> None:
        self._database.execute("UPDATE jobs SET file_id = ? WHERE job_id = ?", (file_id, job_id))

    def created(self, job_id: str, batch_id: str) -> None:
        self._database.execute("UPDATE jobs SET batch_id = ? WHERE job_id = ?", (batch_id, job_id))

    def finish(self, job_id: str, replies: Mapping[str, Reply], leftovers: Sequence[str]) -> None:
        """Store what came back, set all requests free, and note the files to delete."""
        with self._transaction():
            self._database.executemany(
                "INSERT OR IGNORE INTO replies VALUES (?, ?, ?)",
                [(self._place, key, json.dumps(asdict(reply))) for key, reply in replies.items()],
            )
            self._database.execute("DELETE FROM requests WHERE job_id = ?", (job_id,))
            self._database.execute(
                "UPDATE jobs SET leftovers = ? WHERE job_id = ?", (json.dumps(leftovers), job_id)
            )

    def replies(self, keys: Iterable[str]) -> dict[str, Reply]:
        """The stored replies to these requests."""
        rows = self._among("SELECT request_hash, reply FROM replies", keys)
        return {key: Reply(**json.loads(reply)) for key, reply in rows}

    def drop_reply(self, key: str) -> bool:
        """Forget a reply that is in the cache now; False where another process did."""
        cursor = self._database.execute(
            "DELETE FROM replies WHERE place = ? AND request_hash = ?", (self._place, key)
        )
        return cursor.rowcount == 1

    def leftovers(self) -> dict[str, list[str]]:
        """Remote files to delete, by finished job."""
        rows = self._database.execute(
            "SELECT job_id, leftovers FROM jobs WHERE place = ? AND leftovers IS NOT NULL",
            (self._place,),
        )
        return {job_id: json.loads(files) for job_id, files in rows}

    def forget(self, job_id: str) -> None:
        """Drop a job and set its requests free."""
        with self._transaction():
            self._database.execute("DELETE FROM requests WHERE job_id = ?", (job_id,))
            self._database.execute("DELETE FROM jobs WHERE job_id = ?", (job_id,))
        (self._locks / job_id).unlink(missing_ok=True)

    @contextmanager
    def owning(self, job_id: str) -> Iterator[bool]:
        """Whether this caller owns the job for the length of the block; a death gives it back.

        The lock file goes with the job. Somebody may still wait for a lock that is gone: who gets
        one looks whether the job is still open.
        """
        number = os.open(self._locks / job_id, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(number)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def close(self) -> None:
        self._database.close()

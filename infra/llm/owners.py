"""Whose each request is, without saying who: keyed digests beside the answer cache.

A row holds the digest of a study, or of its subject, and the hash of a request that holds its text.
It is written before the request is sent, and again when its answer is replayed, so that an answer
can be taken out whatever artifacts are left. The key is random and lies in the same file: the
digests tell nothing to whoever has not got the file, and whoever has it may read the answers too.
No answer is told apart by it: a request of two studies has rows of both.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Final

from filelock import FileLock

from infra.errors import InputError
from infra.llm.layout import layout_of
from infra.llm.request import ChatRequest
from infra.sqlite_files import rewrite

OWNERS_FILE: Final = "llm-owners.sqlite"
LAYOUT_VERSION: Final = 1
BUSY_SECONDS: Final = 60.0
_DIGEST_BYTES: Final = 16
"""128 bits, as a request's hash has."""
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS secret (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS owners (owner BLOB, request BLOB, PRIMARY KEY (owner, request)) "
    "WITHOUT ROWID",
)


class Owners:
    """The owners of one state folder's requests; safe for threads and processes.

    Raises:
        InputError: the file is not such a list.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / OWNERS_FILE
        self._lock = threading.Lock()
        with FileLock(f"{self.path}.lock"):
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._key = self._prepare()
            except sqlite3.DatabaseError:
                self._connection.close()
                raise InputError(
                    f"{self.path} that is no list of owners", "a SQLite file", "move it away"
                ) from None

    def _prepare(self) -> bytes:
        run = self._connection.execute
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")  # on disk before the answer may be
        layout_of(self._connection, self.path, LAYOUT_VERSION)
        for table in _TABLES:
            run(table)
        run("INSERT OR IGNORE INTO secret VALUES (1, ?)", (secrets.token_bytes(32),))
        run(f"PRAGMA user_version={LAYOUT_VERSION}")
        return bytes(run("SELECT key FROM secret").fetchone()[0])

    def note(self, requests: Iterable[tuple[str, ChatRequest]]) -> None:
        """Note whose these requests are; those that tell no study are passed over."""
        rows = [
            (owner, bytes.fromhex(key)) for key, request in requests for owner in self._of(request)
        ]
        if not rows:
            return
        with self._lock:
            run = self._connection.execute
            run("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT OR IGNORE INTO owners VALUES (?, ?)", rows)
            except BaseException:
                run("ROLLBACK")
                raise
            run("COMMIT")

    def _of(self, request: ChatRequest) -> Iterable[bytes]:
        if request.study_id is not None:
            yield self._digest("study", request.source, request.study_id)
            yield self._digest("owner", request.source, request.subject_id or request.study_id)

    def _digest(self, kind: str, source: str, name: str) -> bytes:
        told = "\0".join((kind, source, name)).encode("utf-8", "surrogatepass")
        return blake2b(told, key=self._key, digest_size=_DIGEST_BYTES).digest()

    def _digests(
        self, sources: Iterable[str], owner: str | None, studies: Iterable[str]
    ) -> list[tuple[bytes]]:
        named = [("study", study) for study in studies]
        named += [("owner", owner)] if owner is not None else []
        return [(self._digest(kind, each, name),) for each in sources for kind, name in named]

    def requests_of(
        self, sources: Iterable[str], owner: str | None, studies: Iterable[str]
    ) -> set[str]:
        """Hashes of the requests of these studies and of a subject (a study's id without one)."""
        query = "SELECT request FROM owners WHERE owner = ?"
        with self._lock:
            return {
                bytes(request).hex()
                for digest in self._digests(sources, owner, studies)
                for (request,) in self._connection.execute(query, digest)
            }

    def all_requests(self) -> set[str]:
        """Hashes of every request whose owner is known."""
        with self._lock:
            rows = self._connection.execute("SELECT DISTINCT request FROM owners")
            return {bytes(request).hex() for (request,) in rows}

    def forget(self, sources: Iterable[str], owner: str | None, studies: Iterable[str]) -> None:
        """Drop all rows of these owners; ``rewrite_owners`` takes them out of the file."""
        with self._lock:
            self._connection.executemany(
                "DELETE FROM owners WHERE owner = ?", self._digests(sources, owner, studies)
            )

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def known_requests(state: Path) -> set[str]:
    """Hashes of every request of a state folder whose owner is known; none where nothing is."""
    if not (state / OWNERS_FILE).exists():
        return set()
    with closing(Owners(state)) as owners:
        return owners.all_requests()


def drop_owners(
    state: Path, sources: Iterable[str], owner: str | None, studies: Iterable[str]
) -> None:
    """Take owners out of the file for good."""
    if not (state / OWNERS_FILE).exists():
        return
    with closing(Owners(state)) as owners:
        owners.forget(sources, owner, studies)
    rewrite(state / OWNERS_FILE)

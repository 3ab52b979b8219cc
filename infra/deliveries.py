"""The delivery log of registry and file events: each noticed once, delivered once, tried again.

It lies in the state folder as SQLite, so that it survives restarts, and several watchers of one
folder share it: what one has taken no other takes, unless its process is gone.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from infra.store import explained_place, make_folder
from infra.tracking_runs import OWNER_TAG, is_abandoned, this_process

State = Literal["waiting", "running", "delivered", "failed", "overtaken"]
"""``overtaken``: the alias moved on before it was delivered."""
MOST_ATTEMPTS: Final = 6
FIRST_WAIT_S: Final = 30.0
"""Doubled after each attempt: a quarter of an hour in all, which gets over a server's restart. Our
choice."""
_BUSY_S: Final = 30.0  # how long a reader waits for another watcher's transaction (our choice)
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS seen (
    registry TEXT NOT NULL, model TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (registry, model)
);
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, registry TEXT NOT NULL,
    model TEXT NOT NULL, version INTEGER NOT NULL, noticed_at REAL NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL, next_at REAL NOT NULL, owner TEXT NOT NULL, ended_at REAL,
    detail TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class Delivery:
    """One event: alias candidate of ``model`` was set to ``version``; or the files of a source
    (``model``) came to a state (``version``). Times are seconds since 1970.

    Args:
        key: names it to whoever gets it, who may have got it before.
        next_at: not tried again before.
        detail: what came of it, or why it failed.
    """

    number: int
    key: str
    model: str
    version: int
    noticed_at: float
    state: State
    attempts: int
    next_at: float
    ended_at: float | None
    detail: str


_COLUMNS: Final = (
    "number, key, model, version, noticed_at, state, attempts, next_at, ended_at, detail"
)


@dataclass(frozen=True)
class Deliveries:
    """The log in a file; ``registry`` tells one registry's models from another's."""

    path: Path
    registry: str

    def notice(
        self, aliased: Mapping[str, int], now: float, *, is_all: bool = True
    ) -> list[Delivery]:
        """Enter every model whose alias was set or moved since the last look.

        What is no longer where it was is forgotten, and counts anew when it is set again; events
        that wait for a version that was replaced are overtaken.

        Args:
            is_all: whether what is not named is no longer there; else nothing is known of it.
        """
        with self._transaction() as database:
            rows = database.execute(
                "SELECT model, version FROM seen WHERE registry = ?", (self.registry,)
            ).fetchall()
            known: dict[str, int] = dict(rows)
            for model in known.keys() - aliased.keys() if is_all else ():
                self._forget(database, model, now)
            changed = [name for name in sorted(aliased) if known.get(name) != aliased[name]]
            numbers = set()
            for model in changed:
                self._forget(database, model, now)
                numbers.add(self._enter(database, model, aliased[model], now))
        return [one for one in self.all() if one.number in numbers]

    def _forget(self, database: sqlite3.Connection, model: str, now: float) -> None:
        place = (self.registry, model)
        database.execute("DELETE FROM seen WHERE registry = ? AND model = ?", place)
        database.execute(
            "UPDATE deliveries SET state = 'overtaken', ended_at = ?, "
            "detail = 'the alias moved on' WHERE registry = ? AND model = ? AND state = 'waiting'",
            (now, *place),
        )

    def _enter(
        self, database: sqlite3.Connection, model: str, version: int, now: float
    ) -> int | None:
        database.execute("INSERT INTO seen VALUES (?, ?, ?)", (self.registry, model, version))
        done = database.execute(
            "INSERT INTO deliveries (key, registry, model, version, noticed_at, state, attempts, "
            "next_at, owner, detail) VALUES (?, ?, ?, ?, ?, 'waiting', 0, ?, '', '')",
            (uuid.uuid4().hex, self.registry, model, version, now, now),
        )
        return done.lastrowid

    def take(self, now: float) -> Delivery | None:
        """The next one that is due, now this process's; None where none is."""
        with self._transaction() as database:
            self._free_abandoned(database)
            row = database.execute(
                f"SELECT {_COLUMNS} FROM deliveries WHERE registry = ? AND state = 'waiting' "
                "AND next_at <= ? ORDER BY number LIMIT 1",
                (self.registry, now),
            ).fetchone()
            if row is None:
                return None
            database.execute(
                "UPDATE deliveries SET state = 'running', attempts = attempts + 1, owner = ? "
                "WHERE number = ?",
                (this_process(), row[0]),
            )
        return self._one(row[0])

    def _free_abandoned(self, database: sqlite3.Connection) -> None:
        """What a killed watcher had taken waits again."""
        rows = database.execute(
            "SELECT number, owner FROM deliveries WHERE registry = ? AND state = 'running'",
            (self.registry,),
        ).fetchall()
        for number, owner in rows:
            if is_abandoned({OWNER_TAG: owner}):
                database.execute(
                    "UPDATE deliveries SET state = 'waiting' WHERE number = ?", (number,)
                )

    def delivered(self, delivery: Delivery, detail: str, now: float) -> None:
        """It was delivered."""
        self._end(delivery, "delivered", detail, now)

    def failed(self, delivery: Delivery, why: str, now: float) -> Delivery:
        """It was not: it waits, longer each time, until it was tried often enough."""
        if delivery.attempts >= MOST_ATTEMPTS:
            self._end(delivery, "failed", why, now)
        else:
            wait = FIRST_WAIT_S * 2 ** (delivery.attempts - 1)
            with self._transaction() as database:
                database.execute(
                    "UPDATE deliveries SET state = 'waiting', next_at = ?, detail = ? "
                    "WHERE number = ?",
                    (now + wait, why, delivery.number),
                )
        return self._one(delivery.number)

    def _end(self, delivery: Delivery, state: State, detail: str, now: float) -> None:
        with self._transaction() as database:
            database.execute(
                "UPDATE deliveries SET state = ?, ended_at = ?, detail = ? WHERE number = ?",
                (state, now, detail, delivery.number),
            )

    def all(self) -> list[Delivery]:
        """Every event in its order."""
        with self._transaction() as database:
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM deliveries WHERE registry = ? ORDER BY number",
                (self.registry,),
            ).fetchall()
        return [Delivery(*row) for row in rows]

    def _one(self, number: int) -> Delivery:
        return next(one for one in self.all() if one.number == number)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other watcher's overlaps.

        Raises:
            InputError: the state folder cannot be written.
        """
        make_folder(self.path.parent)
        with (
            explained_place(str(self.path.parent)),
            closing(sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)) as database,
        ):
            database.executescript(_TABLES)
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")

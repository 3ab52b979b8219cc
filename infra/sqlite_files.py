"""SQLite files as places where something may still stand: read cell by cell, written anew.

Deleted rows stay readable in free pages and in the write-ahead log until both are written anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from infra.errors import InputError

BUSY_SECONDS: Final = 5.0
"""Our choice: who holds a lock for longer is a server at work, and is named."""
_MAGIC: Final = b"SQLite format 3\0"
BESIDE: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database."""

Change = Callable[[str], str]


def is_database(path: Path) -> bool:
    """Whether a file begins as a SQLite database does; its log and index are none."""
    if path.name.endswith(BESIDE):
        return False
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


@contextmanager
def open_rows(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that commits each statement by itself and reads damaged text as it is.

    Raises:
        InputError: another process holds the database.
    """
    with (
        closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection,
        _explained(path),
    ):
        connection.text_factory = _text
        yield connection


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's own words may quote what is stored: only the name of its error is told."""
    try:
        yield
    except sqlite3.Error as error:
        why = getattr(error, "sqlite_errorname", type(error).__name__)
        raise InputError(
            f"a database at {path} that cannot be changed ({why})",
            "one that no other process uses",
            "stop the server or run that uses it and run again",
        ) from None


def tables_of(connection: sqlite3.Connection) -> list[str]:
    """Names of the tables that hold rows of their own."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' "
        "ORDER BY name"
    )
    return [name for (name,) in rows]


def cells(path: Path) -> Iterator[tuple[str, bytes]]:
    """Table and content of every cell that holds text or bytes."""
    with open_rows(path) as connection:
        for table in tables_of(connection):
            for row in connection.execute(f"SELECT * FROM {_quoted(table)}"):
                for value in row:
                    if isinstance(value, str):
                        yield table, value.encode("utf-8", "surrogateescape")
                    elif isinstance(value, bytes):
                        yield table, value


def change_texts(path: Path, change: Change, *, dry_run: bool = False) -> int:
    """Replace each text by ``change`` of it; how many rows were changed.

    Raises:
        InputError: another process holds the database.
    """
    changed = 0
    with open_rows(path) as connection:
        for table in tables_of(connection):
            changed += _change_table(connection, table, change, dry_run)
    if changed and not dry_run:
        rewrite(path)
    return changed


def _change_table(connection: sqlite3.Connection, table: str, change: Change, dry_run: bool) -> int:
    told = connection.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()
    names = [column[1] for column in told]
    keys = [column[1] for column in sorted(told, key=lambda each: each[5]) if column[5]] or [
        "rowid"
    ]
    chosen = ", ".join(_quoted(name) for name in [*keys, *names])
    updates = []
    for row in connection.execute(f"SELECT {chosen} FROM {_quoted(table)}"):
        key, values = row[: len(keys)], row[len(keys) :]
        fresh = [change(value) if isinstance(value, str) else value for value in values]
        if list(values) != fresh:
            updates.append((*fresh, *key))
    if updates and not dry_run:
        assigned = ", ".join(f"{_quoted(name)} = ?" for name in names)
        where = " AND ".join(f"{_quoted(key)} IS ?" for key in keys)
        connection.executemany(f"UPDATE {_quoted(table)} SET {assigned} WHERE {where}", updates)
    return len(updates)


def rewrite(path: Path) -> None:
    """Write a database anew, so that nothing deleted is left in it or in its log.

    Raises:
        InputError: another process holds the database.
    """
    with open_rows(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise InputError(
            f"a database at {path} whose log another process reads",
            "one that no other process uses",
            "stop the server or run that uses it and run again",
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

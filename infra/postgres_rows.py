"""PostgreSQL databases as places where something may still stand: read cell by cell, changed there.

What ``sqlite_files`` is for SQLite. A changed table is written anew (``VACUUM FULL``), for a row
that was changed stays readable in its pages otherwise; the server's log of writes is recycled by
the server, in its own time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from infra.errors import InputError
from infra.settings.environment import without_password

if TYPE_CHECKING:
    import psycopg2

_SCHEME: Final = "postgres"
_BUSY: Final = "5s"
"""Our choice: who holds a lock for longer is a server at work, and is named."""
_ROWS_AT_ONCE: Final = 2_000
_COLUMNS: Final = """
    SELECT c.oid::regclass::text, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND n.nspname NOT LIKE 'pg\\_%' AND a.attgenerated = ''
    ORDER BY 1, a.attnum
"""
_TEXTS: Final = ("text", "character", "json", "bytea", "name", "xml", "citext")
"""What a type's name begins with that holds text or bytes; lists of them too."""

Change = Callable[[str], str]


def is_postgres(url: str) -> bool:
    """Whether an address is that of a PostgreSQL database, as SQLAlchemy or libpq writes it."""
    return urlsplit(url).scheme.partition("+")[0] in (_SCHEME, f"{_SCHEME}ql")


def cells(url: str) -> Iterator[tuple[str, bytes]]:
    """Table and content of every cell that holds text or bytes.

    Raises:
        InputError: nobody answers there, or another process holds a table.
    """
    with _opened(url) as connection:
        for table, columns in _tables(connection).items():
            for row in _rows(connection, table, columns):
                for value in row[1:]:
                    yield from ((table, data) for data in _contents(value))


def values_of(url: str, table: str, column: str) -> set[str]:
    """The distinct texts of one column; none where there is no such table.

    Raises:
        InputError: as ``cells``.
    """
    with _opened(url) as connection:
        if column not in [name for name, _ in _tables(connection).get(table, ())]:
            return set()
        return {str(row[0]) for row in _fetched(connection, f"SELECT {column} FROM {table}")}


def change_texts(url: str, change: Change, *, dry_run: bool = False) -> int:
    """Replace each text by ``change`` of it; how many rows were changed.

    Raises:
        InputError: as ``cells``.
    """
    changed: dict[str, int] = {}
    with _opened(url) as connection:
        for table, columns in _tables(connection).items():
            changed[table] = _change_table(connection, table, columns, change, dry_run)
        connection.commit()
        connection.autocommit = True
        for table in [name for name, count in changed.items() if count and not dry_run]:
            with connection.cursor() as cursor:
                cursor.execute(f"VACUUM FULL {table}")
    return sum(changed.values())


Columns = Sequence[tuple[str, str]]
"""Name, as SQL writes it, and type of each."""


def _change_table(
    connection: psycopg2.extensions.connection,
    table: str,
    columns: Columns,
    change: Change,
    dry_run: bool,
) -> int:
    if not dry_run:
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
    updates = []
    for place, *values in _rows(connection, table, columns):
        fresh = [
            _changed(value, kind, change) for value, (_, kind) in zip(values, columns, strict=True)
        ]
        if fresh != list(values):
            updates.append((*fresh, place))
    if updates and not dry_run:
        assigned = ", ".join(f"{name} = CAST(%s AS {kind})" for name, kind in columns)
        with connection.cursor() as cursor:
            statement = f"UPDATE {table} SET {assigned} WHERE ctid = CAST(%s AS tid)"
            cursor.executemany(statement, updates)
    return len(updates)


def _changed(value: Any, kind: str, change: Change) -> Any:
    if isinstance(value, list):
        return [_changed(each, kind, change) for each in value]
    if not isinstance(value, str):
        return value
    if not kind.startswith("json"):
        return change(value)
    told = json.loads(value)
    fresh = _walked(told, change)
    return value if fresh == told else json.dumps(fresh)


def _walked(told: Any, change: Change) -> Any:
    """A JSON value with each text changed; a number is a text here too, and becomes one."""
    if isinstance(told, dict):
        return {change(name): _walked(each, change) for name, each in told.items()}
    if isinstance(told, list):
        return [_walked(each, change) for each in told]
    if isinstance(told, int | float) and not isinstance(told, bool):
        fresh = change(json.dumps(told))
        return told if fresh == json.dumps(told) else fresh
    return change(told) if isinstance(told, str) else told


def _contents(value: Any) -> Iterator[bytes]:
    if isinstance(value, list):
        for each in value:
            yield from _contents(each)
    elif isinstance(value, str):
        yield value.encode("utf-8", "surrogateescape")
    elif isinstance(value, memoryview | bytes):
        yield bytes(value)


def _tables(connection: psycopg2.extensions.connection) -> dict[str, Columns]:
    """By table its columns that hold text or bytes."""
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in _fetched(connection, _COLUMNS):
        if kind.startswith(_TEXTS):
            found.setdefault(table, []).append((column, kind))
    return dict(found)


def _fetched(connection: psycopg2.extensions.connection, statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _rows(
    connection: psycopg2.extensions.connection, table: str, columns: Columns
) -> Iterator[tuple[Any, ...]]:
    """Each row's place and texts, some at a time; JSON as it is written."""
    chosen = ", ".join(
        f"CAST({name} AS text)" if kind.startswith(("json", "xml", "citext")) else name
        for name, kind in columns
    )
    with connection.cursor(name="rows") as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        cursor.execute(f"SELECT CAST(ctid AS text), {chosen} FROM {table}")
        yield from cursor


@contextmanager
def _opened(url: str) -> Iterator[psycopg2.extensions.connection]:
    """A connection; the server's own words may quote what is stored, so its error's name is told.

    Raises:
        InputError: there is none, or a lock could not be had.
    """
    shown = without_password(url)
    try:
        import psycopg2
    except ImportError:
        raise InputError(
            "no driver of PostgreSQL", "the package psycopg2", "install cxrflow with [stack]"
        ) from None
    parts = urlsplit(url)
    try:
        with closing(
            psycopg2.connect(
                parts._replace(scheme="postgresql").geturl(),
                options=f"-c lock_timeout={_BUSY}",
            )
        ) as connection:
            yield connection
    except psycopg2.Error as error:
        why = getattr(error, "pgcode", None) or type(error).__name__
        raise InputError(
            f"a database at {shown} that cannot be used ({why})",
            "one that answers, and that no other process holds",
            "correct its address, or stop the server or run that uses it, and run again",
        ) from None

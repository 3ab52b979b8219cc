"""The layout of the SQLite files in a state folder: which one it is, and whether it can be read."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from infra.errors import InputError


def layout_of(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """The file's layout, 0 of a new one; one beyond the newest closes the connection.

    Raises:
        InputError: another version of the project wrote it.
    """
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found not in range(newest + 1):
        connection.close()
        raise InputError(f"{path} of layout {found}", f"layout {newest}", "move it away")
    return found

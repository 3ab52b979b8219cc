"""DuckDB in memory, which draws nothing on the terminal.

DuckDB 2 draws a progress bar on standard output once a query takes two seconds, into whatever JSON
a command prints there.
"""

from __future__ import annotations

import duckdb


def connect(*, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory; close it, or use it in a ``with`` block.

    Args:
        threads: DuckDB's own choice, all cores, if None.
    """
    connection = duckdb.connect(config={} if threads is None else {"threads": threads})
    connection.execute("SET enable_progress_bar = false")  # a setting of connections alone
    return connection

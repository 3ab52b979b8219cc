"""Publishers' JSON arrays of flat records, read with DuckDB: one row per record, in their order.

Every fault of a file as a whole is a ``SourceError`` that never quotes a record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from infra.errors import SourceError
from infra.tables import connect
from sources.table_bytes import DOWNLOAD_AGAIN, require_text
from sources.tables import literal_path

_RECORD_BYTES = 64 << 20
"""Longest record that is read. Our choice: far above any question with its template."""


def read_json_array(
    path: Path, columns: Mapping[str, str], *, optional: tuple[str, ...] = ()
) -> pa.Table:
    """The records' values by key.

    Args:
        columns: keys and their DuckDB types; a number under a ``VARCHAR`` key is its text, and a
            key whose values may be of several kinds is ``JSON``.
        optional: which of them no record need have.

    Raises:
        SourceError: missing file, no bytes, no JSON array of records, or a key in no record.
    """
    require_text(path)
    kinds = ", ".join(f"\"{name}\": '{kind}'" for name, kind in columns.items())
    with connect() as connection:
        try:
            table = connection.sql(
                f"SELECT * FROM read_json(?, format = 'array', columns = {{{kinds}}}, "
                f"maximum_object_size = {_RECORD_BYTES})",
                params=[literal_path(path)],
            ).to_arrow_table()
        except duckdb.Error as error:
            raise _malformed(path, str(error)) from None
        except UnicodeDecodeError:  # of DuckDB's message, which quotes the bytes
            raise _malformed(path, "") from None
    if table.num_rows == 0:
        raise SourceError(f"no records in {path}", "at least one", DOWNLOAD_AGAIN)
    absent = [n for n in columns if n not in optional and pc.all(pc.is_null(table[n])).as_py()]
    if absent:
        raise SourceError(
            f"no key '{absent[0]}' in any record of {path}",
            f"the keys {', '.join(columns)}",
            "check that this is the publisher's file and release",
        )
    return table


def _malformed(path: Path, message: str) -> SourceError:
    place = re.search(r"at byte (\d+) in record/value (\d+)", message)
    where = f" (record {place[2]}, byte {place[1]})" if place else ""
    return SourceError(f"no JSON array of records in {path}{where}", "one", DOWNLOAD_AGAIN)

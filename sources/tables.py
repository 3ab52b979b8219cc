"""Publishers' tables, read with DuckDB: checked first, then held as Arrow, never looped over.

    metadata = read_csv(root / "metadata.csv.gz", {"dicom_id": "VARCHAR", "Rows": "INTEGER"})
    studies = query("SELECT dicom_id AS study_id FROM metadata", metadata=metadata)

Every fault of a table as a whole is a ``SourceError`` whose one line says what was found, what was
expected and what to do; it never quotes a cell, since a cell may hold report text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from infra.errors import SourceError
from infra.tables import connect
from sources.record import REJECTED_SCHEMA, STUDY_SCHEMA, Level
from sources.table_bytes import DOWNLOAD_AGAIN, LINE_BYTES, checked_header

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_NAMED_COLUMNS: Final = 8
"""How many columns a message names before it counts the rest. Our choice: a line or two."""


def read_csv(
    path: Path,
    columns: Mapping[str, str] | Sequence[str],
    *,
    optional: Sequence[str] = (),
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
    keep_rest: bool = False,
    allow_empty: bool = False,
) -> pa.Table:
    """Read a delimited table (``.csv``, ``.tsv``, each also ``.gz``) after checking it.

    Args:
        path: the file; quoted cells may hold line breaks, an UTF-8 byte-order mark is skipped.
        columns: required columns and their DuckDB types; a plain sequence means all VARCHAR. A
            cell that does not fit its type becomes null, an empty cell always does.
        optional: further columns, as VARCHAR; null throughout where the file lacks them.
        delimiter: a comma, or a tab for ``.tsv``, unless said.
        names: what to call the file's columns instead of its header, for headers that do not fit
            their rows; the first line is skipped.
        keep_rest: whether to keep all other columns too, as VARCHAR. A blank header cell is called
            ``column`` + its position from 0; a repeated name gets ``_1``, ``_2``, ….
        allow_empty: whether a header without rows is fine.

    Returns:
        The required columns, then the optional ones, then the rest, in the file's row order.

    Raises:
        SourceError: missing file, no bytes, broken gzip, not UTF-8 text, a missing column, another
            delimiter, a row of another length, an unclosed quote, or no rows.
    """
    types = dict(columns) if isinstance(columns, Mapping) else dict.fromkeys(columns, "VARCHAR")
    delimiter = delimiter or ("\t" if ".tsv" in path.suffixes else ",")
    header = checked_header(path, delimiter)
    found = list(names) if names else _usable_names(header)
    _require_columns(path, header, found, list(types), delimiter)
    extra = [name for name in found if keep_rest and name not in types and name not in optional]
    table = _read(path, found, delimiter, [*types, *(n for n in optional if n in found), *extra])
    if table.num_rows == 0 and not allow_empty:
        raise SourceError(f"no rows below the header of {path}", "at least one row", DOWNLOAD_AGAIN)
    wanted = [f"TRY_CAST({sql_name(n)} AS {kind}) AS {sql_name(n)}" for n, kind in types.items()]
    wanted += [
        sql_name(name) if name in found else f"NULL::VARCHAR AS {sql_name(name)}"
        for name in optional
    ]
    return query(f"SELECT {', '.join([*wanted, *map(sql_name, extra)])} FROM cells", cells=table)


def query(sql: str, **tables: pa.Table) -> pa.Table:
    """The result of one SELECT over Arrow tables, which go by their keyword.

    Rows come in the order that the statement asks for; string columns are ``string``.
    """
    with _database(os.getpid()).cursor() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        return connection.sql(sql).to_arrow_table()


def to_study_table(table: pa.Table, source: str) -> pa.Table:
    """A table with some of STUDY_SCHEMA's columns, made whole: others become null, lists empty.

    ``source`` is filled in. Structs must have their fields in the schema's order.
    """
    unknown = set(table.column_names) - set(STUDY_SCHEMA.names)
    assert not unknown, f"not in STUDY_SCHEMA: {sorted(unknown)}"
    arrays = []
    for field in STUDY_SCHEMA:
        if field.name == "source":
            arrays.append(pa.repeat(pa.scalar(source), table.num_rows))
        elif field.name in table.column_names:
            arrays.append(table.column(field.name).cast(field.type))
        else:
            arrays.append(_nothing(field.type, table.num_rows))
    return pa.Table.from_arrays(arrays, schema=STUDY_SCHEMA)


@cache
def _database(_process: int) -> duckdb.DuckDBPyConnection:
    """The in-memory database behind ``read_csv`` and ``query``, where names live per cursor.

    Opening one takes 20 ms, so it is kept; by process, since a forked child must not use its
    parent's. It also keeps the memory it once took: grouping a whole source needs its own.
    """
    return connect()


def _nothing(kind: pa.DataType, rows: int) -> pa.Array:
    if not pa.types.is_list(kind):
        return pa.nulls(rows, kind)
    starts = pa.repeat(pa.scalar(0, pa.int32()), rows + 1)
    return pa.ListArray.from_arrays(starts, pa.array([], kind.value_type), type=kind)


def rejections(
    source: str,
    level: Level,
    row_ids: pa.ChunkedArray | pa.Array,
    study_ids: pa.ChunkedArray | pa.Array | None,
    reason: str,
    detail: str | pa.ChunkedArray | pa.Array,
) -> pa.Table:
    """Rows of REJECTED_SCHEMA for many rows with one reason.

    Args:
        study_ids: None for ``Level.STUDY``, where the row is the study, and where it is unknown.
        detail: one line for all, or one per row; without report text or a person's data.
    """
    size = len(row_ids)
    if study_ids is None:
        study_ids = row_ids if level is Level.STUDY else pa.nulls(size, pa.string())
    columns = {
        "source": pa.repeat(pa.scalar(source), size),
        "level": pa.repeat(pa.scalar(str(level)), size),
        "row_id": row_ids,
        "study_id": study_ids,
        "reason": pa.repeat(pa.scalar(reason), size),
        "detail": pa.repeat(pa.scalar(detail), size) if isinstance(detail, str) else detail,
    }
    return pa.table({name: _plain_text(column) for name, column in columns.items()}).cast(
        REJECTED_SCHEMA
    )


def join_rejections(*tables: pa.Table) -> pa.Table:
    """All rejections one below the other; REJECTED_SCHEMA even where there are none."""
    return pa.concat_tables([REJECTED_SCHEMA.empty_table(), *tables]).combine_chunks()


def sql_name(column: str) -> str:
    """A column's name, quoted for a statement."""
    return '"' + column.replace('"', '""') + '"'


VISIBLE: Final = r"[^\s\p{Z}\p{C}]"
"""A character that shows: no space of any kind, line break, control or zero-width character."""


def stripped_sql(column: str) -> str:
    """SQL: a cell without what does not show at its ends; null when nothing is left."""
    unseen = r"[\s\p{Z}\p{C}]+"
    return f"nullif(regexp_replace({column}, '^{unseen}|{unseen}$', '', 'g'), '')"


def code_sql(value: str) -> str:
    """SQL: a cell quoted for a detail where it looks like a code, else the word ``text``.

    Columns that slipped put reports and names where codes belong, and a detail must hold neither.
    """
    return (
        f"CASE WHEN regexp_full_match({value}, '[A-Z0-9_/-]{{0,16}}|[a-z_-]{{1,12}}') "
        f"THEN '''' || {value} || '''' ELSE 'text' END"
    )


def sql_text(text: str) -> str:
    """A text, quoted for a statement."""
    return "'" + text.replace("'", "''") + "'"


def _plain_text(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    return column.cast(pa.string())


def _usable_names(header: Sequence[str]) -> list[str]:
    """Distinct names: blanks become ``column<position>``, repeats get a number."""
    names: list[str] = []
    for position, cell in enumerate(header):
        name = cell.strip() or f"column{position}"
        variants = (name if number == 0 else f"{name}_{number}" for number in count())
        names.append(next(variant for variant in variants if variant not in names))
    return names


def _require_columns(
    path: Path, header: Sequence[str], found: Sequence[str], required: Sequence[str], delimiter: str
) -> None:
    missing = [name for name in required if name not in found]
    if not missing:
        return
    for other, word in _DELIMITERS.items():
        if other != delimiter and any(
            set(required) <= {cell.strip() for cell in line.split(other)} for line in header
        ):
            raise SourceError(
                f"a header separated by {word} in {path}",
                f"one separated by {_DELIMITERS.get(delimiter, repr(delimiter))}",
                "download the file again, or save it with the publisher's delimiter",
            )
    raise SourceError(
        f"no column {_some([repr(name) for name in missing])} in {path}",
        f"the columns {_some(required)}",
        "check that this is the publisher's file and release",
    )


def _some(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - _NAMED_COLUMNS
    return ", ".join(names[:_NAMED_COLUMNS]) + (f" and {more} more" if more > 0 else "")


def _read(path: Path, names: Sequence[str], delimiter: str, wanted: Sequence[str]) -> pa.Table:
    """The wanted columns as text: DuckDB would move a TRY_CAST into its reader and fail there."""
    columns = ", ".join(f"{sql_text(name)}: 'VARCHAR'" for name in names)
    statement = f"""
        SELECT {", ".join(map(sql_name, wanted))} FROM read_csv(
            ?, columns = {{{columns}}}, delim = {sql_text(delimiter)}, quote = '"', escape = '"',
            header = false, skip = 1, auto_detect = false, max_line_size = {LINE_BYTES},
            compression = '{"gzip" if path.suffix == ".gz" else "none"}'
        )"""
    with _database(os.getpid()).cursor() as connection:
        try:
            return connection.sql(statement, params=[literal_path(path)]).to_arrow_table()
        except duckdb.Error as error:
            raise _malformed(path, str(error), len(names)) from None


def _malformed(path: Path, message: str, width: int) -> SourceError:
    """What DuckDB met, without the line that it quotes."""
    line = re.search(r"CSV Error on Line: (\d+)", message)
    place = f"line {line[1]} of {path}" if line else str(path)
    cells = re.search(r"Expected Number of Columns: \d+ Found: (\d+)", message)
    if cells:
        return SourceError(
            f"{cells[1]} cells on {place}", f"{width} as in the header", DOWNLOAD_AGAIN
        )
    if "unterminated quote" in message:
        return SourceError(f"a quote that never ends on {place}", "paired quotes", DOWNLOAD_AGAIN)
    return SourceError(f"a malformed row on {place}", "delimited text", DOWNLOAD_AGAIN)


def literal_path(path: Path) -> str:
    """The path with the characters that DuckDB would expand taken literally."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))

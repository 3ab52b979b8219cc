"""Publishers' tables, read with DuckDB: checked first, then held as Arrow, never looped over.

    metadata = read_csv(root / "metadata.csv.gz", {"dicom_id": "VARCHAR", "Rows": "INTEGER"})
    studies = query("SELECT dicom_id AS study_id FROM metadata", metadata=metadata)

Every fault of a table as a whole is a ``SourceError`` whose one line says what was found, what was
expected and what to do; it never quotes a cell, since a cell may hold report text.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import BinaryIO

import duckdb
import pyarrow as pa

from infra.errors import SourceError
from sources.record import REJECTED_SCHEMA, STUDY_SCHEMA, Level

_BLOCK_BYTES = 4 << 20
_LINE_BYTES = 16 << 20
"""Longest row accepted. Our choice: far above any report, and DuckDB's own limit is 2 MB."""
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_DOWNLOAD_AGAIN = "download the file again and compare its checksum with the publisher's"


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
        SourceError: missing file, no bytes, broken gzip, not UTF-8, a missing column, another
            delimiter, a row of another length, an unclosed quote, or no rows.
    """
    types = dict(columns) if isinstance(columns, Mapping) else dict.fromkeys(columns, "VARCHAR")
    delimiter = delimiter or ("\t" if ".tsv" in path.suffixes else ",")
    header = _checked_header(path, delimiter)
    found = list(names) if names else _usable_names(header)
    _require_columns(path, header, found, list(types), delimiter)
    extra = [name for name in found if keep_rest and name not in types and name not in optional]
    table = _read(path, found, delimiter, [*types, *(n for n in optional if n in found), *extra])
    if table.num_rows == 0 and not allow_empty:
        raise SourceError(
            f"no rows below the header of {path}", "at least one row", _DOWNLOAD_AGAIN
        )
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
    return duckdb.connect()


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


def sql_text(text: str) -> str:
    """A text, quoted for a statement."""
    return "'" + text.replace("'", "''") + "'"


def _plain_text(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    return column.cast(pa.string())


def _checked_header(path: Path, delimiter: str) -> list[str]:
    """The first row's cells, once the whole file is known to be readable UTF-8."""
    if not path.is_file():
        raise SourceError(f"no file at {path}", "the publisher's table", _DOWNLOAD_AGAIN)
    decoder = codecs.getincrementaldecoder("utf-8")()
    first_line = ""
    offset = 0
    for block in _blocks(path):
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block)
        except UnicodeDecodeError as error:
            raise _not_utf8(path, offset - pending + error.start) from None
        if "\n" not in first_line:
            first_line += text
        offset += len(block)
    if offset == 0:
        raise SourceError(f"an empty file at {path}", "a header and rows", _DOWNLOAD_AGAIN)
    if decoder.getstate()[0]:
        raise _not_utf8(path, offset - len(decoder.getstate()[0]))
    lines = first_line.removeprefix("\ufeff").splitlines()
    return next(csv.reader(lines, delimiter=delimiter), [])


def _not_utf8(path: Path, offset: int) -> SourceError:
    return SourceError(
        f"bytes that are not UTF-8 at offset {offset} of {path}",
        "UTF-8 text",
        "download the file again, or convert it to UTF-8",
    )


def _blocks(path: Path) -> Iterator[bytes]:
    """The (unpacked) bytes of a file, in blocks."""
    try:
        with _open(path) as stream:
            while block := stream.read(_BLOCK_BYTES):
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(
            f"broken gzip data in {path} ({type(error).__name__})",
            "a whole gzip file",
            _DOWNLOAD_AGAIN,
        ) from None


def _open(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


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
        f"no column {', '.join(repr(name) for name in missing)} in {path}",
        f"the columns {', '.join(required)}",
        "check that this is the publisher's file and release",
    )


def _read(path: Path, names: Sequence[str], delimiter: str, wanted: Sequence[str]) -> pa.Table:
    """The wanted columns as text: DuckDB would move a TRY_CAST into its reader and fail there."""
    columns = ", ".join(f"{sql_text(name)}: 'VARCHAR'" for name in names)
    statement = f"""
        SELECT {", ".join(map(sql_name, wanted))} FROM read_csv(
            ?, columns = {{{columns}}}, delim = {sql_text(delimiter)}, quote = '"', escape = '"',
            header = false, skip = 1, auto_detect = false, max_line_size = {_LINE_BYTES},
            compression = '{"gzip" if path.suffix == ".gz" else "none"}'
        )"""
    with _database(os.getpid()).cursor() as connection:
        try:
            return connection.sql(statement, params=[_no_glob(path)]).to_arrow_table()
        except duckdb.Error as error:
            raise _malformed(path, str(error), len(names)) from None


def _malformed(path: Path, message: str, width: int) -> SourceError:
    """What DuckDB met, without the line that it quotes."""
    line = re.search(r"CSV Error on Line: (\d+)", message)
    place = f"line {line[1]} of {path}" if line else str(path)
    cells = re.search(r"Expected Number of Columns: \d+ Found: (\d+)", message)
    if cells:
        return SourceError(
            f"{cells[1]} cells on {place}", f"{width} as in the header", _DOWNLOAD_AGAIN
        )
    if "unterminated quote" in message:
        return SourceError(f"a quote that never ends on {place}", "paired quotes", _DOWNLOAD_AGAIN)
    return SourceError(f"a malformed row on {place}", "delimited text", _DOWNLOAD_AGAIN)


def _no_glob(path: Path) -> str:
    """The path with the characters that DuckDB would expand taken literally."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))

"""Stored answers as sorted Parquet files: written once, checked on every read.

A file's rows are sorted by ``request_hash`` (with ``@<rules>`` behind it for the embedded rules), a
few hundred to a row group, so that a lookup reads few groups. The footer holds the place, first key
and digest of each group, and the file's name the digest of the footer: a flipped byte anywhere is
an error, never another answer. DuckDB and pandas read the files as they are.
"""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from errno import ENOENT
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from infra.errors import InputError

ARCHIVE_FOLDER = "llm-answers"
GROUP_ROWS = 128
"""Rows a row group: our choice. Fewer make reading all dearer, more make one lookup dearer: among
700,000 answers nearly every lookup of a piece meets a group of its own (docs/scale.md)."""
CONTENT = "content"
SCHEMA = pa.schema(
    [
        pa.field("request_hash", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("content", pa.string()),
        pa.field("model", pa.string(), nullable=False),
        pa.field("prompt_version", pa.string(), nullable=False),
        pa.field("input_tokens", pa.int64(), nullable=False),
        pa.field("output_tokens", pa.int64(), nullable=False),
        pa.field("cost_usd", pa.float64()),
        pa.field("answered_at", pa.string(), nullable=False),
    ]
)
FEW_ROWS = 16
"""Rows up to which one by one is faster than a copy of their columns (measured)."""
RECENT_BYTES = 64 * 2**20
"""Contents that a file keeps in memory (our choice: some 100,000 reports); all else of it stays,
some 100 bytes an answer."""
Row = tuple[Any, ...]
_KEY = b"cxrflow.groups"
_MAGIC = b"PAR1"
_TAIL_BYTES = 8
"""A Parquet file ends with the footer's length in four bytes and the magic word."""
_NAME = re.compile(r"answers-(\d+)-([0-9a-f]{16})\.parquet")


class Head(NamedTuple):
    """A group's keys in order, as bytes, and its columns in SCHEMA's order; None for CONTENT."""

    hashes: np.ndarray[Any, Any]
    columns: tuple[pa.Array | None, ...]


class Group(NamedTuple):
    """One row group: where its bytes lie, their xxh3-64, and its first key."""

    start: int
    stop: int
    digest: str
    first: str


def damaged(path: Path, why: str) -> InputError:
    """The one line for an archive file that cannot be trusted."""
    return InputError(
        f"stored answers in {path}, {why}",
        "the file as it was written",
        "restore it from a backup, or run 'cxr llm compact --forget-damaged', after which the "
        "answers that cannot be read are asked and paid for again",
    )


def write_archive(folder: Path, number: int, rows: Iterable[Row]) -> Path:
    """A new file of rows sorted by key, on disk for good when this returns.

    Args:
        number: part of the name; files of higher numbers are newer.
    """
    temporary = folder / f"new-{number}.tmp"
    os.close(os.open(temporary, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600))
    _write_rows(temporary, rows)
    with temporary.open("rb+") as written:
        digest = _footer_digest(written.fileno(), temporary)
        os.fsync(written.fileno())
    path = folder / f"answers-{number:06d}-{digest}.parquet"
    temporary.rename(path)
    place = os.open(folder, os.O_RDONLY)
    os.fsync(place)  # or the new name could be lost with the power
    os.close(place)
    return path


def _write_rows(path: Path, rows: Iterable[Row]) -> None:
    groups: list[Group] = []
    texts = ["request_hash", "content"]
    with (
        pa.OSFile(str(path), "wb") as sink,
        path.open("rb") as written,
        pq.ParquetWriter(
            sink,
            SCHEMA,
            compression="zstd",
            use_dictionary=[name for name in SCHEMA.names if name not in texts],
        ) as writer,
    ):
        source = iter(rows)
        while part := list(islice(source, GROUP_ROWS)):
            start = sink.tell()
            columns = zip(*part, strict=True)
            arrays = [
                pa.array(values, kind) for values, kind in zip(columns, SCHEMA.types, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
            stop = sink.tell()
            content = os.pread(written.fileno(), stop - start, start)
            groups.append(Group(start, stop, xxhash.xxh3_64_hexdigest(content), part[0][0]))
        writer.add_key_value_metadata({_KEY: json.dumps(groups).encode()})


def _footer_digest(file: int, path: Path) -> str:
    size = os.fstat(file).st_size
    tail = os.pread(file, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    length = int.from_bytes(tail[:4], "little")
    if len(tail) < _TAIL_BYTES or tail[4:] != _MAGIC or length > size - _TAIL_BYTES:
        raise damaged(path, "cut short or no Parquet file")
    footer = os.pread(file, length + _TAIL_BYTES, size - _TAIL_BYTES - length)
    return str(xxhash.xxh3_64_hexdigest(footer))


def file_number(path: Path) -> int:
    """The number in a file's name."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise damaged(path, "whose name is none of ours")
    return int(match[1])


class ArchiveFile:
    """Lookups in one file.

    Raises:
        FileNotFoundError: it is not there.
        InputError: it is damaged; also from the methods.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.number = path, file_number(path)
        with path.open("rb") as file:
            if _footer_digest(file.fileno(), path) not in path.name:
                raise damaged(path, "whose footer is damaged")
        try:
            self._file = pq.ParquetFile(pa.OSFile(str(path)))
            listed = json.loads(self._file.metadata.metadata[_KEY])
        except FileNotFoundError:
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(path)) from None
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise damaged(path, f"which cannot be read ({type(error).__name__})") from None
        self.groups = [Group(*item) for item in listed]
        self._firsts = [group.first for group in self.groups]
        self._checked: set[int] = set()
        self._heads: dict[int, Head] = {}
        self._recent: OrderedDict[int, pa.Array] = OrderedDict()
        self._recent_bytes = 0
        self.rows_total = int(self._file.metadata.num_rows)

    def find(self, keys: Sequence[str]) -> Iterator[Row]:
        """Rows of the keys that are here; ``keys`` must be sorted."""
        position = 0
        while position < len(keys):
            group = max(0, bisect_right(self._firsts, keys[position]) - 1)
            last = group + 1 == len(self.groups)
            end = len(keys) if last else bisect_left(keys, self._firsts[group + 1], position)
            wanted, position = keys[position:end], end
            if self.groups:
                yield from self._find_in(group, wanted)

    def _find_in(self, number: int, wanted: Sequence[str]) -> Iterator[Row]:
        head = self._head(number)
        hashes, keys = head.hashes, np.array(wanted, "S")
        near = np.minimum(np.searchsorted(hashes, keys), len(hashes) - 1)
        places = near[hashes[near] == keys]
        if not len(places):
            return
        content = self._content(number)
        columns = [content if column is None else column for column in head.columns]
        if len(places) > FEW_ROWS:
            rows = pa.array(places)
            yield from zip(*(column.take(rows).to_pylist() for column in columns), strict=True)
        else:
            for place in places.tolist():
                yield tuple(column[place].as_py() for column in columns)

    def _head(self, number: int) -> Head:
        """All of a group but the contents, which stays in memory."""
        found = self._heads.get(number)
        if found is None:
            table = self._read(number, [name for name in SCHEMA.names if name != CONTENT])
            slim = {name: _slim(table.column(name).combine_chunks()) for name in table.schema.names}
            hashes = np.array(table.column("request_hash").to_pylist(), "S")
            columns = tuple(slim.get(name) for name in SCHEMA.names)
            found = self._heads[number] = Head(hashes, columns)
        return found

    def _content(self, number: int) -> pa.Array:
        """A group's contents; those of the last lookups stay in memory: pieces ask one by one."""
        if number in self._recent:
            self._recent.move_to_end(number)
            return self._recent[number]
        column = self._read(number, [CONTENT]).column(0).combine_chunks()
        self._recent[number] = column
        self._recent_bytes += column.nbytes
        while self._recent_bytes > RECENT_BYTES and len(self._recent) > 1:
            self._recent_bytes -= self._recent.popitem(last=False)[1].nbytes
        return column

    def rows(self, *, skip_damaged: bool = False) -> Iterator[Row]:
        """All rows in the order of their keys, one group in memory at a time."""
        for number in range(len(self.groups)):
            try:
                yield from _rows(self._read(number, SCHEMA.names))
            except InputError:
                if not skip_damaged:
                    raise

    def check(self) -> None:
        """Read everything once, for its digests."""
        for _ in self.sums():
            pass

    def sums(self) -> Iterator[Row]:
        """Prompt version, model, status, rows, tokens in and out, dollars; summed per row group."""
        by = ["prompt_version", "model", "status"]
        summed = ["input_tokens", "output_tokens", "cost_usd"]
        for number in range(len(self.groups)):
            table = self._read(number, [*by, *summed]).group_by(by)
            sums = table.aggregate([([], "count_all"), *((name, "sum") for name in summed)])
            order = [*by, "count_all", *(f"{name}_sum" for name in summed)]
            yield from _rows(sums.select(order))

    def _read(self, number: int, columns: Sequence[str]) -> pa.Table:
        group = self.groups[number]
        try:
            if number not in self._checked:
                with self.path.open("rb") as file:
                    content = os.pread(file.fileno(), group.stop - group.start, group.start)
                if xxhash.xxh3_64_hexdigest(content) != group.digest:
                    raise damaged(self.path, f"whose row group {number} is damaged")
                self._checked.add(number)
            return self._file.read_row_group(number, columns=list(columns), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise damaged(self.path, f"which cannot be read ({type(error).__name__})") from None


def _slim(column: pa.Array) -> pa.Array:
    """Texts that repeat from row to row as a dictionary."""
    few = pa.types.is_string(column.type) and pc.count_distinct(column).as_py() * 4 <= len(column)
    return column.dictionary_encode() if few else column


def _rows(table: pa.Table) -> Iterator[Row]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)

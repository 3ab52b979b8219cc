"""Parquet files that are whole or an error: deterministic bytes, digested as they are closed.

Binary columns (encoded pictures) are stored plain, because they do not compress; everything else
is zstd. Readers map the file and go by row group: ``ShardReader.buffers`` gives one memory view per
value, without a Python object for each picture's bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from infra.errors import ArtifactError

ROW_GROUP_ROWS = 65_536
"""Rows a row group of a table without pictures. Our choice: about 10 MB of report text."""

_ZSTD_LEVEL = 3
"""zstd's own default: level 9 saves 6 % on report text and takes four times as long (measured)."""

_PAGE_BYTES = 8 << 20
"""One page per column chunk of a few dozen pictures, so that a reader finds them in a row."""


@dataclass(frozen=True)
class WrittenFile:
    """One finished file: its size in bytes and the xxh3-128 of its content, in hex."""

    path: Path
    rows: int
    bytes: int
    digest: str


class ShardWriter:
    """Writes rows as they come, in row groups of a fixed number of rows.

        with ShardWriter(path, schema, row_group_rows=64) as writer:
            writer.write(table)
        writer.written  # WrittenFile

    An error inside the block removes the file. Equal rows give equal bytes, however they are cut
    into calls of ``write``.

    Args:
        uncompressed: names of columns to store plain; by default every binary one, also nested.
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        *,
        row_group_rows: int = ROW_GROUP_ROWS,
        uncompressed: Sequence[str] | None = None,
    ) -> None:
        self.path, self.schema, self.row_group_rows = path, schema, row_group_rows
        self._rows = 0
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._written: WrittenFile | None = None
        leaves = _leaves(schema)
        plain = {
            leaf
            for leaf, column, kind in leaves
            if (_is_binary(kind) if uncompressed is None else column in uncompressed)
        }
        texts = [leaf for leaf, _, _ in leaves if leaf not in plain]
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression={leaf: "NONE" if leaf in plain else "ZSTD" for leaf, _, _ in leaves},
            compression_level=dict.fromkeys(texts, _ZSTD_LEVEL) or None,
            use_dictionary=texts,
            write_statistics=texts,
            data_page_size=_PAGE_BYTES,
            version="2.6",
        )

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            with suppress(pa.ArrowException, OSError):
                self._writer.close()  # or it would try when it is collected
            self._sink.close()
            self.path.unlink(missing_ok=True)

    def write(self, table: pa.Table) -> None:
        """Add rows; the columns must be the schema's, in its order."""
        if not table.schema.equals(self.schema):
            raise ArtifactError(
                f"rows for {self.path.name} have columns {table.schema.names}; "
                f"expected {self.schema.names} with the types of its schema"
            )
        while table.num_rows:
            room = self.row_group_rows - self._waiting_rows
            part, table = table.slice(0, room), table.slice(room)
            self._waiting.append(part)
            self._waiting_rows += part.num_rows
            if self._waiting_rows == self.row_group_rows:
                self._write_group()

    def _write_group(self) -> None:
        group = pa.concat_tables(self._waiting)
        self._writer.write_table(group, row_group_size=self.row_group_rows)
        self._rows += group.num_rows
        self._waiting, self._waiting_rows = [], 0

    def close(self) -> WrittenFile:
        """Write the last row group and the footer."""
        if self._written is None:
            if self._waiting:
                self._write_group()
            self._writer.close()
            self._sink.close()
            # From the page cache, right after: half the cost of a Python sink that digests on the
            # way, because Arrow copies every page for such a sink.
            with pa.memory_map(str(self.path)) as written:
                content = written.read_buffer()
                self._written = WrittenFile(
                    self.path, self._rows, content.size, xxhash.xxh3_128_hexdigest(content)
                )
        return self._written

    @property
    def written(self) -> WrittenFile:
        """What was written; only after the writer has closed."""
        assert self._written is not None, "the writer is still open"
        return self._written


def write_table(
    path: Path,
    table: pa.Table,
    row_group_rows: int = ROW_GROUP_ROWS,
    uncompressed: Sequence[str] | None = None,
) -> WrittenFile:
    """Write one table; see ``ShardWriter``. Equal rows give equal bytes."""
    with ShardWriter(
        path, table.schema, row_group_rows=row_group_rows, uncompressed=uncompressed
    ) as writer:
        writer.write(table)
    return writer.written


def picture_array(pictures: Sequence[bytes]) -> pa.Array:
    """A ``large_binary`` array without nulls, one value per encoded picture.

    Half the cost of ``pa.array``, and nearly all of it outside Python's lock, so that threads can
    share it: one join copies each picture once, and no buffer grows.
    """
    edges = np.zeros(len(pictures) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, pictures), np.int64, len(pictures)), out=edges[1:])
    buffers = [None, pa.py_buffer(edges), pa.py_buffer(b"".join(pictures))]
    return pa.Array.from_buffers(pa.large_binary(), len(pictures), buffers)


class ShardReader:
    """Random access to the row groups of one memory-mapped file.

    Raises:
        ArtifactError: the file is absent, cut short or damaged; also from the methods.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _explained(path):
            self._file = pq.ParquetFile(path, memory_map=True)

    def __enter__(self) -> ShardReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go; what was read from it stays."""
        self._file.close()

    @property
    def schema(self) -> pa.Schema:
        return self._file.schema_arrow

    @property
    def num_rows(self) -> int:
        return int(self._file.metadata.num_rows)

    @property
    def group_rows(self) -> list[int]:
        """Number of rows of each row group."""
        metadata = self._file.metadata
        return [int(metadata.row_group(i).num_rows) for i in range(metadata.num_row_groups)]

    def table(self, group: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One row group; all columns, or the named ones (a dotted name is a part of one)."""
        for name in columns or ():
            if name.partition(".")[0] not in self.schema.names:
                raise ArtifactError(
                    f"{self.path} has no column {name}; it has {', '.join(self.schema.names)}"
                )
        with _explained(self.path):
            return self._file.read_row_group(
                group, columns=None if columns is None else list(columns), use_threads=False
            )

    def buffers(self, group: int, column: str) -> list[memoryview]:
        """One view per value of a flat binary column, in row order; empty for a null.

        The views share the memory of the decoded row group and keep it alive.
        """
        views: list[memoryview] = []
        for chunk in self.table(group, [column]).column(0).chunks:
            views.extend(views_of(chunk))
        return views


def read_rows(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A whole file; all columns, or the named ones.

    Raises:
        ArtifactError: the file is absent, cut short or damaged.
    """
    with _explained(path):
        return pq.read_table(
            path,
            columns=None if columns is None else list(columns),
            memory_map=True,
            use_threads=False,
            partitioning=None,
        )


def iter_buffers(path: Path, column: str) -> Iterator[memoryview]:
    """Every value of a flat binary column as a view, one row group in memory at a time."""
    with ShardReader(path) as reader:
        for group in range(len(reader.group_rows)):
            yield from reader.buffers(group, column)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Name the file in whatever Arrow says of it."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArtifactError(f"no file at {path}; the next run rebuilds it") from error
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(
            f"{path} is damaged or no Parquet file; the next run rebuilds it"
        ) from error


def views_of(chunk: pa.Array) -> list[memoryview]:
    """Views of a binary array's values: offsets and bytes are its second and third buffer."""
    wide = pa.types.is_large_binary(chunk.type) or pa.types.is_large_string(chunk.type)
    _, offset_buffer, data = chunk.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64 if wide else np.int32)
    edges = offsets[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
    view = memoryview(data if data is not None else b"").cast("B")
    return [view[start:stop] for start, stop in pairwise(edges)]


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _leaves(schema: pa.Schema) -> list[tuple[str, str, pa.DataType]]:
    """(Parquet path, column, type) of every leaf of a schema."""
    found: list[tuple[str, str, pa.DataType]] = []

    def walk(path: str, column: str, kind: pa.DataType) -> None:
        if pa.types.is_struct(kind):
            for index in range(kind.num_fields):
                walk(f"{path}.{kind.field(index).name}", column, kind.field(index).type)
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            walk(f"{path}.list.element", column, kind.value_type)  # the format's name for items
        else:
            found.append((path, column, kind))

    for field in schema:
        walk(field.name, field.name, field.type)
    return found

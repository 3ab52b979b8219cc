"""Which piece of its source a study belongs to: a stable hash, equal on every machine.

Studies, images and reports of one source are cut alike, so that one edited report touches one
piece of each.
"""

from __future__ import annotations

from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc
import xxhash


def piece_number(study_id: str, pieces: int) -> int:
    """The piece of a study, from 0 to ``pieces`` - 1."""
    return int.from_bytes(blake2b(study_id.encode(), digest_size=8).digest()) % pieces


def piece_key(number: int) -> str:
    """The piece's name; names sort as their numbers do."""
    return f"p{number:04d}"


def places(study_ids: pa.ChunkedArray, pieces: int) -> dict[str, pa.Array]:
    """The row numbers of each piece that has any rows, in the table's order.

    Rows without a study id go to the first piece.
    """
    numbers = pa.array(
        [
            piece_number(value, pieces) if value else 0
            for chunk in study_ids.chunks
            for value in chunk.to_pylist()
        ],
        pa.int32(),
    )
    order = pc.sort_indices(numbers)  # which keeps the order of equal ones
    runs = pc.run_end_encode(numbers.take(order))
    ends = runs.run_ends.to_pylist()
    starts = [0, *ends][: len(ends)]
    return {
        piece_key(number): order[start:end]
        for number, start, end in zip(runs.values.to_pylist(), starts, ends, strict=True)
    }


def cut(table: pa.Table, pieces: int) -> dict[str, pa.Table]:
    """The rows of each piece that has any, in the table's order; it needs a ``study_id`` column."""
    found = places(table.column("study_id"), pieces)
    return {key: table.take(rows).combine_chunks() for key, rows in found.items()}


def rows_digest(table: pa.Table) -> str:
    """xxh3-128 of a table's rows, equal for equal values however they are chunked."""
    digest = xxhash.xxh3_128()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        # A round trip by take() drops slices' offsets, which would otherwise reach the bytes.
        rows = table.take(pa.array(range(table.num_rows), pa.int64())).combine_chunks()
        writer.write_table(rows)
    digest.update(sink.getvalue())
    return digest.hexdigest()

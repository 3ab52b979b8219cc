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


def cut(table: pa.Table, pieces: int) -> dict[str, pa.Table]:
    """The rows of each piece that has any, in the table's order; it needs a ``study_id`` column.

    Rows without a study id go to the first piece.
    """
    ids = table.column("study_id").to_pylist()
    numbers = pa.array([piece_number(value, pieces) if value else 0 for value in ids], pa.int32())
    found = sorted(pc.unique(numbers).to_pylist())
    return {
        piece_key(number): table.filter(pc.equal(numbers, number)).combine_chunks()
        for number in found
    }


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

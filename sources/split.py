"""The split of a source whose publisher has none: a stable hash of the subject decides.

All studies of one subject fall into one split, on every machine and in every release of the data,
because nothing but the identifier's text counts: neither order, nor number of rows, nor a seed.
"""

from __future__ import annotations

from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

from sources.record import Split

DEFAULT_SHARES = (0.8, 0.1, 0.1)
"""Train, validate, test. Our choice: the shares that the field uses for sources without a split
(source_formats 13: 2,770/395/790 is 70/10/20; we keep more for training)."""

_DIGEST_BYTES = 8


def hash_split(identifier: str, shares: tuple[float, float, float] = DEFAULT_SHARES) -> Split:
    """The split of one subject.

    The first 8 bytes of BLAKE2b of the UTF-8 text, read as a big-endian fraction of 1, fall into
    the train, validate or test part of the unit interval.

    Args:
        identifier: the subject's id as published; where there are no subjects, the study's.
        shares: parts of train, validate and test; they add up to 1.
    """
    assert abs(sum(shares) - 1.0) < 1e-9, shares
    digest = blake2b(identifier.encode(), digest_size=_DIGEST_BYTES).digest()
    fraction = int.from_bytes(digest) / 2 ** (8 * _DIGEST_BYTES)
    if fraction < shares[0]:
        return Split.TRAIN
    return Split.VALIDATE if fraction < shares[0] + shares[1] else Split.TEST


def split_table(
    identifiers: pa.ChunkedArray | pa.Array,
    shares: tuple[float, float, float] = DEFAULT_SHARES,
) -> pa.Table:
    """One row per distinct identifier, for a join in SQL: columns ``identifier`` and ``split``.

    Only the distinct values are hashed in Python (65 thousand for MIMIC-CXR: 0.1 s). Nulls are
    left out.
    """
    distinct = pc.unique(identifiers).drop_null().cast(pa.string())
    splits = [str(hash_split(value, shares)) for value in distinct.to_pylist()]
    return pa.table({"identifier": distinct, "split": pa.array(splits, pa.string())})

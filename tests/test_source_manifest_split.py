"""At ingest, a manifest's own splits stay and its blanks are hashed by the recipe's shares."""

from __future__ import annotations

import pyarrow as pa

from sources.record import Split, Study, studies_to_table
from sources.split import hash_split
from tasks.ingest.studies import _split

SHARES = (0.5, 0.25, 0.25)


def studies() -> pa.Table:
    return studies_to_table(
        [
            Study("manifest", "S1", "P1", Split.TEST),
            Study("manifest", "S2", "P2", None),
            Study("manifest", "S3", None, None),
        ]
    )


def test_given_splits_stay() -> None:
    table = _split(studies(), SHARES, keep=True)
    assert table["split"].to_pylist() == [
        "test",
        str(hash_split("P2", SHARES)),
        str(hash_split("S3", SHARES)),
    ]


def test_a_source_without_splits_is_hashed_throughout() -> None:
    table = _split(studies(), SHARES, keep=False)
    assert table["split"].to_pylist() == [
        str(hash_split(name, SHARES)) for name in ("P1", "P2", "S3")
    ]

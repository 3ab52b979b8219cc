"""Files of facts under the data root, a local folder or any fsspec URL.

    facts/v1/runs/month=2026-11/20261129T155345Z-<run>.parquet      a run's rows of one kind
    facts/v1/steps/month=2026-11/20261129T155345Z-<run>.parquet     none where it has no row
    facts/v1/open/<run>/…                                           runs under way (``open_runs``)

Files are only added, so that readers may keep what they have read. A run's file of ``runs`` is
written last: where it is there, the others are too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import ArtifactError
from infra.facts.contract import VERSION, Kind, Row, schema, table
from infra.store import Store

FOLDER = f"facts/v{VERSION}"
EARLIER = "earlier-"
"""Begins the name of a file of scores that no run told: of versions from before facts were kept."""
LONGEST_RUN = timedelta(days=31)
"""Files lie in the month of their run's start. Our choice: four times a step's longest timeout."""


def file_name(started_at: datetime, run_id: str) -> str:
    """What a run's files are called in every table: they sort by its start."""
    return f"{started_at:%Y%m%dT%H%M%SZ}-{run_id}"


def place_of(kind: Kind, name: str, at: datetime) -> str:
    """Where a file lies, relative to the data root."""
    return f"{FOLDER}/{kind}/{_month(at)}/{name}.parquet"


def _month(at: datetime) -> str:
    return f"month={at:%Y-%m}"


def write_facts(
    store: Store, kind: Kind, name: str, at: datetime, rows: Sequence[Row], *, anew: bool = False
) -> bool:
    """Write rows as one file; no rows, no file.

    Args:
        anew: replace what is there, as only the run itself may; else the first writer wins.

    Returns:
        False when another writer was first.
    """
    if not rows:
        return True
    sink = pa.BufferOutputStream()
    pq.write_table(table(kind, rows), sink, compression="zstd")
    place, data = place_of(kind, name, at), sink.getvalue().to_pybytes()
    if not anew:
        return store.write_new(place, data)
    store.overwrite(place, data)
    return True


def fact_files(store: Store, kind: Kind, since: datetime | None = None) -> list[str]:
    """Files of a table, oldest first, relative to the data root.

    Args:
        since: leaves out months in which no run started that had rows as new as that.
    """
    top = f"{FOLDER}/{kind}"
    store.fs.invalidate_cache(store.path(top))  # other processes add to it
    first = "" if since is None else _month(since - LONGEST_RUN)
    months = [name for name in store.list_folder(top) if name >= first]
    return [
        f"{top}/{month}/{name}"
        for month in months
        for name in store.list_folder(f"{top}/{month}")
        if name.endswith(".parquet")
    ]


def read_file(store: Store, kind: Kind, place: str) -> list[dict[str, Any]]:
    """Rows of one file; columns that it is too old to have are null.

    Raises:
        ArtifactError: it is no such file.
    """
    wanted = schema(kind)
    try:
        data = pa.BufferReader(store.fs.cat_file(store.path(place)))
        with pq.ParquetFile(data) as file:  # a fifth of read_table's time on so small a file
            found = file.read(use_threads=False)
        if "recorded_at" not in found.column_names:
            raise pa.ArrowInvalid("no facts")
        columns = [
            found[field.name].cast(field.type)
            if field.name in found.column_names
            else pa.nulls(found.num_rows, field.type)
            for field in wanted
        ]
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ArtifactError(
            f"found {store.root}/{place} damaged; expected facts of version {VERSION}; move it away"
        ) from error
    rows: list[dict[str, Any]] = pa.table(columns, schema=wanted).to_pylist()
    return rows


def read_facts(store: Store, kind: Kind, since: datetime | None = None) -> list[dict[str, Any]]:
    """All rows of a table that are not older, oldest first.

    Raises:
        ArtifactError: a file is damaged.
    """
    rows = list(_rows(store, kind, since))
    return sorted(rows, key=lambda row: row["recorded_at"])


def _rows(store: Store, kind: Kind, since: datetime | None) -> Iterator[dict[str, Any]]:
    for place in fact_files(store, kind, since):
        for row in read_file(store, kind, place):
            if since is None or row["recorded_at"] >= since:
                yield row

"""All counts of a scoring as one table: any slice or comparison can be computed without the texts.

One row per example and system, with the keys that studies are joined by and one list of numbers per
family. What made the counts (families, versions) is in the schema's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.board import Families
from evaluation.controls import Outputs
from evaluation.statistics import Floats
from infra.errors import InputError

KEYS = ("example_id", "control", "source", "study_id", "subject_id")
VERSIONS = b"cxrflow.count_versions"
"""Metadata key: version by family, as JSON."""


def no_counts() -> pa.Table:
    """The table of a scoring of nothing."""
    return pa.schema([pa.field(name, pa.string()) for name in KEYS]).empty_table()


def counts_table(outputs: Outputs, families: Families, versions: Mapping[str, str]) -> pa.Table:
    """One row per written example of every system; a system that lacks a family has nulls."""
    names = sorted({name for counts in families.values() for name in counts})
    widths = {n: c[n].shape[1] for n in names for c in families.values() if n in c}
    parts = [_system(outputs, control, families[control], widths) for control in outputs.written]
    table = pa.concat_tables(parts)
    return table.replace_schema_metadata({VERSIONS: json.dumps(dict(versions), sort_keys=True)})


def _system(
    outputs: Outputs, control: str, counts: Mapping[str, Floats], widths: Mapping[str, int]
) -> pa.Table:
    rows = outputs.written[control].rows
    columns: dict[str, pa.Array] = {
        "example_id": pa.array([outputs.example_ids[row] for row in rows], pa.string()),
        "control": pa.array([control] * len(rows), pa.string()),
        "source": pa.array([outputs.sources[row] for row in rows], pa.string()),
        "study_id": pa.array([outputs.study_ids[row] for row in rows], pa.string()),
        "subject_id": pa.array([outputs.subject_ids[row] for row in rows], pa.string()),
    }
    for name, width in widths.items():
        if name in counts:
            flat = pa.array(counts[name][rows].ravel(), pa.float64())
            starts = pa.array(range(0, width * len(rows) + 1, width), pa.int32())
            columns[name] = pa.ListArray.from_arrays(starts, flat)
        else:  # lists of a fixed size cannot be read back from Parquet where some are null
            columns[name] = pa.nulls(len(rows), pa.list_(pa.float64()))
    return pa.table(columns)


def read_versions(table: pa.Table) -> dict[str, str]:
    """Version by family or encoder, as ``counts_table`` was given them; empty for a bare table."""
    found: dict[str, str] = json.loads((table.schema.metadata or {}).get(VERSIONS, b"{}"))
    return found


def read_counts(table: pa.Table, control: str, families: Sequence[str]) -> dict[str, Floats]:
    """(n, K) counts of one system by family, in the order of the table's rows of that system.

    Raises:
        InputError: the table lacks a family, or the system has no counts of it.
    """
    chosen = table.filter(pc.equal(table["control"], control)).combine_chunks()
    found = {}
    for name in families:
        if name not in table.column_names or chosen[name].null_count:
            raise InputError(
                f"no counts of '{name}' for '{control}'",
                ", ".join(n for n in table.column_names if n not in KEYS),
                "score the predictions again",
            )
        flat = chosen[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        width = len(flat) // max(1, chosen.num_rows)
        found[name] = np.asarray(flat, dtype=np.float64).reshape(chosen.num_rows, width)
    return found

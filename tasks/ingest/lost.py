"""Whose a rejected row is: without it nobody could find what a subject left who withdrew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from sources.record import REJECTED_SCHEMA

OWNER: Final = "subject_id"
LOST_SCHEMA: Final = REJECTED_SCHEMA.append(pa.field(OWNER, pa.string()))
"""Rejected rows of studies, images and dialogues as ingestion stores them beside its studies."""


def owners_in(*tables: pa.Table) -> dict[str, str]:
    """The subject of each study, as far as the tables tell it."""
    return {
        study: subject
        for table in tables
        if OWNER in table.column_names
        for study, subject in zip(
            table["study_id"].to_pylist(), table[OWNER].to_pylist(), strict=True
        )
        if study and subject
    }


def with_owners(rejected: pa.Table, *owners: Mapping[str, str]) -> pa.Table:
    """Rows of REJECTED_SCHEMA in LOST_SCHEMA.

    Args:
        owners: subjects by study; the first that knows a study tells it.
    """
    studies = rejected["study_id"].to_pylist()
    told = [next((known[name] for known in owners if name in known), None) for name in studies]
    columns = [rejected[name] for name in REJECTED_SCHEMA.names]
    return pa.table([*columns, pa.array(told, pa.string())], schema=LOST_SCHEMA)

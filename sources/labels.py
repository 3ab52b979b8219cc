"""Publishers' label columns become the four values of the 14 observations, in SQL.

The functions return DuckDB expressions for a SELECT over the publisher's table (all VARCHAR).
Unmentioned observations have no row in the list, which is what an absent row means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from sources.record import OBSERVATIONS, LabelValue
from sources.tables import query, sql_name, sql_text

CHEXPERT_COLUMNS: Mapping[str, str] = {name: name for name in OBSERVATIONS}
"""Observation to column, where the columns go by the observations' names."""

_VALUES = {1: LabelValue.POSITIVE, 0: LabelValue.NEGATIVE, -1: LabelValue.UNCERTAIN}
"""The CheXpert labeler's numbers (source_formats 4); blank is unmentioned."""

_NO_LABELS = "CAST([] AS STRUCT(observation VARCHAR, value VARCHAR)[])"


def labels_sql(columns: Mapping[str, str] = CHEXPERT_COLUMNS) -> str:
    """The ``labels`` list from one column of 1, 0, -1 or blank for each observation.

    Args:
        columns: observation to column. Numbers may be written ``1``, ``1.0`` or `` 1.0``; any
            other value reads as blank, so ask ``unknown_label_values`` first.
    """
    cases = {}
    for observation in _ordered(columns):
        number = f"TRY_CAST({sql_name(columns[observation])} AS DOUBLE)"
        whens = " ".join(f"WHEN {key} THEN '{value}'" for key, value in _VALUES.items())
        cases[observation] = f"CASE {number} {whens} END"
    return _label_list(cases)


def unknown_label_values(
    table: pa.Table, id_column: str, columns: Mapping[str, str] = CHEXPERT_COLUMNS
) -> pa.Table:
    """The rows with a label that is neither 1, 0, -1 nor blank, for reason ``label-value-unknown``.

    Returns:
        Columns ``row_id`` and ``detail``, one row per faulty row of ``table``. The detail names
        the first such column, and the value only where it is a number.
    """
    selects = []
    for observation in _ordered(columns):
        column = sql_name(columns[observation])
        number = f"TRY_CAST({column} AS DOUBLE)"
        blank = f"trim(coalesce({column}, '')) = ''"
        selects.append(
            f"""CASE WHEN NOT ({blank}) AND coalesce({number} NOT IN (1, 0, -1), true)
                THEN 'found ' || coalesce('the number ' || {number}, 'text') || ' in column '
                || {sql_text(repr(columns[observation]))} END"""
        )
    return query(
        f"""SELECT row_id, detail || '; expected 1.0, 0.0, -1.0 or blank' AS detail
            FROM (SELECT CAST({sql_name(id_column)} AS VARCHAR) AS row_id,
                         coalesce({", ".join(selects)}) AS detail FROM labelled)
            WHERE detail IS NOT NULL""",
        labelled=table,
    )


def named_labels_sql(names: str, mapping: Mapping[str, str]) -> str:
    """The ``labels`` list, all positive, from a list of the publisher's names.

    Args:
        names: an SQL expression of type VARCHAR[].
        mapping: publisher's name to observation; names without a counterpart are not in it.
    """
    cases = {}
    for observation in _ordered(set(mapping.values())):
        own = ", ".join(sql_text(key) for key, value in mapping.items() if value == observation)
        cases[observation] = f"CASE WHEN list_has_any({names}, [{own}]) THEN 'positive' END"
    return _label_list(cases)


def source_labels_sql(names: str) -> str:
    """The ``source_labels`` list, all positive, from a list of names (an SQL VARCHAR[])."""
    return f"""list_transform({names}, lambda name: struct_pack(
        name := name, value := 'positive', location := NULL::VARCHAR,
        votes := NULL::SMALLINT, readers := NULL::SMALLINT))"""


def _label_list(cases: Mapping[str, str]) -> str:
    if not cases:
        return _NO_LABELS
    structs = ", ".join(
        f"struct_pack(observation := {sql_text(name)}, value := {case})"
        for name, case in cases.items()
    )
    return f"list_filter([{structs}], lambda label: label.value IS NOT NULL)"


def _ordered(observations: Iterable[str]) -> list[str]:
    wanted = set(observations)
    assert wanted <= set(OBSERVATIONS), sorted(wanted - set(OBSERVATIONS))
    return [name for name in OBSERVATIONS if name in wanted]

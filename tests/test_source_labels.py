"""Label columns and names become the four values; what is unknown is named, not guessed."""

from __future__ import annotations

import pyarrow as pa
import pytest

from sources.labels import labels_sql, named_labels_sql, source_labels_sql, unknown_label_values
from sources.record import OBSERVATIONS, STUDY_SCHEMA
from sources.tables import query, to_study_table


def row(**cells: str) -> pa.Table:
    names = {"id": "s1", **dict.fromkeys(OBSERVATIONS), **cells}
    return pa.table({name: pa.array([value], pa.string()) for name, value in names.items()})


def labels_of(table: pa.Table, expression: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = query(
        f"SELECT {expression} AS labels FROM t", t=table
    ).to_pylist()[0]["labels"]
    return found


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1.0", "positive"),
        ("1", "positive"),
        (" 1.0", "positive"),
        ("0.0", "negative"),
        ("-1.0", "uncertain"),
    ],
)
def test_numbers_become_values(cell: str, value: str) -> None:
    assert labels_of(row(Edema=cell), labels_sql()) == [{"observation": "Edema", "value": value}]


@pytest.mark.parametrize("cell", ["", "  ", None])
def test_blank_is_unmentioned(cell: str) -> None:
    assert labels_of(row(Edema=cell), labels_sql()) == []
    assert unknown_label_values(row(Edema=cell), "id").num_rows == 0


def test_order_is_that_of_the_observations() -> None:
    table = row(**dict.fromkeys(reversed(OBSERVATIONS), "1.0"))
    assert [label["observation"] for label in labels_of(table, labels_sql())] == list(OBSERVATIONS)


def test_another_column_name() -> None:
    table = row(**{"Airspace Opacity": "1.0", "Lung Opacity": "0.0"})
    expression = labels_sql({"Lung Opacity": "Airspace Opacity"})
    assert labels_of(table, expression) == [{"observation": "Lung Opacity", "value": "positive"}]


def test_no_columns_give_an_empty_typed_list() -> None:
    table = query(f"SELECT 's' AS study_id, {labels_sql({})} AS labels")
    assert to_study_table(table, "x").column("labels").type == STUDY_SCHEMA.field("labels").type


@pytest.mark.parametrize(
    ("cell", "found"),
    [("2.0", "the number 2.0"), ("0.5", "the number 0.5"), ("a secret word", "text")],
)
def test_unknown_values_are_named_without_text(cell: str, found: str) -> None:
    assert unknown_label_values(row(Pneumonia=cell, Edema="1.0"), "id").to_pylist() == [
        {
            "row_id": "s1",
            "detail": f"found {found} in column 'Pneumonia'; expected 1.0, 0.0, -1.0 or blank",
        }
    ]


def test_names_map_to_observations_once() -> None:
    table = pa.table({"names": [["Mass", "Nodule", "Hernia"], ["Hernia"], []]})
    mapping = {"Mass": "Lung Lesion", "Nodule": "Lung Lesion", "Edema": "Edema"}
    found = query(f"SELECT {named_labels_sql('names', mapping)} AS labels FROM t", t=table)
    assert found.column("labels").to_pylist() == [
        [{"observation": "Lung Lesion", "value": "positive"}],
        [],
        [],
    ]


def test_source_labels_keep_the_names() -> None:
    table = pa.table({"names": [["Mass", "it's"]]})
    found = query(f"SELECT {source_labels_sql('names')} AS source_labels FROM t", t=table)
    cast = found.column("source_labels").cast(STUDY_SCHEMA.field("source_labels").type)
    empty = {"location": None, "votes": None, "readers": None}
    assert cast.to_pylist() == [
        [
            {"name": "Mass", "value": "positive", **empty},
            {"name": "it's", "value": "positive", **empty},
        ]
    ]


def test_a_name_outside_the_fourteen_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="Emphysema"):
        labels_sql({"Emphysema": "Emphysema"})

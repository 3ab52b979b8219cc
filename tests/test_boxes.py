"""Boxes on studies: each lands on its own image, whatever the order, and none is made up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.boxes import BOX_COLUMNS, attach_boxes
from sources.record import (
    STUDY_SCHEMA,
    Box,
    Image,
    Reading,
    Study,
    View,
    rejected_to_table,
    studies_to_table,
    study_from_row,
)

Row = tuple[str, str, str, float, float, float, float, str | None]
SCHEMA = pa.schema(
    [(name, pa.string()) for name in BOX_COLUMNS[:3]]
    + [(name, pa.float64()) for name in BOX_COLUMNS[3:7]]
    + [("reader", pa.string())]
)
STUDY_IDS = st.lists(
    st.text("abcÄ1-/'", min_size=1, max_size=4), min_size=1, max_size=5, unique=True
)
CORNER = st.integers(0, 50).map(float)
QUICK = settings(max_examples=60, deadline=None)


def study(study_id: str, images: int) -> Study:
    names = [f"{study_id}.{number}" for number in range(images)]
    return Study(
        "s", study_id, None, None, tuple(Image(name, View.PA, f"{name}.png") for name in names)
    )


def reading_of(studies: list[Study]) -> Reading:
    images = sum(len(item.images) for item in studies)
    return Reading(studies_to_table(studies), rejected_to_table([]), len(studies), images)


def table_of(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(
        [dict(zip(BOX_COLUMNS, row, strict=True)) for row in rows], schema=SCHEMA
    )


def boxes_of(reading: Reading) -> dict[str, tuple[Box, ...]]:
    found = map(study_from_row, reading.studies.to_pylist())
    return {item.study_id: item.boxes for item in found}


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Study], list[Row]]:
    """Studies in any order and boxes of them, of none of them, and of their lost images."""
    ids = draw(STUDY_IDS)
    studies = [study(name, draw(st.integers(0, 3))) for name in ids]
    row = st.tuples(
        st.sampled_from([*ids, "gone"]),
        st.integers(0, 3),
        st.sampled_from(["X", "Y"]),
        CORNER, CORNER, CORNER, CORNER,
        st.none() | st.sampled_from(["R1", "R2"]),
    )  # fmt: skip
    rows = [(one, f"{one}.{number}", *rest) for one, number, *rest in draw(st.lists(row))]
    return studies, rows


@QUICK
@given(worlds())
def test_each_box_lands_on_its_own_image_once(world: tuple[list[Study], list[Row]]) -> None:
    studies, rows = world
    kept = {image.image_id for item in studies for image in item.images}
    found = boxes_of(attach_boxes(reading_of(studies), table_of(rows)))
    landed = Counter(
        (name, b.image_id, b.name, b.x_min, b.y_min, b.x_max, b.y_max, b.reader)
        for name, boxes in found.items()
        for b in boxes
    )
    assert landed == Counter(row for row in rows if row[1] in kept)


@QUICK
@given(worlds(), st.randoms(use_true_random=False))
def test_neither_order_of_rows_counts(world: tuple[list[Study], list[Row]], random: object) -> None:
    studies, rows = world
    first = boxes_of(attach_boxes(reading_of(studies), table_of(rows)))
    again = boxes_of(attach_boxes(reading_of(studies[::-1]), table_of(rows[::-1])))
    assert first == again


@QUICK
@given(worlds())
def test_nothing_but_the_boxes_changes(world: tuple[list[Study], list[Row]]) -> None:
    studies, rows = world
    before = reading_of(studies)
    after = attach_boxes(before, table_of(rows))
    assert after.studies.schema.equals(STUDY_SCHEMA)
    assert after.studies.drop_columns("boxes").equals(before.studies.drop_columns("boxes"))
    assert (after.studies_in, after.images_in) == (before.studies_in, before.images_in)
    assert after.rejected is before.rejected


@QUICK
@given(worlds())
def test_boxes_stand_in_order_of_image_and_name(world: tuple[list[Study], list[Row]]) -> None:
    studies, rows = world
    for boxes in boxes_of(attach_boxes(reading_of(studies), table_of(rows))).values():
        keys = [(b.image_id.encode(), b.name.encode()) for b in boxes]
        assert keys == sorted(keys)


def test_boxes_that_were_there_are_replaced() -> None:
    box = Box("a.0", "old", 0.0, 0.0, 1.0, 1.0)
    before = reading_of([replace(study("a", 1), boxes=(box,))])
    rows: list[Row] = [("a", "a.0", "new", 1.0, 2.0, 3.0, 4.0, None)]
    assert boxes_of(attach_boxes(before, table_of(rows))) == {
        "a": (Box("a.0", "new", 1.0, 2.0, 3.0, 4.0),)
    }


def test_equal_boxes_of_two_radiologists_are_two() -> None:
    rows: list[Row] = [("a", "a.0", "X", 1.0, 2.0, 3.0, 4.0, reader) for reader in ("R2", "R1")]
    (boxes,) = boxes_of(attach_boxes(reading_of([study("a", 1)]), table_of(rows))).values()
    assert [box.reader for box in boxes] == ["R1", "R2"]


def test_an_image_of_another_study_takes_no_box() -> None:
    rows: list[Row] = [("a", "b.0", "X", 1.0, 2.0, 3.0, 4.0, None)]
    found = boxes_of(attach_boxes(reading_of([study("a", 1), study("b", 1)]), table_of(rows)))
    assert found == {"a": (), "b": ()}


def test_no_studies_at_all() -> None:
    rows: list[Row] = [("a", "a.0", "X", 1.0, 2.0, 3.0, 4.0, None)]
    assert attach_boxes(reading_of([]), table_of(rows)).studies.num_rows == 0

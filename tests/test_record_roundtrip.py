"""Records of any content survive the way to Arrow, to a Parquet file and back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.example import (
    EXAMPLE_SCHEMA,
    Example,
    ExampleImage,
    Task,
    example_from_row,
    examples_to_table,
)
from sources.record import (
    OBSERVATIONS,
    REJECTED_SCHEMA,
    STUDY_SCHEMA,
    AnswerType,
    Box,
    Dialogue,
    Image,
    Label,
    LabelValue,
    Level,
    Origin,
    Reading,
    Rejected,
    SectionedBy,
    SectionedText,
    SourceLabel,
    Split,
    Study,
    Turn,
    View,
    rejected_to_table,
    studies_to_table,
    study_from_row,
    text_from_row,
)

Item = TypeVar("Item")
WORD = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
"""Any text that UTF-8 can hold: line breaks, nulls, accents and emoji among it."""
NAME = WORD.filter(bool)
MAYBE = st.none() | WORD
SIDE = st.none() | st.integers(1, 2**31 - 1)
PLACE = st.floats(allow_nan=False, width=64)
AGE = st.none() | st.floats(0, 120, width=32)


def some(strategy: st.SearchStrategy[Item]) -> st.SearchStrategy[tuple[Item, ...]]:
    return st.lists(strategy, max_size=3).map(tuple)


IMAGES = st.builds(Image, NAME, st.sampled_from(View), NAME, SIDE, SIDE)
TEXTS = st.builds(
    SectionedText, st.sampled_from(Origin), st.sampled_from(SectionedBy), NAME,
    MAYBE, MAYBE, MAYBE, MAYBE, MAYBE,
)  # fmt: skip
LABELS = st.builds(Label, st.sampled_from(OBSERVATIONS), st.sampled_from(LabelValue))
VOTES = st.none() | st.integers(0, 2**15 - 1)
SOURCE_LABELS = st.builds(SourceLabel, NAME, st.sampled_from(LabelValue), MAYBE, VOTES, VOTES)
BOXES = st.builds(Box, NAME, NAME, PLACE, PLACE, PLACE, PLACE, MAYBE)
TURNS = st.builds(Turn, st.sampled_from(["user", "assistant"]), WORD)
DIALOGUES = st.builds(
    Dialogue,
    NAME,
    some(NAME),
    some(TURNS),
    MAYBE,
    MAYBE,
    st.none() | st.sampled_from(AnswerType),
    some(WORD),
    st.none() | st.sampled_from(Split),
    MAYBE,
)
STUDIES = st.builds(
    Study,
    source=NAME,
    study_id=NAME,
    subject_id=MAYBE,
    split=st.none() | st.sampled_from(Split),
    images=some(IMAGES),
    raw_report=MAYBE,
    texts=some(TEXTS),
    labels=some(LABELS),
    source_labels=some(SOURCE_LABELS),
    boxes=some(BOXES),
    dialogues=some(DIALOGUES),
    subject_age=AGE,
    subject_sex=st.none() | st.sampled_from(["F", "M", "O"]),
    acquired_on=st.none() | st.dates(date(1900, 1, 1), date(2300, 1, 1)),
    manufacturer=MAYBE,
    site=MAYBE,
)
REJECTED = st.builds(Rejected, NAME, st.sampled_from(Level), NAME, MAYBE, NAME, WORD)
EXAMPLE_IMAGES = st.builds(
    ExampleImage, NAME, st.sampled_from(View), st.binary(max_size=40), st.integers(1, 9999),
    st.integers(1, 9999),
)  # fmt: skip
EXAMPLES = st.builds(
    Example,
    example_id=NAME,
    task=st.sampled_from(Task),
    source=NAME,
    study_id=NAME,
    subject_id=MAYBE,
    split=st.sampled_from(Split),
    text_version=NAME,
    origin=st.sampled_from(Origin),
    images=some(EXAMPLE_IMAGES),
    indication=MAYBE,
    turns=some(TURNS),
    target=WORD,
    subject_age=AGE,
    subject_sex=MAYBE,
    manufacturer=MAYBE,
    site=MAYBE,
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def through_parquet(table: pa.Table) -> pa.Table:
    """Written and read again, in memory."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return pq.read_table(pa.BufferReader(sink.getvalue()))


@QUICK
@given(st.lists(STUDIES, max_size=4))
def test_studies_come_back_the_same(studies: list[Study]) -> None:
    table = studies_to_table(studies)
    assert table.schema.equals(STUDY_SCHEMA)
    assert [study_from_row(row) for row in table.to_pylist()] == studies


@QUICK
@given(st.lists(STUDIES, max_size=4))
def test_studies_come_back_from_parquet(studies: list[Study]) -> None:
    table = through_parquet(studies_to_table(studies))
    assert table.schema.equals(STUDY_SCHEMA)
    assert [study_from_row(row) for row in table.to_pylist()] == studies


@QUICK
@given(st.lists(EXAMPLES, max_size=4))
def test_examples_come_back_from_parquet(examples: list[Example]) -> None:
    table = through_parquet(examples_to_table(examples))
    assert table.schema.equals(EXAMPLE_SCHEMA)
    assert [example_from_row(row) for row in table.to_pylist()] == examples


@QUICK
@given(st.lists(REJECTED, max_size=5))
def test_rejections_come_back_from_parquet(rejected: list[Rejected]) -> None:
    table = through_parquet(rejected_to_table(rejected))
    assert table.schema.equals(REJECTED_SCHEMA)
    rows: list[dict[str, Any]] = table.to_pylist()
    assert [Rejected(**{**row, "level": Level(row["level"])}) for row in rows] == rejected


@QUICK
@given(TEXTS)
def test_texts_come_back_from_their_struct(text: SectionedText) -> None:
    assert text_from_row(asdict(text)) == text


@QUICK
@given(STUDIES)
def test_enumerations_stay_enumerations(study: Study) -> None:
    (row,) = studies_to_table([study]).to_pylist()
    again = study_from_row(row)
    assert again.split is study.split
    assert all(isinstance(image.view, View) for image in again.images)
    assert all(isinstance(label.value, LabelValue) for label in again.labels)
    assert all(isinstance(label.value, LabelValue) for label in again.source_labels)
    assert all(isinstance(text.origin, Origin) for text in again.texts)
    assert hash(again) == hash(study)


@QUICK
@given(STUDIES)
def test_absent_lists_are_empty_ones(study: Study) -> None:
    """A table written by another tool may have nulls where ours has empty lists."""
    (row,) = studies_to_table([study]).to_pylist()
    lists = ("images", "texts", "labels", "source_labels", "boxes", "dialogues")
    bare = study_from_row(row | dict.fromkeys(lists))
    assert all(getattr(bare, name) == () for name in lists)
    assert bare.study_id == study.study_id


@QUICK
@given(st.lists(STUDIES, max_size=3), st.lists(REJECTED, max_size=4))
def test_readings_add_up_or_are_refused(studies: list[Study], rejected: list[Rejected]) -> None:
    kept = sum(len(study.images) for study in studies)
    levels = [row.level for row in rejected]
    studies_in = len(studies) + levels.count(Level.STUDY)
    images_in = kept + levels.count(Level.IMAGE)
    asked = sum(len(study.dialogues) for study in studies) + levels.count(Level.DIALOGUE)
    tables = (studies_to_table(studies), rejected_to_table(rejected))
    assert Reading(*tables, studies_in, images_in, asked).images_in == images_in
    with pytest.raises(AssertionError, match=r"^studies: "):
        Reading(*tables, studies_in + 1, images_in, asked)
    with pytest.raises(AssertionError, match=r"^images: "):
        Reading(*tables, studies_in, images_in - 1, asked)
    with pytest.raises(AssertionError, match=r"^dialogues: "):
        Reading(*tables, studies_in, images_in, asked + 1)


def test_the_order_of_rows_is_kept(tmp_path: Path) -> None:
    studies = [Study("s", str(number), None, None) for number in (3, 1, 2)]
    pq.write_table(studies_to_table(studies), tmp_path / "studies.parquet")
    table = pq.read_table(tmp_path / "studies.parquet")
    assert table["study_id"].to_pylist() == ["3", "1", "2"]


def test_a_study_without_an_id_has_no_row() -> None:
    with pytest.raises(AssertionError):
        Reading(pa.table({"study_id": ["a"]}), rejected_to_table([]), 1, 0)

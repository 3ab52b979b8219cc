"""What was read beside the counts of a source's card: one line, and no refusal."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from raw_world import look, write_raw

from sources.catalog import Source, get_source
from tasks.ingest.stated import stated_line
from tasks.ingest.studies import ingest_studies
from tests.damage.test_shards import put, row
from tests.damage.worlds import picture
from tests.test_source_rrg24 import HIDDEN, TRAIN


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two rows of train, one of them without findings, and one of the hidden test."""
    film = picture(1)
    put(
        tmp_path / TRAIN,
        row(film, impression="Normal chest."),
        row(picture(2), findings="", impression="Normal chest."),
    )
    put(tmp_path / HIDDEN, row(picture(3), findings="to_generate"))
    return tmp_path


def stated(source: Source, **counts: int) -> Source:
    """The source with a card that states other counts."""
    parts = tuple((name.replace("_", " "), n) for name, n in counts.items() if name != "studies")
    expected = replace(source.card.expected, studies=counts.get("studies"), parts=parts)
    return replace(source, card=replace(source.card, expected=expected))


def test_sections_are_counted_by_member_and_part(tree: Path) -> None:
    source = get_source("rrg24")
    found = source.counted(source.read(tree))
    assert found["studies"] == 2, "the tests are no part of what is stated"
    assert found["OpenI train findings"] == 1
    assert found["OpenI train impressions"] == 2
    assert found["PadChest validation findings"] == 0
    assert found.keys() == {"studies", *dict(source.card.expected.parts)}


def test_what_differs_is_told_on_one_line(tree: Path) -> None:
    source = get_source("rrg24")
    reading = source.read(tree)
    right = stated(source, studies=2, OpenI_train_findings=1, OpenI_train_impressions=2)
    assert stated_line(right, reading) == "rrg24: 3 of 3 counts are as its card states"
    wrong = stated(source, studies=1200, OpenI_train_findings=1, OpenI_train_impressions=3)
    assert stated_line(wrong, reading) == (
        "rrg24: 1 of 3 counts are as its card states; read were studies 2 for 1,200, "
        "OpenI train impressions 2 for 3"
    )


def test_a_card_without_counts_says_nothing(tree: Path) -> None:
    source = get_source("rrg24")
    none = replace(source.card, expected=get_source("manifest").card.expected)
    assert stated_line(replace(source, card=none), source.read(tree)) is None


def test_rejected_rows_are_rows_of_what_the_publisher_lists(tree: Path) -> None:
    put(tree / TRAIN, row(picture(1)), row(findings=""))
    source = get_source("rrg24")
    reading = source.read(tree)
    assert reading.rejected.num_rows
    assert source.counted(reading)["studies"] == 2


def test_ingestion_tells_it_of_published_files_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = write_raw("vindr_cxr", tmp_path / "raw")
    with caplog.at_level(logging.INFO, logger="cxrflow"):
        ingest_studies(look(tmp_path / "data", {"vindr_cxr": raw}), "vindr_cxr")
    [line] = [text for text in caplog.messages if "as its card states" in text]
    assert line.startswith("vindr_cxr: 0 of ")
    assert "for 18,000" in line

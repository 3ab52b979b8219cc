"""Funnel rows add up, come from an artifact's pieces, and print as a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from examples_world import SETTINGS, small_world

from infra.pieces import Count, Piece
from sources.funnel import FunnelRow, count_funnel
from tasks.examples.funnel import examples_funnel, funnel_rows, funnel_text
from tasks.examples.packing import pack_piece
from tasks.examples.plan import plan_examples


def test_a_row_that_does_not_add_up_cannot_be_made() -> None:
    with pytest.raises(AssertionError) as error:
        FunnelRow("brax", "ingest", "images", 10, 8, (("truncated", 1),))
    assert str(error.value) == "brax, ingest: 10 images in, 8 kept, 1 rejected"


@pytest.mark.parametrize(
    "rejected",
    [(("b", 1), ("a", 1)), (("a", 1), ("a", 1)), (("a", 0), ("b", 2)), (("a", -1), ("b", 3))],
)
def test_reasons_are_sorted_named_once_and_counted_above_zero(
    rejected: tuple[tuple[str, int], ...],
) -> None:
    with pytest.raises(AssertionError, match="brax: "):
        FunnelRow("brax", "ingest", "images", 10, 8, rejected)


def test_reasons_are_counted() -> None:
    row = count_funnel("brax", "ingest", "images", 5, 2, ["truncated", "absent", "truncated"])
    assert row.rejected == (("absent", 1), ("truncated", 2))
    assert row.rejected_rows == 3


def test_a_steps_counts_become_one_row_per_unit() -> None:
    counts = (Count("studies", 3, 3), Count("images", 4, 2, {"truncated": 2, "absent": 0}))
    assert funnel_rows("brax", "ingest", counts) == (
        FunnelRow("brax", "ingest", "studies", 3, 3),
        FunnelRow("brax", "ingest", "images", 4, 2, (("truncated", 2),)),
    )


def test_the_examples_of_all_pieces_are_summed_by_source(tmp_path: Path) -> None:
    plan = plan_examples(small_world().write(tmp_path / "in"), SETTINGS, pieces=3)
    pieces = []
    for key in plan.keys:
        (tmp_path / key).mkdir()
        pieces.append(Piece(key, "", key, (), pack_piece(plan, key, tmp_path / key).counts))
    assert examples_funnel(pieces) == (
        FunnelRow(
            "chexpert",
            "examples",
            "rows",
            9,
            2,
            (
                ("held-out-of-other-source", 2),
                ("no-image", 2),
                ("no-report", 1),
                ("no-split", 1),
                ("section-missing", 1),
            ),
        ),
        FunnelRow(
            "mimic_cxr",
            "examples",
            "rows",
            40,
            18,
            (("test-reference-not-by-rules", 4), ("view-not-wanted", 18)),
        ),
    )


def test_the_table_shows_numbers_and_reasons_most_first() -> None:
    rows = [
        FunnelRow("brax", "ingest", "images", 1234, 1230, (("absent", 1), ("truncated", 3))),
        FunnelRow("mimic_cxr", "examples", "rows", 7, 7),
    ]
    assert funnel_text(rows).split("\n") == [
        "source     stage     unit       in   kept  rejected",
        "brax       ingest    images  1,234  1,230         4",
        "    3 truncated",
        "    1 absent",
        "mimic_cxr  examples  rows        7      7         0",
    ]


def test_an_empty_funnel_is_a_header() -> None:
    assert funnel_text([]) == "source  stage  unit  in  kept  rejected"

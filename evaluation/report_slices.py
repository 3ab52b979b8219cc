"""Rows of the page's table of slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.interval_text import difference_text, interval_text
from evaluation.slices import Slices, SliceScore


@dataclass(frozen=True)
class SliceRow:
    """One slice: a cell of text for each metric, and the metrics in which it is worse."""

    title: str
    examples: int
    subjects: int
    cells: tuple[str, ...]
    gaps: tuple[str, ...]
    worse: tuple[bool, ...]


@dataclass(frozen=True)
class SliceTable:
    """The table, and in words which slice is the worst by each metric."""

    metrics: tuple[str, ...]
    rows: tuple[SliceRow, ...]
    worst: tuple[str, ...]
    looked_at: int


def slice_table(found: Slices | None) -> SliceTable | None:
    """The table of all slices; None where there is nothing to slice by."""
    if found is None or not found.scores:
        return None
    metrics = tuple(dict.fromkeys(item.metric for item in found.scores))
    places = dict.fromkeys((item.dimension, item.value) for item in found.scores)
    by_place = {(item.dimension, item.value, item.metric): item for item in found.scores}
    rows = []
    for dimension, value in places:
        own = [by_place[dimension, value, metric] for metric in metrics]
        rows.append(_row(f"{dimension}: {value}", own))
    return SliceTable(metrics, tuple(rows), tuple(map(_worst, found.worst.values())), len(places))


def _row(title: str, own: Sequence[SliceScore]) -> SliceRow:
    return SliceRow(
        title,
        own[0].examples,
        own[0].subjects,
        tuple(interval_text(item.score) for item in own),
        tuple(difference_text(item.gap) for item in own),
        tuple(item.is_worse for item in own),
    )


def _worst(item: SliceScore) -> str:
    chance = "its interval excludes zero" if item.is_worse else "chance may explain it"
    return (
        f"{item.metric}: {item.dimension} {item.value}, {difference_text(item.gap)} from the "
        f"rest; {chance}"
    )

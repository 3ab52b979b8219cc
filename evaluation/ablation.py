"""Variants of one recipe beside its baseline: what each is worth, and whether that is chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from evaluation.paired import (
    PairedDifference,
    System,
    holm,
    paired_difference,
    why_not_paired,
)
from evaluation.statistics import Interval, make_bootstrap, score_interval

FORMAT = 1
"""Raise when a reader of ``to_dict`` must change."""


@dataclass(frozen=True)
class Variant:
    """One variant to compare.

    ``seconds`` is the time its training stages took, whoever built them first; ``shared`` names
    those of them that are the baseline's.
    """

    name: str
    question: str
    overrides: tuple[str, ...]
    system: System
    seconds: float
    trained_examples: int | None = None
    shared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One metric of one variant; ``difference`` from the baseline is None for the baseline itself
    and where examples do not pair. ``p_holm`` is corrected over all variants of the metric."""

    metric: str
    value: Interval
    higher_is_better: bool
    difference: PairedDifference | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class Row:
    """One variant's line of the table; ``apart`` says why it could not be paired."""

    name: str
    question: str
    overrides: tuple[str, ...]
    cells: tuple[Cell, ...]
    seconds: float
    trained_examples: int | None
    shared: tuple[str, ...]
    apart: str | None = None

    def cell(self, metric: str) -> Cell | None:
        """The cell of that metric; None where the variant has none."""
        return next((cell for cell in self.cells if cell.metric == metric), None)


@dataclass(frozen=True)
class Ablation:
    """The whole table; the first row is the baseline's."""

    name: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    examples: int
    subjects: int
    resamples: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers are None."""
        return {
            "format": FORMAT,
            **asdict(self),
            "rows": [_row_dict(row) for row in self.rows],
            "differences_excluding_zero": self.telling,
        }

    @property
    def telling(self) -> int:
        """How many differences have an interval that excludes zero."""
        cells = (cell for row in self.rows for cell in row.cells)
        return sum(c.difference is not None and c.difference.better is not None for c in cells)

    def tracked(self, row: Row) -> dict[str, float]:
        """Numbers of one row for MLflow, by name."""
        numbers: dict[str, float | None] = {"training_seconds": row.seconds}
        for cell in row.cells:
            numbers[cell.metric] = cell.value.value
            if cell.difference is not None:
                numbers[f"{cell.metric}/difference"] = cell.difference.difference.value
                numbers[f"{cell.metric}/p_holm"] = cell.p_holm
        return {name: value for name, value in numbers.items() if value is not None}


def _row_dict(row: Row) -> dict[str, Any]:
    cells = []
    for cell in row.cells:
        better = None if cell.difference is None else cell.difference.better
        cells.append({**asdict(cell), "better": better})
    return {**asdict(row), "cells": cells}


def compare_variants(
    name: str, variants: Sequence[Variant], metrics: Sequence[str], resamples: int, seed: int
) -> Ablation:
    """The table of a baseline, which comes first, and its variants."""
    baseline = variants[0].system
    apart = {item.name: why_not_paired(baseline, item.system) for item in variants}
    found = [metric for metric in metrics if metric in baseline.measures]
    rows = [_row(item, baseline, apart[item.name], found, resamples, seed) for item in variants]
    corrected = _corrected(rows, found)
    outputs = baseline.outputs
    return Ablation(
        name,
        tuple(found),
        corrected,
        len(outputs.example_ids),
        len(set(outputs.subjects)),
        resamples,
        seed,
    )


def _row(
    item: Variant,
    baseline: System,
    apart: str | None,
    metrics: Sequence[str],
    resamples: int,
    seed: int,
) -> Row:
    paired = apart is None and item.system is not baseline
    bootstrap = make_bootstrap(item.system.outputs.subjects, resamples, seed)
    cells = []
    for metric in metrics:
        measure = item.system.measures.get(metric)
        if measure is None:
            continue
        counts = item.system.families[measure.family]
        cells.append(
            Cell(
                metric,
                score_interval(bootstrap, measure.statistic, counts),
                measure.higher_is_better,
                paired_difference(baseline, item.system, metric, resamples, seed)
                if paired
                else None,
            )
        )
    return Row(
        item.name,
        item.question,
        item.overrides,
        tuple(cells),
        item.seconds,
        item.trained_examples,
        item.shared,
        apart,
    )


def _corrected(rows: Sequence[Row], metrics: Sequence[str]) -> tuple[Row, ...]:
    """Holm's correction of each metric over all its variants."""
    p_holm: dict[tuple[str, str], float] = {}
    for metric in metrics:
        tested = _p_values(rows, metric)
        p_holm |= {
            (name, metric): p for name, p in zip(tested, holm(list(tested.values())), strict=True)
        }
    return tuple(
        replace(
            row,
            cells=tuple(
                replace(cell, p_holm=p_holm.get((row.name, cell.metric))) for cell in row.cells
            ),
        )
        for row in rows
    )


def _p_values(rows: Sequence[Row], metric: str) -> Mapping[str, float]:
    return {
        row.name: cell.difference.p
        for row in rows
        for cell in row.cells
        if cell.metric == metric and cell.difference is not None
    }

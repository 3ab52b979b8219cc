"""Variants of one recipe beside its baseline: what each is worth, and whether that is chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from evaluation.paired import (
    PairedDifference,
    System,
    corrected,
    paired_difference,
    why_not_paired,
)
from evaluation.statistics import Interval, make_bootstrap, score_interval

FORMAT = 1
"""Raise when a reader of ``to_dict`` must change."""
Unit = Literal["subject", "film"]


@dataclass(frozen=True)
class Variant:
    """One variant to compare.

    ``seconds`` is the time its training stages took, whoever built them first; ``shared`` names
    those of them that are the baseline's; ``unavailable`` tells by metric why it has no number.
    ``memory_gib`` is the most that a stage held at once, ``answer_seconds`` what an answer took.
    ``again`` is the baseline itself, trained once more with other seeds.
    """

    name: str
    question: str
    overrides: tuple[str, ...]
    system: System
    seconds: float
    trained_examples: int | None = None
    shared: tuple[str, ...] = ()
    unavailable: Mapping[str, str] = field(default_factory=dict)
    memory_gib: float | None = None
    answer_seconds: float | None = None
    again: bool = False


@dataclass(frozen=True)
class Missing:
    """A variant without scores; ``reason`` begins with ``failed`` or ``not run``."""

    name: str
    question: str
    overrides: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Cell:
    """One metric of one variant; ``difference`` from the baseline is None for the baseline itself
    and where examples do not pair. Its p is corrected over all variants of the metric.
    ``unavailable`` says why there is no value. ``yardstick`` is the largest distance from the
    baseline of the baseline trained again, where a variant is that."""

    metric: str
    value: Interval
    higher_is_better: bool | None
    difference: PairedDifference | None = None
    unavailable: str | None = None
    yardstick: float | None = None

    @property
    def p_holm(self) -> float | None:
        """The corrected p-value, where something was tested."""
        return None if self.difference is None else self.difference.p_holm

    @property
    def better(self) -> bool | None:
        """Whether the variant is better than the baseline; None where chance may explain it, of
        the examples or of a training."""
        if self.difference is None or self.is_within_a_training:
            return None
        return self.difference.better

    @property
    def is_within_a_training(self) -> bool:
        """Whether the baseline trained again lies as far away."""
        moved = None if self.difference is None else self.difference.difference.value
        if moved is None or self.yardstick is None:
            return False
        return abs(moved) <= self.yardstick


@dataclass(frozen=True)
class Row:
    """One variant's line of the table; ``apart`` says why it could not be paired, ``missing`` why
    it has no scores at all."""

    name: str
    question: str
    overrides: tuple[str, ...]
    cells: tuple[Cell, ...]
    seconds: float | None
    trained_examples: int | None
    shared: tuple[str, ...]
    apart: str | None = None
    missing: str | None = None
    again: bool = False
    memory_gib: float | None = None
    answer_seconds: float | None = None

    def cell(self, metric: str) -> Cell | None:
        """The cell of that metric; None where the variant has none."""
        return next((cell for cell in self.cells if cell.metric == metric), None)


@dataclass(frozen=True)
class Ablation:
    """The whole table; the first row is the baseline's.

    ``unit`` is what intervals draw, and ``subjects`` how many of it there are.
    """

    name: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    examples: int
    subjects: int
    resamples: int
    seed: int
    unit: Unit = "subject"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers are None."""
        return {
            "format": FORMAT,
            **asdict(self),
            "rows": [_row_dict(row) for row in self.rows],
            "differences_surviving_holm": self.surviving,
            "differences_beyond_training": self.telling,
            "differences_excluding_zero": self.excluding_zero,
        }

    @property
    def telling(self) -> int:
        """How many of ``surviving`` lie farther away than the baseline trained again; all where no
        variant is that."""
        return sum(cell.better is not None for row in self.rows for cell in row.cells)

    @property
    def surviving(self) -> int:
        """How many differences the chance of the examples does not explain: their corrected p is
        below the level and their interval excludes zero."""
        found = (cell.difference for row in self.rows for cell in row.cells)
        return sum(item is not None and item.better is not None for item in found)

    @property
    def yardsticks(self) -> dict[str, float]:
        """By metric how far the baseline trained again lies from the baseline, where one is."""
        cells = (cell for row in self.rows for cell in row.cells)
        return {cell.metric: cell.yardstick for cell in cells if cell.yardstick is not None}

    @property
    def excluding_zero(self) -> int:
        """How many intervals exclude zero, each looked at as if it were the only one."""
        found = (cell.difference for row in self.rows for cell in row.cells)
        return sum(item is not None and item.excludes_zero for item in found)

    @property
    def tests(self) -> int:
        """The most p-values that one metric's correction is over."""
        counts = Counter(
            cell.metric for row in self.rows for cell in row.cells if cell.p_holm is not None
        )
        return max(counts.values(), default=0)

    def tracked(self, row: Row) -> dict[str, float]:
        """Numbers of one row for MLflow, by name."""
        numbers: dict[str, float | None] = {
            "training_seconds": row.seconds,
            "training_memory_gib": row.memory_gib,
            "answer_seconds": row.answer_seconds,
        }
        for cell in row.cells:
            numbers[cell.metric] = cell.value.value
            if cell.difference is not None:
                numbers[f"{cell.metric}/difference"] = cell.difference.difference.value
                numbers[f"{cell.metric}/p_holm"] = cell.p_holm
        return {name: value for name, value in numbers.items() if value is not None}


def _row_dict(row: Row) -> dict[str, Any]:
    cells = [{**asdict(cell), "p_holm": cell.p_holm, "better": cell.better} for cell in row.cells]
    return {**asdict(row), "cells": cells}


def compare_variants(
    name: str,
    variants: Sequence[Variant | Missing],
    metrics: Sequence[str],
    resamples: int,
    seed: int,
) -> Ablation:
    """The table of a baseline, which comes first and has scores, and its variants.

    A metric without a number stays a column: each cell says why it is unavailable.
    """
    first = variants[0]
    assert isinstance(first, Variant), "the baseline has scores"
    rows = [_row(item, first.system, metrics, resamples, seed) for item in variants]
    outputs = first.system.outputs
    return Ablation(
        name,
        tuple(metrics),
        _measured(_corrected(rows, metrics), metrics),
        len(outputs.example_ids),
        len(set(first.system.units)),
        resamples,
        seed,
        "film" if first.system.films else "subject",
    )


def _row(
    item: Variant | Missing, baseline: System, metrics: Sequence[str], resamples: int, seed: int
) -> Row:
    if isinstance(item, Missing):
        told = (item.name, item.question, item.overrides)
        return Row(*told, (), None, None, (), missing=item.reason)
    apart = why_not_paired(baseline, item.system)
    against = baseline if apart is None and item.system is not baseline else None
    return Row(
        item.name,
        item.question,
        item.overrides,
        tuple(_cell(item, against, metric, resamples, seed) for metric in metrics),
        item.seconds,
        item.trained_examples,
        item.shared,
        apart,
        again=item.again,
        memory_gib=item.memory_gib,
        answer_seconds=item.answer_seconds,
    )


def _cell(item: Variant, baseline: System | None, metric: str, resamples: int, seed: int) -> Cell:
    """One metric of one variant, paired with the baseline's if one is given."""
    measure = item.system.measures.get(metric)
    if measure is None:
        reason = _why_unavailable(metric, item.unavailable)
        return Cell(metric, Interval(None, None, None), None, None, reason)
    bootstrap = make_bootstrap(item.system.units, resamples, seed)
    value = score_interval(bootstrap, measure.statistic, item.system.families[measure.family])
    return Cell(
        metric,
        value,
        measure.higher_is_better,
        None
        if baseline is None
        else paired_difference(baseline, item.system, metric, resamples, seed),
        None if value.value is not None else "it is not a number on these examples",
    )


def _why_unavailable(metric: str, reasons: Mapping[str, str]) -> str:
    """What the scores tell of the metric, or of the group that its name begins with."""
    named = [name for name in reasons if metric.startswith(name)]
    return reasons[max(named, key=len)] if named else "the scores have no counts of it"


def _corrected(rows: Sequence[Row], metrics: Sequence[str]) -> tuple[Row, ...]:
    """Holm's correction of each metric over all its variants."""
    found: dict[tuple[str, str], PairedDifference] = {}
    for metric in metrics:
        cells = [(row.name, cell) for row in rows for cell in row.cells if cell.metric == metric]
        tested = {name: cell.difference for name, cell in cells if cell.difference is not None}
        pairs = corrected(list(tested.values()))
        found |= {(name, metric): pair for name, pair in zip(tested, pairs, strict=True)}
    return tuple(
        replace(
            row,
            cells=tuple(
                replace(cell, difference=found.get((row.name, cell.metric))) for cell in row.cells
            ),
        )
        for row in rows
    )


def _measured(rows: Sequence[Row], metrics: Sequence[str]) -> tuple[Row, ...]:
    """The same with how far the baseline trained again lies away, in each metric that pairs."""
    found: dict[str, float] = {}
    for metric in metrics:
        cells = [cell for row in rows if row.again for cell in row.cells if cell.metric == metric]
        values = [cell.difference.difference.value for cell in cells if cell.difference is not None]
        known = [abs(value) for value in values if value is not None]
        if known:
            found[metric] = max(known)
    return tuple(
        replace(
            row,
            cells=tuple(
                replace(cell, yardstick=found.get(cell.metric))
                if cell.difference is not None
                else cell
                for cell in row.cells
            ),
        )
        for row in rows
    )

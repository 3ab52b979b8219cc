"""Scores by group: the same counts, summed over the examples of one source, view, sex, age band…

A slice is scored on the resamples of the whole, and beside the rest: its difference from all other
examples, with an interval. Shapes: N examples, K counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evaluation.measures import Measure
from evaluation.paired import System
from evaluation.statistics import (
    Bootstrap,
    Interval,
    difference_interval,
    make_bootstrap,
    score_interval,
)

DIMENSIONS = ("source", "view", "sex", "age", "manufacturer", "site")
AGE_BANDS = ((0, 18), (18, 40), (40, 60), (60, 80), (80, 200))
"""Years, lower end included: children, then bands of about 20 (our choice)."""
UNKNOWN = "unknown"
LEAST_EXAMPLES = 30
"""A smaller slice is scored but never called the worst: of a few examples some slice always looks
bad (our choice)."""


@dataclass(frozen=True)
class SliceScore:
    """One metric of one slice; ``gap`` is the slice's value less that of all other examples."""

    dimension: str
    value: str
    metric: str
    score: Interval
    gap: Interval
    higher_is_better: bool
    examples: int
    subjects: int

    @property
    def is_worse(self) -> bool:
        """Whether the gap's interval lies wholly on the bad side of zero."""
        return self.gap.better(self.higher_is_better) is False


@dataclass(frozen=True)
class Slices:
    """All slices of one system; ``worst`` by metric, of the slices with LEAST_EXAMPLES."""

    scores: tuple[SliceScore, ...]
    worst: Mapping[str, SliceScore]
    looked_at: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers are None."""
        return {
            "scores": [{**asdict(item), "is_worse": item.is_worse} for item in self.scores],
            "worst": {
                metric: {"dimension": item.dimension, "value": item.value, "worse": item.is_worse}
                for metric, item in self.worst.items()
            },
            "slices": self.looked_at,
        }


def age_band(years: float | None) -> str:
    """``60-79`` for 64.0; the oldest is ``80+``."""
    for low, high in AGE_BANDS:
        if years is not None and low <= years < high:
            return f"{low}-{high - 1}" if high < AGE_BANDS[-1][1] else f"{low}+"
    return UNKNOWN


def slice_scores(
    system: System,
    facts: Mapping[str, Sequence[str]],
    metrics: Sequence[str],
    resamples: int,
    seed: int,
) -> Slices:
    """Every metric of every slice.

    Args:
        facts: by dimension one value for each example, in the order of the system's examples. A
            dimension of one value is no slicing and is left out.
        metrics: names of the system's measures; others are passed over.
    """
    outputs = system.outputs
    bootstrap = make_bootstrap(outputs.subjects, resamples, seed)
    subjects = np.asarray(outputs.subjects)
    found = []
    for dimension, values in facts.items():
        assert len(values) == len(outputs.example_ids), f"{dimension}: one value an example"
        names = sorted(set(values))
        for name in names if len(names) > 1 else ():
            inside = np.asarray(values) == name
            for metric in metrics:
                if metric in system.measures:
                    measure = system.measures[metric]
                    item = _slice(system, measure, bootstrap, inside, subjects)
                    found.append(SliceScore(dimension, name, metric, *item))
    places = {(item.dimension, item.value) for item in found}
    return Slices(tuple(found), _worst(found), len(places))


def _slice(
    system: System, measure: Measure, bootstrap: Bootstrap, inside: Any, subjects: Any
) -> tuple[Interval, Interval, bool, int, int]:
    counts = system.families[measure.family]
    own, rest = counts * inside[:, None], counts * ~inside[:, None]
    present = inside & (system.present(measure) > 0)
    return (
        score_interval(bootstrap, measure.statistic, own),
        difference_interval(bootstrap, measure.statistic, own, rest),
        measure.higher_is_better,
        int(present.sum()),
        len(set(subjects[present])),
    )


def _worst(found: Sequence[SliceScore]) -> dict[str, SliceScore]:
    """By metric the slice furthest below the rest (above it, for errors); unknown values apart."""
    worst: dict[str, SliceScore] = {}
    for item in found:
        if item.gap.value is None or item.examples < LEAST_EXAMPLES or item.value == UNKNOWN:
            continue
        held = worst.get(item.metric)
        if held is None or _badness(item) > _badness(held):
            worst[item.metric] = item
    return worst


def _badness(item: SliceScore) -> float:
    assert item.gap.value is not None
    return -item.gap.value if item.higher_is_better else item.gap.value

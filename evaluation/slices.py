"""Scores by group: the same counts, summed over the examples of one source, view, sex, age band…

A slice is scored on the resamples of the whole, and beside the rest: its difference from all other
examples, with an interval. Whether the worst slice is worse than the rest is told by intervals that
hold for all slices at once. Shapes: N examples, K counts, B resamples, S slices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.interval_text import difference_text
from evaluation.measures import Measure
from evaluation.paired import System
from evaluation.statistics import (
    CONFIDENCE,
    Bootstrap,
    Floats,
    Interval,
    interval_of,
    make_bootstrap,
)

DIMENSIONS = ("source", "view", "sex", "age", "manufacturer", "site")
AGE_BANDS = ((0, 18), (18, 40), (40, 60), (60, 80), (80, 200))
"""Years, lower end included: children, then bands of about 20 (our choice)."""
UNKNOWN = "unknown"
LEAST_EXAMPLES = 30
"""A smaller slice, or one that leaves a smaller rest, is scored but never called the worst: of few
examples some slice always looks bad (our choice)."""
LEAST_SUBJECTS = 20
"""And one of fewer subjects: subjects are what is drawn, of a few of them intervals come out too
narrow, and a resample that draws none of them has no value (our choice: of 20 none is drawn once in
500 million resamples)."""


@dataclass(frozen=True)
class SliceScore:
    """One metric of one slice; ``gap`` is the slice's value less that of all other examples.

    The interval of ``gap`` is right for a slice that was chosen beforehand, that of ``corrected``
    for all slices of the metric at once; it is unknown for a slice that is too small to be named.
    """

    dimension: str
    value: str
    metric: str
    score: Interval
    gap: Interval
    corrected: Interval
    higher_is_better: bool
    examples: int
    subjects: int

    @property
    def badness(self) -> float:
        """How far the slice lies on the bad side of the rest; 0 where that is not known."""
        gap = self.gap.value or 0.0
        return -gap if self.higher_is_better else gap

    @property
    def is_worse(self) -> bool:
        """Whether it is worse than the rest after correction for all slices of the metric."""
        return self.corrected.better(self.higher_is_better) is False


@dataclass(frozen=True)
class Slices:
    """All slices of one system.

    ``worst`` holds by metric the slice furthest on the bad side of the rest, if one is, of the
    ``eligible`` ones: so many slices of the metric are large enough.
    ``unsliced`` names the dimensions that have one value alone, with that value.
    """

    scores: tuple[SliceScore, ...]
    worst: Mapping[str, SliceScore]
    looked_at: int
    eligible: Mapping[str, int]
    unsliced: Mapping[str, str] = field(default_factory=dict)

    @property
    def not_sliced(self) -> str:
        """``sex, age (unknown for all); source (openi for all)``; empty where all are sliced."""
        named: dict[str, list[str]] = {}
        for name, value in self.unsliced.items():
            named.setdefault(value, []).append(name)
        return "; ".join(f"{', '.join(names)} ({value} for all)" for value, names in named.items())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers are None."""
        return {
            "scores": [{**asdict(item), "is_worse": item.is_worse} for item in self.scores],
            "worst": {
                metric: {"dimension": item.dimension, "value": item.value, "worse": item.is_worse}
                for metric, item in self.worst.items()
            },
            "slices": self.looked_at,
            "eligible": dict(self.eligible),
            "not_sliced": dict(self.unsliced),
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
            dimension of one value is no slicing and is left out, and named.
        metrics: names of the system's measures; others are passed over.
    """
    bootstrap = make_bootstrap(system.outputs.subjects, resamples, seed)
    places = _places(facts, len(system.outputs.example_ids))
    found: list[SliceScore] = []
    eligible = {}
    for metric in metrics:
        if metric in system.measures:
            parts = [_part(system, metric, bootstrap, *each) for each in places.items()]
            spans = _corrected(parts)
            rows = zip(places, parts, spans, strict=True)
            found += [_scored(metric, place, part, span) for place, part, span in rows]
            eligible[metric] = sum(part.eligible for part in parts)
    alike = {name: values[0] for name, values in facts.items() if len(set(values)) == 1}
    return Slices(tuple(found), _worst(found), len(places), eligible, alike)


def joined(found: Sequence[Slices]) -> Slices:
    """Slices of several systems as one document; their metrics have different names.

    A dimension is named as not sliced where every system has one value of it.
    """
    unsliced = [one.unsliced for one in found]
    first = unsliced[0] if unsliced else {}
    return Slices(
        tuple(item for one in found for item in one.scores),
        {metric: item for one in found for metric, item in one.worst.items()},
        max((one.looked_at for one in found), default=0),
        {metric: many for one in found for metric, many in one.eligible.items()},
        {name: value for name, value in first.items() if all(name in one for one in unsliced)},
    )


def _places(
    facts: Mapping[str, Sequence[str]], examples: int
) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """By dimension and value, which examples (N,) are in the slice."""
    found = {}
    for dimension, values in facts.items():
        assert len(values) == examples, f"{dimension}: one value an example"
        names = sorted(set(values))
        for name in names if len(names) > 1 else ():
            found[dimension, name] = np.asarray(values) == name
    return found


@dataclass(frozen=True)
class _Part:
    """One metric of one slice before correction; ``draws`` (B,) are the gap's."""

    measure: Measure
    score: Interval
    gap: Interval
    draws: Floats
    support: tuple[int, int]
    eligible: bool


def _part(
    system: System,
    metric: str,
    bootstrap: Bootstrap,
    place: tuple[str, str],
    inside: NDArray[np.bool_],
) -> _Part:
    measure = system.measures[metric]
    subjects = np.asarray(system.outputs.subjects)
    present = system.present(measure) > 0
    counts = system.families[measure.family]
    both, values, support = [], [], []
    for chosen in (inside & present, ~inside & present):
        own = counts * chosen[:, None]
        drawn = bootstrap.weights @ chosen.astype(np.float64) > 0
        both.append(np.where(drawn, bootstrap.draws(measure.statistic, own), np.nan))
        empty = not chosen.any()
        values.append(np.float64(np.nan) if empty else measure.statistic(own.sum(axis=0)))
        support.append((int(chosen.sum()), len(set(subjects[chosen]))))
    draws = both[0] - both[1]
    gap = interval_of(values[0] - values[1], draws)
    told = place[1] != UNKNOWN
    large = all(rows >= LEAST_EXAMPLES and people >= LEAST_SUBJECTS for rows, people in support)
    known = gap.value is not None and bool(np.isfinite(draws).all())
    score = interval_of(values[0], both[0])
    return _Part(measure, score, gap, draws, support[0], told and large and known)


def _corrected(parts: Sequence[_Part]) -> list[Interval]:
    """Intervals of all gaps at once: as many standard errors to each side as the largest gap of a
    resample, in its own standard errors, keeps to in 95 % of the resamples (a studentised maximum,
    which knows that slices overlap; Westfall and Young, 1993). Unknown for those too small."""
    chosen = [part for part in parts if part.eligible]
    if not chosen:
        return [Interval(None, None, None)] * len(parts)
    values = np.array([part.gap.value for part in chosen])
    draws = np.stack([part.draws for part in chosen])  # (S, B)
    errors = draws.std(axis=1, ddof=1)
    off = np.abs(draws - values[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(errors[:, None] > 0, off / errors[:, None], 0.0)
    reach = float(np.quantile(ratios.max(axis=0), CONFIDENCE, method="inverted_cdf"))
    widths = iter(errors * reach)
    return [
        _around(part.gap, float(next(widths))) if part.eligible else Interval(None, None, None)
        for part in parts
    ]


def _around(gap: Interval, width: float) -> Interval:
    assert gap.value is not None
    return Interval(gap.value, gap.value - width, gap.value + width)


def _scored(metric: str, place: tuple[str, str], part: _Part, corrected: Interval) -> SliceScore:
    better = part.measure.higher_is_better
    return SliceScore(*place, metric, part.score, part.gap, corrected, better, *part.support)


def _worst(found: Sequence[SliceScore]) -> dict[str, SliceScore]:
    """By metric the slice furthest on the bad side of the rest, those that chance does not explain
    first; one that is too small, or of unknown values, is not named."""
    worst: dict[str, SliceScore] = {}
    for item in found:
        if item.corrected.value is None or item.badness <= 0.0:
            continue
        held = worst.get(item.metric)
        if held is None or (item.is_worse, item.badness) > (held.is_worse, held.badness):
            worst[item.metric] = item
    return worst


def verdict(found: Slices, metric: str) -> str:
    """One line on the worst slice of a metric, with its interval after correction."""
    many = found.eligible[metric]
    least = f"{LEAST_EXAMPLES} examples of {LEAST_SUBJECTS} subjects"
    if not many:
        return f"no worst slice: none has {least}, and as many beside it"
    worst = found.worst.get(metric)
    if worst is None:
        higher = next(i.higher_is_better for i in found.scores if i.metric == metric)
        return f"no slice is {'below' if higher else 'above'} the rest, of {many} with {least}"
    sure = "worse than the rest" if worst.is_worse else "chance may explain it"
    return (
        f"worst slice: {worst.dimension} {worst.value}, {difference_text(worst.corrected)} from "
        f"the rest after correction for {many} slices: {sure}"
    )

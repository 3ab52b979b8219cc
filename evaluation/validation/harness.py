"""Metrics against raters: Kendall tau-b and mean absolute difference, with the raters' own ceiling.

The target is the mean error count of the raters of a pair. A metric for which higher is better is
negated first, so that a positive tau always means agreement. What a person reaches is measured by
leaving each rater out once: tau and difference of that rater against the mean of the others; a
metric is set against the same means (``left_in``), and both are averaged over the raters. Intervals
draw studies, with all of their pairs. Shapes: R raters, P pairs, B resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from evaluation.chexprompt import KINDS
from evaluation.kendall import tau_b
from evaluation.statistics import Bootstrap, Floats, Interval, interval_of, make_bootstrap
from evaluation.validation.pair_metrics import TARGETS, PairMetric, Target
from evaluation.validation.ratings import TIERS, Ratings

FORMAT = 1
"""Raise when a reader of ``to_dict`` must change."""

Units = Literal["counted", "fitted"]


@dataclass(frozen=True)
class Agreement:
    """One metric against one target.

    Args:
        pairs: those with a value and a rating.
        tau, difference: against the mean of all raters.
        left_in_tau, left_in_difference: against the mean without one rater, averaged over raters.
        over_ceiling: ``left_in_tau`` less the raters' own, on the same resamples; the raters' is
            over all of their pairs, also those that the metric has no value for.
        units: ``counted`` where the metric counts these errors; ``fitted`` where its values were
            turned into errors by a line fitted to the other studies.
    """

    metric: str
    target: Target
    higher_is_better: bool
    is_control: bool
    pairs: int
    studies: int
    tau: Interval
    left_in_tau: Interval
    over_ceiling: Interval
    difference: Interval
    left_in_difference: Interval
    units: Units


@dataclass(frozen=True)
class LeftOut:
    """One rater against the mean of the others, on the ``pairs`` that both rated."""

    rater: str
    pairs: int
    tau: float | None
    difference: float


@dataclass(frozen=True)
class Ceiling:
    """What raters reach against each other; the intervals are of the mean over raters."""

    target: Target
    mean_errors: float
    raters: tuple[LeftOut, ...]
    tau: Interval
    difference: Interval


@dataclass(frozen=True)
class KindAgreement:
    """One judge's counts of one kind and tier beside the raters' mean, on ``pairs`` with both."""

    judge: str
    tier: str
    kind: str
    pairs: int
    raters_mean: float
    judge_mean: float
    difference: float


@dataclass(frozen=True)
class Validation:
    """Everything measured on one set of ratings.

    ``failures`` holds by judge, and by reason, the pairs that it gave no counts for.
    """

    name: str
    pairs: int
    studies: int
    raters: int
    rows_in: int
    rejected: dict[str, int]
    resamples: int
    seed: int
    ceilings: tuple[Ceiling, ...]
    agreements: tuple[Agreement, ...]
    unavailable: dict[str, str]
    kinds: tuple[KindAgreement, ...] = ()
    failures: dict[str, dict[str, int]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers are None."""
        return {"format": FORMAT, **asdict(self)}

    def ceiling(self, target: Target) -> Ceiling | None:
        """The raters' ceiling of that target, None where no pair has two raters."""
        return next((item for item in self.ceilings if item.target == target), None)


def validate(
    name: str,
    ratings: Ratings,
    metrics: Sequence[PairMetric],
    unavailable: dict[str, str],
    resamples: int,
    seed: int,
    kinds: Mapping[str, Floats] | None = None,
    failures: Mapping[str, dict[str, int]] | None = None,
) -> Validation:
    """Rate every metric against every target that the ratings tell of.

    Args:
        kinds: counts (P, T, K) by judge, to be set beside the raters' where these tell kinds.
        failures: pairs without counts by judge and reason, for the reader.
    """
    studies = [pair.study for pair in ratings.pairs]
    bootstrap = make_bootstrap(studies, resamples, seed)
    targets = [
        _Target(target, ratings.totals[:, :, place], studies, bootstrap)
        for place, target in enumerate(TARGETS)
        if np.isfinite(ratings.totals[:, :, place]).any()
    ]
    ceilings = [item.ceiling(ratings.raters) for item in targets]
    agreements = [
        item.agreement(metric, ceiling)
        for item, (_, ceiling) in zip(targets, ceilings, strict=True)
        for metric in metrics
        if metric.counts in (None, item.target)
    ]
    return Validation(
        name,
        len(ratings.pairs),
        len(set(studies)),
        len(ratings.raters),
        ratings.rows_in,
        ratings.rejected,
        resamples,
        seed,
        tuple(ceiling for ceiling, _ in ceilings if ceiling is not None),
        tuple(item for item in agreements if item is not None),
        unavailable,
        tuple(
            item
            for judge, counts in (kinds or {}).items()
            for item in _kind_agreements(judge, counts, ratings.kinds)
        ),
        dict(failures or {}),
    )


def _kind_agreements(judge: str, counts: Floats, kinds: Floats) -> Iterator[KindAgreement]:
    """Cells (T, K) in order; ``counts`` (P, T, K), ``kinds`` (R, P, T, K)."""
    for t, tier in enumerate(TIERS):
        for k, kind in enumerate(KINDS):
            raters, told = _mean_over_raters(kinds[:, :, t, k]), counts[:, t, k]
            both = np.isfinite(raters) & np.isfinite(told)
            if both.any():
                gap = np.abs(raters[both] - told[both]).mean()
                means = float(raters[both].mean()), float(told[both].mean())
                yield KindAgreement(judge, tier, kind, int(both.sum()), *means, float(gap))


class _Target:
    """One kind of errors: counts (R, P), nan where a rater did not count them."""

    def __init__(
        self, target: Target, counts: Floats, studies: Sequence[str], bootstrap: Bootstrap
    ) -> None:
        self.target, self.counts, self.bootstrap = target, counts, bootstrap
        self.studies = np.unique(np.asarray(studies), return_inverse=True)[1]
        self.mean = _mean_over_raters(counts)
        rest = [_mean_over_raters(np.delete(counts, r, axis=0)) for r in range(len(counts))]
        self.others = [
            np.where(np.isfinite(own), mean, np.nan) for own, mean in zip(counts, rest, strict=True)
        ]

    def ceiling(self, raters: Sequence[str]) -> tuple[Ceiling | None, Floats | None]:
        """The ceiling, and its tau: (1 + B,), the value and every resample."""
        compared = [
            (rater, own, others)
            for rater, own, others in zip(raters, self.counts, self.others, strict=True)
            if np.isfinite(others).any()
        ]
        if not compared:
            return None, None
        taus = [self._tau(own, others) for _, own, others in compared]
        apart = [self._difference(own, others) for _, own, others in compared]
        left_out = tuple(
            LeftOut(rater, int(np.isfinite(others).sum()), _known(tau[0]), float(gap[0]))
            for (rater, _, others), tau, gap in zip(compared, taus, apart, strict=True)
        )
        tau = _averaged(taus)
        mean = float(np.nanmean(self.mean))
        found = Ceiling(self.target, mean, left_out, _interval(tau), _interval(_averaged(apart)))
        return found, tau

    def agreement(self, metric: PairMetric, ceiling: Floats | None) -> Agreement | None:
        """The metric against this target; None where no pair has both."""
        usable = np.isfinite(metric.values) & np.isfinite(self.mean)
        if not usable.any():
            return None
        towards_errors = -metric.values if metric.higher_is_better else metric.values
        counted = metric.counts == self.target
        told = metric.values if counted else self._fitted(metric.values, self.mean)
        compared = [others for others in self.others if np.isfinite(others[usable]).any()]
        left_in = _averaged([self._tau(towards_errors, others) for others in compared])
        gaps = [
            self._difference(told if counted else self._fitted(metric.values, others), others)
            for others in compared
        ]
        over = left_in - (np.nan if ceiling is None else ceiling)
        return Agreement(
            metric.name,
            self.target,
            metric.higher_is_better,
            metric.is_control,
            int(usable.sum()),
            len(set(self.studies[usable].tolist())),
            _interval(self._tau(towards_errors, self.mean)),
            _interval(left_in),
            _interval(over),
            _interval(self._difference(told, self.mean)),
            _interval(_averaged(gaps)),
            "counted" if counted else "fitted",
        )

    def _tau(self, one: Floats, other: Floats) -> Floats:
        """(1 + B,): tau-b over all pairs that have both, then of every resample."""
        both = np.isfinite(one) & np.isfinite(other)
        weights = np.vstack([np.ones(int(both.sum())), self.bootstrap.weights[:, both]])
        return tau_b(one[both], other[both], weights)

    def _difference(self, one: Floats, other: Floats) -> Floats:
        """(1 + B,): mean absolute difference, likewise."""
        both = np.isfinite(one) & np.isfinite(other)
        weights = np.vstack([np.ones(int(both.sum())), self.bootstrap.weights[:, both]])
        total = weights.sum(axis=1)
        gaps = weights @ np.abs(one[both] - other[both])
        mean = np.full(len(total), np.nan)
        np.divide(gaps, total, out=mean, where=total > 0)
        return mean

    def _fitted(self, values: Floats, errors: Floats) -> Floats:
        """(P,) errors by a line through the other studies' pairs: no study tells of itself."""
        usable = np.isfinite(values) & np.isfinite(errors)
        found = np.full(len(values), np.nan)
        for study in np.unique(self.studies[usable]):
            own, rest = usable & (self.studies == study), usable & (self.studies != study)
            if not rest.any():
                continue
            centre, level = values[rest].mean(), errors[rest].mean()
            spread = ((values[rest] - centre) ** 2).sum()
            slope = 0.0
            if spread > 0:
                slope = ((values[rest] - centre) * (errors[rest] - level)).sum() / spread
            found[own] = level + slope * (values[own] - centre)
        return found


def _mean_over_raters(counts: Floats) -> Floats:
    """(P,) mean of those who rated the pair, nan where nobody did."""
    there = np.isfinite(counts)
    number = there.sum(axis=0)
    total = np.where(there, counts, 0.0).sum(axis=0)
    mean = np.full(counts.shape[1], np.nan)
    np.divide(total, number, out=mean, where=number > 0)
    return mean


def _averaged(each: Sequence[Floats]) -> Floats:
    """(1 + B,) mean over raters of values and resamples; nan where there are none."""
    return np.asarray(np.mean(each, axis=0)) if each else np.full(2, np.nan)


def _interval(values: Floats) -> Interval:
    """From (1 + B,): the value over all pairs, then every resample's."""
    return interval_of(values[0], values[1:])


def _known(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None

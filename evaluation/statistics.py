"""Intervals by a cluster bootstrap: subjects are drawn with replacement, with all their studies.

Studies of one person are not independent, so resampling studies makes intervals too narrow. Every
metric here is a function of sums over studies (counts), so a resample is one row of weights and
all resamples are one matrix product. Shapes: N studies, S subjects, B resamples, K counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import psutil
from numpy.typing import NDArray

from infra.errors import InputError

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From summed counts, shape (..., K), to values, shape (...)."""

CONFIDENCE = 0.95
"""Level of every interval (LLaVA-Rad's, evaluation_metrics 3.1)."""


@dataclass(frozen=True)
class Interval:
    """A value with the percentile interval of its resamples; None where it is not finite."""

    value: float | None
    low: float | None
    high: float | None

    def excludes(self, point: float) -> bool:
        """Whether the interval lies wholly on one side of ``point``; an unknown one does not."""
        if self.low is None or self.high is None:
            return False
        return self.low > point or self.high < point

    def better(self, higher_is_better: bool) -> bool | None:
        """Of a difference: whether all of it is on the better side of zero (False: the worse one);
        None where chance may explain it or it is unknown."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return None
        return (self.low > 0) == higher_is_better


@dataclass(frozen=True)
class Bootstrap:
    """One set of resamples, shared by all that is compared with another.

    ``weights`` (B, N) says how often each study is in each resample.
    """

    weights: Floats
    subjects: int
    seed: int

    @property
    def resamples(self) -> int:
        return int(self.weights.shape[0])

    def draws(self, statistic: Statistic, counts: Floats) -> Floats:
        """The statistic of every resample, (B,), from counts of every study, (N, K)."""
        return statistic(self.weights @ counts)


def make_bootstrap(subjects: Sequence[str], resamples: int, seed: int) -> Bootstrap:
    """Draw as many subjects as there are, ``resamples`` times; ``subjects`` names each study's.

    Raises:
        InputError: so many resamples do not fit the memory that is free.
    """
    names, of_study = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    count = len(names)
    require_room(resamples, count, len(of_study))
    random = np.random.default_rng(seed)
    drawn = random.multinomial(count, np.full(count, 1.0 / count), size=resamples)
    return Bootstrap(drawn.astype(np.float64)[:, of_study], count, seed)


def require_room(resamples: int, subjects: int, studies: int) -> None:
    """Counts of subjects, the same as numbers, and those of studies are held at once; so are the
    exchanges of a randomisation.

    Raises:
        InputError: so many do not fit the memory that is free.
    """
    free = psutil.virtual_memory().available
    fit = free // (8 * (2 * subjects + studies)) if studies else resamples
    if resamples > fit:
        raise InputError(
            f"{resamples:,} bootstrap resamples of {studies:,} studies",
            f"at most {fit:,}, which fit the {free / 2**30:.1f} GiB of free memory",
            "ask for fewer resamples",
        )


def score_interval(bootstrap: Bootstrap, statistic: Statistic, counts: Floats) -> Interval:
    """Value over all studies, with its interval; ``counts`` (N, K)."""
    return interval_of(statistic(counts.sum(axis=0)), bootstrap.draws(statistic, counts))


def difference_interval(
    bootstrap: Bootstrap, statistic: Statistic, counts: Floats, others: Floats
) -> Interval:
    """Value of ``counts`` less that of ``others``, paired: each resample draws both alike."""
    value = statistic(counts.sum(axis=0)) - statistic(others.sum(axis=0))
    draws = bootstrap.draws(statistic, counts) - bootstrap.draws(statistic, others)
    return interval_of(value, draws)


def ratio_interval(
    bootstrap: Bootstrap, statistic: Statistic, counts: Floats, others: Floats
) -> Interval:
    """Value of ``counts`` over that of ``others``, paired; None where the other's is zero."""
    value = _divide(statistic(counts.sum(axis=0)), statistic(others.sum(axis=0)))
    draws = _divide(bootstrap.draws(statistic, counts), bootstrap.draws(statistic, others))
    return interval_of(value, draws)


def _divide(upper: Floats, lower: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.divide(upper, lower), dtype=np.float64)


def interval_of(value: Floats | np.float64, draws: Floats) -> Interval:
    """A value with the percentile interval of its draws (B,), unknown where a draw has no value."""
    tail = (1.0 - CONFIDENCE) / 2.0
    if np.isnan(draws).any():
        return Interval(_finite(value), None, None)
    low, high = np.quantile(draws, [tail, 1.0 - tail], method="inverted_cdf")
    return Interval(_finite(value), _finite(low), _finite(high))


def _finite(number: Floats | np.float64) -> float | None:
    return float(number) if np.isfinite(number) else None


def mean_of(counts: Floats) -> Floats:
    """A mean from counts (..., 2): the sum of values, and how many; nan where there are none."""
    return _divide(counts[..., 0], counts[..., 1])

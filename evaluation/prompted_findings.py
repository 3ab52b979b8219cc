"""Is what a prompt asks for on the film that was drawn, as a classifier of real films reads it?

AUROC of the classifier's probabilities against what the prompts assert, by finding and in the mean,
beside the same on real films against their own reports, which is the most that can be reached: a
finding that the classifier cannot see on real films says nothing of drawn ones. And of prompts that
ask for a finding on one side, how often that side is the likelier one.
Shapes: N films, T targets in the order of ``film_targets.TARGETS``, B resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.film_targets import FINDINGS, SIDED, SIDES, place_of, sided
from evaluation.statistics import (
    Bootstrap,
    Floats,
    Interval,
    interval_of,
    make_bootstrap,
    mean_of,
    score_interval,
)
from evaluation.turned import turned_rows
from evaluation.zero_shot import LEAST_SUPPORT, auroc, mean_of_known

VERSION: Final = "1"
UNKNOWN: Final = Interval(None, None, None)


@dataclass(frozen=True)
class FilmReadings:
    """What a classifier says of N films, and what their texts say.

    Args:
        probabilities: (N, T).
        targets: (N, T) of 1 and 0, not a number where the text does not say.
        units: what the bootstrap draws: a film's prompt, with all that was drawn for it.
    """

    probabilities: Floats
    targets: Floats
    units: tuple[str, ...]

    def support(self, target: str) -> tuple[int, int]:
        """How many units have a film with the target, and one without."""
        column = self.targets[:, place_of(target)]
        units = np.asarray(self.units)
        return len(set(units[column == 1.0])), len(set(units[column == 0.0]))


@dataclass(frozen=True)
class FindingScore:
    """AUROC of one finding on drawn films, and on real ones; ``positive`` and ``negative`` count
    the drawn films' prompts."""

    finding: str
    drawn: Interval
    real: Interval
    positive: int
    negative: int


@dataclass(frozen=True)
class PromptedFindings:
    """All findings with support on both kinds of film, and their means.

    ``less_real`` is the mean of drawn films less that of real ones, from draws of each.
    """

    findings: tuple[FindingScore, ...]
    drawn: Interval
    real: Interval
    less_real: Interval
    without_support: tuple[str, ...]


@dataclass(frozen=True)
class SideScore:
    """Share of cases (a film and a finding asked for on one side) with that side the likelier.

    A tie is wrong. ``real`` is the same of real films and their reports.
    """

    drawn: Interval
    real: Interval
    cases: int
    prompts: int
    by_finding: tuple[tuple[str, int, int], ...]


def shuffled(readings: FilmReadings) -> FilmReadings:
    """The same films held to the text of another unit: what a film that was drawn whatever the
    prompt says would reach."""
    return replace(readings, targets=readings.targets[turned_rows(readings.units)])


def score_findings(
    drawn: FilmReadings,
    real: FilmReadings,
    resamples: int,
    seed: int,
    asked: Sequence[str] = FINDINGS,
) -> PromptedFindings:
    """AUROC by finding that is asked about; one with fewer than LEAST_SUPPORT units on a side of
    either kind has none, and takes no part in the means."""
    draws = [make_bootstrap(each.units, resamples, seed) for each in (drawn, real)]
    scores, ours, theirs, without = [], [], [], []
    for finding in asked:
        support = drawn.support(finding)
        if min(*support, *real.support(finding)) < LEAST_SUPPORT:
            without.append(finding)
            continue
        own, other = (
            _auroc(each, finding, boot) for each, boot in zip((drawn, real), draws, strict=True)
        )
        ours.append(own)
        theirs.append(other)
        scores.append(FindingScore(finding, interval_of(*own), interval_of(*other), *support))
    if not scores:
        return PromptedFindings((), UNKNOWN, UNKNOWN, UNKNOWN, tuple(without))
    (value, spread), (ceiling, room) = _mean(ours), _mean(theirs)
    return PromptedFindings(
        tuple(scores),
        interval_of(value, spread),
        interval_of(ceiling, room),
        interval_of(np.float64(value - ceiling), spread - room),
        tuple(without),
    )


Drawn = tuple[np.float64, Floats]
"""A value with its (B,) draws."""


def _auroc(readings: FilmReadings, finding: str, bootstrap: Bootstrap) -> Drawn:
    column = place_of(finding)
    truth = readings.targets[:, column]
    counted = (~np.isnan(truth)).astype(np.float64)
    true = np.nan_to_num(truth)
    told = readings.probabilities[:, column]
    value = auroc(told, true, counted[None])[0]
    return value, auroc(told, true, bootstrap.weights * counted)


def _mean(found: Sequence[Drawn]) -> Drawn:
    value = np.float64(np.mean([one for one, _ in found]))
    return value, mean_of_known(np.stack([draws for _, draws in found]))


def score_sides(drawn: FilmReadings, real: FilmReadings, resamples: int, seed: int) -> SideScore:
    """Over all cases; prompts that ask for no finding on one side alone have none."""
    cases = {finding: _sided_cases(drawn, finding) for finding in SIDED}
    asked = np.stack([told for told, _ in cases.values()])
    units = np.asarray(drawn.units)[asked.any(axis=0)]
    by_finding = tuple(
        (finding, int(told.sum()), int(right.sum()))
        for finding, (told, right) in cases.items()
        if told.any()
    )
    return SideScore(
        _side_interval(drawn, resamples, seed),
        _side_interval(real, resamples, seed),
        int(asked.sum()),
        len(set(units)),
        by_finding,
    )


def _side_interval(readings: FilmReadings, resamples: int, seed: int) -> Interval:
    counts = np.zeros((len(readings.units), 2))
    for finding in SIDED:
        asked, right = _sided_cases(readings, finding)
        counts += np.stack([right, asked], axis=1)
    if not counts[:, 1].any():
        return UNKNOWN
    bootstrap = make_bootstrap(readings.units, resamples, seed)
    return score_interval(bootstrap, mean_of, counts)


def _sided_cases(
    readings: FilmReadings, finding: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N,) whether a film's text has the finding on one side alone, and whether that side wins."""
    left, right = (place_of(sided(finding, side)) for side in SIDES)
    truth, told = readings.targets, readings.probabilities
    is_left = (truth[:, left] == 1.0) & (truth[:, right] == 0.0)
    is_right = (truth[:, right] == 1.0) & (truth[:, left] == 0.0)
    won = np.where(is_left, told[:, left] > told[:, right], told[:, right] > told[:, left])
    return is_left | is_right, won & (is_left | is_right)

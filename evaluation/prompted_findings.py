"""Is what a prompt asks for on the film that was drawn, as a classifier of real films reads it?

AUROC of the classifier's probabilities against what the prompts assert, by finding and in the mean,
beside the same on real films against their own reports, which is the most that can be reached: a
finding that the classifier cannot see on real films says nothing of drawn ones, so each mean is
told twice, over all findings with support and over those it sees. And of prompts that ask for a
finding on one side, how often that side is the likelier one.
Shapes: N films, T targets in the order of ``film_targets.TARGETS``, B resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.film_targets import FINDINGS, SIDED, SIDES, place_of, sided
from evaluation.statistics import (
    Bootstrap,
    Floats,
    Interval,
    difference_interval,
    interval_of,
    make_bootstrap,
    mean_of,
    score_interval,
)
from evaluation.turned import turned_rows
from evaluation.zero_shot import LEAST_SUPPORT, auroc, mean_of_known

VERSION: Final = "1"
SEEN_FROM: Final = 0.75
"""What the classifier must reach on real films, in AUROC or as share of right sides, to be said to
see a finding. It is what a model's drawn films are asked to reach: what real films do not reach,
nobody can ask of drawn ones. Drawn films take no part in the choice."""
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
class Beside:
    """A number of drawn films, and the same of real ones."""

    drawn: Interval
    real: Interval

    @property
    def is_seen(self) -> bool:
        """Whether the classifier sees on real films what the number is about."""
        return self.real.value is not None and self.real.value >= SEEN_FROM


@dataclass(frozen=True)
class FindingScore(Beside):
    """AUROC of one finding; ``positive`` and ``negative`` count the drawn films' prompts.

    ``value`` and ``draws`` (B,) are the drawn films', for differences on the same draws.
    """

    finding: str
    positive: int
    negative: int
    value: np.float64
    draws: Floats = field(repr=False, compare=False)


@dataclass(frozen=True)
class PromptedFindings(Beside):
    """The mean over all findings with support on both kinds of film; ``seen`` is that over those
    of them which the classifier sees on real films."""

    findings: tuple[FindingScore, ...]
    seen: Beside
    without_support: tuple[str, ...]


@dataclass(frozen=True)
class SidedFinding(Beside):
    """One finding's share of right sides; ``cases`` and ``right`` count drawn films."""

    finding: str
    cases: int
    right: int


@dataclass(frozen=True)
class SideScore(Beside):
    """Share of cases (a film and a finding asked for on one side) with that side the likelier.

    A tie is wrong. ``real`` is the same of real films and their reports; ``seen`` is the share over
    findings whose sides the classifier sees on real films.
    """

    cases: int
    prompts: int
    by_finding: tuple[SidedFinding, ...]
    seen: Beside


NONE_SEEN: Final = Beside(UNKNOWN, UNKNOWN)


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
        scores.append(FindingScore(interval_of(*own), interval_of(*other), finding, *support, *own))
    if not scores:
        return PromptedFindings(UNKNOWN, UNKNOWN, (), NONE_SEEN, tuple(without))
    seen = [place for place, each in enumerate(scores) if each.is_seen]
    of_seen = NONE_SEEN
    if seen:
        of_seen = Beside(
            *(_mean_interval([found[place] for place in seen]) for found in (ours, theirs))
        )
    return PromptedFindings(
        _mean_interval(ours), _mean_interval(theirs), tuple(scores), of_seen, tuple(without)
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


def _mean_interval(found: Sequence[Drawn]) -> Interval:
    value = np.float64(np.mean([one for one, _ in found]))
    return interval_of(value, mean_of_known(np.stack([draws for _, draws in found])))


def findings_apart(
    one: PromptedFindings, other: PromptedFindings, *, seen_alone: bool = False
) -> Interval:
    """Mean AUROC of ``one`` less that of ``other``, whose films are of the same prompts in the same
    order: every draw takes the same of both. Over findings that both have, in a draw over those
    with a value in both.

    Args:
        seen_alone: whether only findings that the classifier sees on real films count.
    """
    theirs = {each.finding: each for each in other.findings}
    gaps = [
        (own.value - theirs[own.finding].value, own.draws - theirs[own.finding].draws)
        for own in one.findings
        if own.finding in theirs and (own.is_seen or not seen_alone)
    ]
    return _mean_interval(gaps) if gaps else UNKNOWN


def sides_apart(
    one: FilmReadings, other: FilmReadings, findings: Sequence[str], resamples: int, seed: int
) -> Interval:
    """Share of right sides of ``one`` less that of ``other``, paired in the same way."""
    counts = [_side_counts(each, findings) for each in (one, other)]
    if not all(each[:, 1].any() for each in counts):
        return UNKNOWN
    return difference_interval(make_bootstrap(one.units, resamples, seed), mean_of, *counts)


def score_sides(drawn: FilmReadings, real: FilmReadings, resamples: int, seed: int) -> SideScore:
    """Over all cases; prompts that ask for no finding on one side alone have none."""
    draws = [(each, make_bootstrap(each.units, resamples, seed)) for each in (drawn, real)]

    def of(findings: Sequence[str]) -> tuple[Interval, Interval]:
        own, other = (_side_interval(*each, findings) for each in draws)
        return own, other

    by_finding = []
    for finding in SIDED:
        told, right = _sided_cases(drawn, finding)
        if told.any():
            counts = int(told.sum()), int(right.sum())
            by_finding.append(SidedFinding(*of([finding]), finding, *counts))
    asked = np.stack([_sided_cases(drawn, finding)[0] for finding in SIDED])
    prompts = len(set(np.asarray(drawn.units)[asked.any(axis=0)]))
    seen = [each.finding for each in by_finding if each.is_seen]
    counts = int(asked.sum()), prompts
    return SideScore(*of(SIDED), *counts, tuple(by_finding), Beside(*of(seen)))


def _side_interval(
    readings: FilmReadings, bootstrap: Bootstrap, findings: Sequence[str]
) -> Interval:
    counts = _side_counts(readings, findings)
    return score_interval(bootstrap, mean_of, counts) if counts[:, 1].any() else UNKNOWN


def _side_counts(readings: FilmReadings, findings: Sequence[str]) -> Floats:
    """(N, 2): by film how many cases of the findings are right, and how many there are."""
    counts = np.zeros((len(readings.units), 2))
    for finding in findings:
        asked, right = _sided_cases(readings, finding)
        counts += np.stack([right, asked], axis=1)
    return counts


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

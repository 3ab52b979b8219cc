"""AUROC of prompted findings and right sides: by scikit-learn, by hand, with ceilings."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from evaluation.film_targets import FINDINGS, SIDED, TARGETS, film_targets, place_of
from evaluation.prompted_findings import (
    FilmReadings,
    findings_apart,
    score_findings,
    score_sides,
    sides_apart,
)
from evaluation.statistics import Floats, Interval

EFFUSIONS = ("Left pleural effusion.", "Right pleural effusion.", "The lungs are clear.")


def readings(
    texts: list[str], probabilities: Floats, units: list[str] | None = None
) -> FilmReadings:
    named = units or [f"p{number}" for number in range(len(texts))]
    return FilmReadings(probabilities, film_targets(texts), tuple(named))


def seen(texts: list[str], noise: float, seed: int) -> FilmReadings:
    """A classifier that sees what the texts say, through noise."""
    truth = np.nan_to_num(film_targets(texts), nan=0.5)
    return readings(texts, truth + np.random.default_rng(seed).normal(0, noise, truth.shape))


def told(interval: Interval) -> tuple[float, float, float]:
    assert interval.value is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.value, interval.high


TEXTS = [EFFUSIONS[number % 3] for number in range(60)] + ["Cardiomegaly."] * 20


def test_it_is_scikit_learns_by_finding_and_in_the_mean() -> None:
    drawn, real = seen(TEXTS, 1.0, 0), seen(TEXTS, 0.3, 1)
    found = score_findings(drawn, real, 200, 3)
    assert [each.finding for each in found.findings] == ["Cardiomegaly", "Pleural Effusion"]
    expected = {
        name: roc_auc_score(
            drawn.targets[:, place_of(name)], drawn.probabilities[:, place_of(name)]
        )
        for name in ("Cardiomegaly", "Pleural Effusion")
    }
    assert {each.finding: each.drawn.value for each in found.findings} == pytest.approx(expected)
    assert found.drawn.value == pytest.approx(np.mean(list(expected.values())))
    assert set(found.without_support) == set(FINDINGS) - expected.keys()


def test_real_films_are_the_ceiling() -> None:
    found = score_findings(seen(TEXTS, 1.0, 0), seen(TEXTS, 0.1, 1), 200, 3)
    assert told(found.drawn)[2] < told(found.real)[0]
    assert found.seen.drawn == found.drawn and found.seen.real == found.real


def test_a_difference_is_of_the_same_prompts() -> None:
    worse, better = seen(TEXTS, 1.0, 0), seen(TEXTS, 0.1, 1)
    one, other = (score_findings(each, better, 200, 3) for each in (worse, better))
    low, value, high = told(findings_apart(one, other))
    assert value == pytest.approx(told(one.drawn)[1] - told(other.drawn)[1])
    assert low < value < high < 0
    alike = (score_findings(seen(TEXTS, 0.5, seed), better, 200, 3) for seed in (2, 3))
    same = findings_apart(*alike)
    assert told(same)[0] < 0 < told(same)[2]
    assert findings_apart(one, one) == Interval(0.0, 0.0, 0.0)
    none = score_findings(worse, better, 200, 3, ())
    assert findings_apart(none, none) == Interval(None, None, None)


def test_a_difference_of_sides_is_of_the_same_prompts() -> None:
    right = seen(TEXTS, 0.01, 0)
    some = seen(TEXTS, 1.0, 1)
    low, value, high = told(sides_apart(some, right, SIDED, 200, 3))
    assert value == pytest.approx(told(score_sides(some, right, 50, 3).drawn)[1] - 1.0)
    assert low < value < high < 0
    assert sides_apart(some, right, (), 50, 3) == Interval(None, None, None)


def test_films_that_follow_no_prompt_are_at_a_half() -> None:
    """In twenty trials the intervals hold it, but for the one in twenty that chance allows."""
    real = seen(TEXTS, 0.1, 1)
    trials = [told(score_findings(seen(TEXTS, 1e9, s), real, 100, 3).drawn) for s in range(20)]
    assert sum(low < 0.5 < high for low, _, high in trials) >= 16
    assert np.mean([value for _, value, _ in trials]) == pytest.approx(0.5, abs=0.05)


def test_doubted_findings_take_no_part() -> None:
    texts = [*TEXTS, *(["Possible pleural effusion."] * 30)]
    certain, all_of_them = seen(TEXTS, 0.5, 0), seen(texts, 0.5, 0)
    found = score_findings(all_of_them, certain, 50, 3)
    [effusion] = [one for one in found.findings if one.finding == "Pleural Effusion"]
    column = place_of("Pleural Effusion")
    kept = ~np.isnan(all_of_them.targets[:, column])
    assert kept.sum() == 80
    expected = roc_auc_score(
        all_of_them.targets[kept, column], all_of_them.probabilities[kept, column]
    )
    assert effusion.drawn.value == pytest.approx(expected)
    assert (effusion.positive, effusion.negative) == (40, 40)


def test_support_counts_prompts_not_films() -> None:
    """Forty films of four prompts are four."""
    texts = ["Left pleural effusion."] * 40 + ["Clear lungs."] * 40
    units = [f"p{number // 10}" for number in range(80)]
    few = readings(texts, np.random.default_rng(0).random((80, len(TARGETS))), units)
    found = score_findings(few, few, 50, 3)
    assert found.findings == ()
    assert found.drawn == found.seen.drawn == Interval(None, None, None)
    assert found.without_support == FINDINGS


def test_films_of_one_prompt_are_drawn_together() -> None:
    """Four copies of every film are no more evidence, and the interval no narrower."""
    one = seen(TEXTS, 1.0, 0)
    again = FilmReadings(
        np.repeat(one.probabilities, 4, axis=0),
        np.repeat(one.targets, 4, axis=0),
        tuple(np.repeat(one.units, 4)),
    )
    single, copied = (score_findings(each, one, 300, 3).drawn for each in (one, again))
    assert copied.value == pytest.approx(single.value)
    assert told(copied)[2] - told(copied)[0] == pytest.approx(told(single)[2] - told(single)[0])


def test_sides_by_hand() -> None:
    """Left asked and left likelier; right asked and left likelier; a tie; none asked."""
    probabilities = np.full((4, len(TARGETS)), 0.5)
    left, right = place_of("Pleural Effusion, left"), place_of("Pleural Effusion, right")
    probabilities[0, [left, right]] = 0.2, 0.1
    probabilities[1, [left, right]] = 0.9, 0.8
    texts = [EFFUSIONS[0], EFFUSIONS[1], EFFUSIONS[0], "Bilateral pleural effusions."]
    found = score_sides(readings(texts, probabilities), readings(texts, probabilities), 50, 3)
    [effusion] = found.by_finding
    assert (effusion.finding, effusion.cases, effusion.right) == ("Pleural Effusion", 3, 1)
    assert effusion.drawn == found.drawn and not effusion.is_seen
    assert found.seen.drawn == Interval(None, None, None)
    assert (found.cases, found.prompts) == (3, 3)
    assert found.drawn.value == pytest.approx(1 / 3)
    assert found.real == found.drawn


def test_sides_turned_about_are_all_wrong() -> None:
    drawn = seen(TEXTS, 0.01, 0)
    mirrored = drawn.probabilities.copy()
    for place in range(len(FINDINGS), len(TARGETS), 2):
        mirrored[:, [place, place + 1]] = drawn.probabilities[:, [place + 1, place]]
    turned = FilmReadings(mirrored, drawn.targets, drawn.units)
    found = score_sides(turned, drawn, 50, 3)
    assert told(found.drawn)[1] == 0.0
    assert told(found.real)[1] == 1.0


def test_prompts_without_sides_have_no_such_score() -> None:
    none = seen(["Cardiomegaly."] * 10, 0.1, 0)
    found = score_sides(none, none, 50, 3)
    assert found.drawn == Interval(None, None, None)
    assert (found.cases, found.by_finding) == (0, ())

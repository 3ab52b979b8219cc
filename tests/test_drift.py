"""Drift: what is tested, the measured false-alarm rate, and planted shifts that are found.

Rates and power in docs/drift.md were measured with ``drift_world``; the bars here hold them.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evaluation.drift import (
    FEWEST,
    LOOKS_PER_YEAR,
    YEARLY_RATE,
    Look,
    Quantity,
    Window,
    compare_windows,
    look_level,
    p_value,
)
from tests.drift_world import LIKENESS, VALUES, window

ONE_LOOK = {"yearly_rate": 0.05, "looks_per_year": 1}


def quiet(rng: np.random.Generator, **level: float) -> Look:
    """A look at two windows of one and the same world."""
    told = {**ONE_LOOK, **level}
    return compare_windows(
        [window(rng, 120)],
        [window(rng, 60, first=9000)],
        float(told["yearly_rate"]),
        int(told["looks_per_year"]),
    )


def test_the_false_alarm_rate_of_a_look_is_what_is_stated() -> None:
    """400 looks at nothing: so many alarms as 5 % of them or fewer would give, by chance alone."""
    rng = np.random.default_rng(20)
    alarms = sum(bool(quiet(rng).drifted) for _ in range(400))
    limits = stats.binomtest(alarms, 400).proportion_ci(0.95, method="exact")
    assert limits.low <= YEARLY_RATE, (alarms, limits)
    assert alarms > 0  # a test that never alarms would hold any rate


def test_studies_of_one_subject_are_not_counted_apart() -> None:
    """Tested study by study, the same windows alarm several times as often as they may."""
    rng = np.random.default_rng(21)
    alarms = 0
    for _ in range(150):
        before, after = window(rng, 60, most_studies=8), window(rng, 60, most_studies=8)
        name = VALUES[0]
        both = (each.quantities[name].values for each in (before, after))
        p, _ = p_value("value", *both)
        assert p is not None
        alarms += p <= 0.05
    assert alarms / 150 >= 3 * 0.05
    assert LIKENESS > 0.5


def year_of_looks(rng: np.random.Generator, looks: int, per_look: float) -> bool:
    """Whether any look of a year alarms; one reference is looked at again and again."""
    reference = rng.standard_normal((1, 150))
    recent = rng.standard_normal((looks, 60))
    p = stats.mannwhitneyu(
        np.repeat(reference, looks, axis=0), recent, axis=1, method="asymptotic"
    ).pvalue
    return bool((p <= per_look).any())


def test_the_yearly_rate_holds_over_all_looks_at_one_reference() -> None:
    """Weekly looks at one quantity: divided by the looks the rate holds, undivided it is lost."""
    rng = np.random.default_rng(22)
    level = look_level(YEARLY_RATE, 52, 0)
    alarms = sum(year_of_looks(rng, 52, level) for _ in range(400))
    limits = stats.binomtest(alarms, 400).proportion_ci(0.95, method="exact")
    assert limits.low <= YEARLY_RATE, (alarms, limits)
    undivided = sum(year_of_looks(rng, 52, YEARLY_RATE) for _ in range(100))
    assert undivided >= 60


def test_a_year_has_no_more_looks_than_planned() -> None:
    assert look_level(0.05, 366, 0) == pytest.approx(0.05 / 366)
    assert look_level(0.05, 366, 365) == pytest.approx(0.05 / 366)
    assert look_level(0.05, 366, 366) == 0.0
    rng = np.random.default_rng(23)
    shifted = window(rng, 200, {"film mean": 0.5}, first=9000)
    look = compare_windows([window(rng, 200)], [shifted], looks_taken=LOOKS_PER_YEAR)
    assert look.level == 0.0
    assert look.drifted == ()
    assert any(test.p_holm is not None and test.p_holm < 1e-6 for test in look.tests)


@pytest.mark.parametrize(
    ("quantity", "by", "subjects", "least"),
    [
        ("film mean", 0.05, 500, 0.8),
        ("reference length", 0.20, 500, 0.8),
        ("label 0.2", 0.10, 1500, 0.8),
        ("score", -0.05, 4000, 0.8),
    ],
)
def test_planted_shifts_are_found_at_the_nightly_level(
    quantity: str, by: float, subjects: int, least: float
) -> None:
    rng = np.random.default_rng(24)
    tries = 8
    hits = 0
    for _ in range(tries):
        after = window(rng, subjects, {quantity: by}, first=90_000)
        found = compare_windows([window(rng, 2 * subjects)], [after]).drifted
        hits += any(test.quantity == quantity for test in found)
    assert hits / tries >= least


def test_one_study_of_each_subject_is_taken_whatever_the_order() -> None:
    names = tuple(f"e{place}" for place in range(6))
    subjects = ("a", "a", "b", "a", "b", "c")
    own = Window("s", subjects, names, {})
    chosen = {(subjects[place], names[place]) for place in own.one_each()}
    assert {subject for subject, _ in chosen} == {"a", "b", "c"}
    assert len(chosen) == 3
    turned = Window("s", subjects[::-1], names[::-1], {})
    assert {(subjects[::-1][place], names[::-1][place]) for place in turned.one_each()} == chosen


def test_what_cannot_be_tested_says_why() -> None:
    rng = np.random.default_rng(0)
    many = rng.standard_normal(100)
    assert p_value("value", many[: FEWEST - 1], many)[1] == f"fewer than {FEWEST} subjects"
    assert p_value("share", np.zeros(100), np.r_[np.ones(4), np.zeros(96)])[0] is None
    assert p_value("share", np.ones(100), np.ones(100))[1] == "fewer than 5 of a kind"
    assert p_value("value", np.ones(50), np.ones(50)) == (None, "one value alone")
    p, reason = p_value("share", np.zeros(100), np.r_[np.ones(50), np.zeros(50)])
    assert p is not None
    assert p < 1e-9
    assert reason == ""


def test_examples_without_a_value_are_left_out_of_that_quantity_alone() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal(60)
    values[:50] = np.nan
    names = tuple(f"e{place}" for place in range(60))
    quantities = {
        "gaps": Quantity("gaps", "value", values),
        "whole": Quantity("whole", "value", rng.standard_normal(60)),
    }
    own = Window("s", names, names, quantities)
    by_name = {test.quantity: test for test in compare_windows([own], [own]).tests}
    assert by_name["gaps"].reference_subjects == 10
    assert by_name["gaps"].p is None
    assert by_name["whole"].recent_subjects == 60
    assert by_name["whole"].p == pytest.approx(1.0)


def test_sources_of_one_window_alone_are_named_and_not_tested() -> None:
    rng = np.random.default_rng(2)
    one = window(rng, 40)
    other = Window("theirs", one.subjects, one.example_ids, one.quantities)
    look = compare_windows([one], [other])
    assert (look.tests, look.only_recent, look.only_reference) == ((), ("theirs",), ("own",))
    assert not look.to_dict()["drifted"]

"""The gate's arithmetic: which differences pass, what is refused for which reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_paired import BAD, GOOD, system

from evaluation.gate import (
    Scored,
    check_controls,
    check_metrics,
    check_same_test,
    check_signatures,
    check_size,
    independent_difference,
    verdict,
)
from evaluation.gate_outcome import Check, Outcome, check_learned, check_licences
from evaluation.gate_page import as_markdown, render_gate, title_of
from evaluation.statistics import Interval
from infra.licences import Licence, Use
from infra.settings.gates import Gate, GateMetric

F1 = "rule14-micro-F1"
GATE = Gate(
    kind="report",
    fewest_subjects=10,
    controls=("shuffled",),
    beats_controls_in=F1,
    metrics=(GateMetric(metric=F1, margin=0.05),),
)


def row(metric: str, control: str, value: float | None, half: float = 0.02, **more: Any) -> Any:
    ends = (None, None) if value is None else (value - half, value + half)
    signature = {"metric": metric, "version": "1", "interval": "any", "seed": 3, "images": 4}
    signature |= {"resamples": 500}
    return {
        "metric": metric, "control": control, "value": value, "low": ends[0], "high": ends[1],
        "higher_is_better": True, "signature": signature, **more,
    }  # fmt: skip


def scored(texts: list[str] | None = None, value: float | None = 0.5, **more: Any) -> Scored:
    """Scores with counts of the texts, or without any."""
    own = None if texts is None else system(texts)
    rows = [row(F1, "none", value), row(F1, "shuffled", 0.2)]
    found = Scored("run", {"scores": rows, "differences": []}, own, "digest", 30)
    return replace(found, **more)


def metric(candidate: Scored, champion: Scored, gate: Gate = GATE) -> Check:
    [found] = check_metrics("report", candidate, champion, gate, 200, 3)
    return found


# One difference and its margin.

NUMBERS = st.floats(-1, 1, allow_nan=False)
INTERVALS = st.tuples(NUMBERS, NUMBERS, NUMBERS).map(
    lambda three: Interval(sorted(three)[1], sorted(three)[0], sorted(three)[2])
)
MARGINS = st.floats(0, 0.5)


@pytest.mark.parametrize(
    ("low", "high", "passed", "why"),
    [
        (-0.05, 0.02, True, "worse by no more than 0.05"),
        (-0.06, 0.02, False, "may be worse by 0.060 where 0.05 is admitted"),
        (-0.3, -0.2, False, "worse, and by up to 0.300 where 0.05 is admitted"),
        (0.1, 0.2, True, "worse by no more than 0.05"),
        (-0.04, -0.01, True, "worse by no more than 0.05"),
    ],
)
def test_not_worse_looks_at_the_worst_that_the_interval_admits(
    low: float, high: float, passed: bool, why: str
) -> None:
    asked = GateMetric(metric=F1, margin=0.05)
    assert verdict(Interval((low + high) / 2, low, high), asked, True) == (passed, why)


def test_better_wants_the_whole_interval_beyond_the_margin() -> None:
    asked = GateMetric(metric=F1, rule="better", margin=0.0)
    assert verdict(Interval(0.1, 0.01, 0.2), asked, True)[0]
    assert not verdict(Interval(0.1, 0.0, 0.2), asked, True)[0]
    assert not verdict(Interval(0.1, 0.01, 0.2), replace_margin(asked, 0.05), True)[0]


def replace_margin(asked: GateMetric, margin: float) -> GateMetric:
    return asked.model_copy(update={"margin": margin})


def test_an_unknown_interval_passes_nothing() -> None:
    asked = GateMetric(metric=F1, margin=0.5)
    assert verdict(Interval(0.9, None, None), asked, True) == (False, "its interval is not known")


@given(INTERVALS, MARGINS, MARGINS, st.sampled_from(["not worse", "better"]))
def test_what_passes_a_narrow_gate_passes_a_wider_one(
    gap: Interval, one: float, two: float, rule: Any
) -> None:
    narrow, wide = sorted([one, two])
    if rule == "better":  # there a larger margin is the narrower gate
        narrow, wide = wide, narrow
    asked = GateMetric(metric=F1, rule=rule, margin=narrow)
    if verdict(gap, asked, True)[0]:
        assert verdict(gap, replace_margin(asked, wide), True)[0]


@given(INTERVALS, MARGINS, st.sampled_from(["not worse", "better"]))
def test_a_metric_where_less_is_better_is_judged_as_its_mirror(
    gap: Interval, margin: float, rule: Any
) -> None:
    assert gap.value is not None and gap.low is not None and gap.high is not None
    mirror = Interval(-gap.value, -gap.high, -gap.low)
    asked = GateMetric(metric=F1, rule=rule, margin=margin)
    assert verdict(gap, asked, True) == verdict(mirror, asked, False)


@given(INTERVALS, MARGINS)
def test_no_model_is_better_than_another_that_is_not_worse_the_other_way(
    gap: Interval, margin: float
) -> None:
    assert gap.value is not None and gap.low is not None and gap.high is not None
    back = Interval(-gap.value, -gap.high, -gap.low)
    better = GateMetric(metric=F1, rule="better", margin=margin)
    if verdict(gap, better, True)[0]:
        assert not verdict(back, replace_margin(GateMetric(metric=F1, margin=0), margin), True)[0]


@given(INTERVALS, INTERVALS)
def test_intervals_put_together_hold_the_difference_and_are_as_wide_as_either(
    other: Interval, own: Interval
) -> None:
    gap = independent_difference(other, own)
    ends = (gap.value, gap.low, gap.high, other.low, other.high, own.low, own.high)
    value, low, high, a, b, c, d = (float(end) for end in ends if end is not None)
    assert low <= value <= high
    assert high - low >= max(b - a, d - c) - 1e-9
    assert low >= a - d - 1e-9 and high <= b - c + 1e-9


# Two models.


def test_a_model_beside_itself_passes_without_any_margin() -> None:
    own = scored([GOOD, BAD] * 15)
    strict = GATE.model_copy(update={"metrics": (GateMetric(metric=F1, margin=0.0),)})
    found = metric(own, own, strict)
    assert found.passed
    assert found.figures["difference"] == 0.0


def test_a_worse_model_is_refused_with_figures_and_reason() -> None:
    found = metric(scored([BAD] * 20 + [GOOD] * 10), scored([GOOD] * 30))
    assert not found.passed
    assert found.title == "report: rule14-micro-F1 is not worse"
    assert "worse, and by up to" in found.reason
    p = found.figures["p"]
    assert isinstance(p, float)
    assert p < 0.05
    assert found.figures["margin"] == 0.05


def test_a_better_model_passes() -> None:
    assert metric(scored([GOOD] * 30), scored([BAD] * 20 + [GOOD] * 10)).passed


def test_a_metric_that_one_of_them_lacks_is_refused() -> None:
    found = metric(scored([GOOD] * 30, value=None), scored([GOOD] * 30))
    assert (found.passed, found.reason) == (False, "the candidate has no number for it")


def test_scores_without_counts_are_held_together_by_their_intervals() -> None:
    alike = metric(scored(value=0.5), scored(value=0.51))
    assert alike.passed
    assert alike.figures["low"] == pytest.approx(-0.01 - 0.02 * 2**0.5)
    assert not metric(scored(value=0.5), scored(value=0.55)).passed


def test_counts_of_two_labelers_are_not_compared() -> None:
    one, two = system([GOOD] * 30), system([GOOD] * 30)
    versions = {name: f"{told} changed" for name, told in two.versions.items()}
    other = replace(scored([GOOD] * 30), system=replace(two, versions=versions))
    found = metric(replace(scored([GOOD] * 30), system=one), other)
    assert not found.passed
    assert found.reason.startswith("counted in two ways: ")


def test_another_test_set_is_told_with_what_to_do() -> None:
    one, two = scored([GOOD] * 30), scored([GOOD] * 28)
    found = check_same_test("report", one, two)
    assert not found.passed
    assert found.reason.startswith("other test examples: 28 of 28 and 30 are shared; evaluate both")
    assert "cxr compare-recipes" in found.reason
    assert check_same_test("report", one, one).passed
    drawn = scored(test_set="another")
    assert not check_same_test("draw", drawn, scored()).passed


def test_signatures_may_differ_in_what_the_model_is_and_in_nothing_else() -> None:
    def signed(**changes: Any) -> Scored:
        own = row(F1, "none", 0.5)
        return scored(document={"scores": [own | {"signature": own["signature"] | changes}]})

    def check(**changes: Any) -> Check:
        return check_signatures("report", signed(**changes), signed(), GATE)

    assert check(images=1, seed=9, interval="other").passed
    found = check(version="2", case="lower")
    assert (found.passed, found.reason) == (False, f"{F1} differs in case, version")


# A model beside nobody.


def test_a_test_set_must_be_large_enough() -> None:
    assert check_size("report", scored(units=10), GATE).passed
    found = check_size("report", scored(units=9), GATE)
    assert (found.passed, found.reason) == (False, "9 subjects or films, at least 10 are wanted")


def beside(scores: Scored) -> Check:
    [found] = check_controls("report", scores, GATE, 200, 3)
    return found


def test_an_interval_that_was_kept_has_no_say_where_there_are_counts() -> None:
    texts = [GOOD if number % 3 else BAD for number in range(30)]
    own, control = system(texts), system(texts[::-1])
    document = {**scored().document, "differences": [row(F1, "shuffled", 0.3, half=0.1)]}
    one = scored(texts, document=document, pairs={"shuffled": (own, control)})
    assert not beside(one).passed, "though the difference that was kept excludes zero"
    assert beside(replace(one, document=scored().document)) == beside(one)
    better = scored(pairs={"shuffled": (system([GOOD] * 30), control)}, system=own)
    assert beside(better).passed


def test_films_intervals_must_be_of_enough_resamples() -> None:
    rows = [row(F1, "none", 0.5), row(F1, "shuffled", 0.2)]
    for each in rows:
        each["signature"]["resamples"] = 10
    weak = scored(document={"scores": rows, "differences": []})
    assert not beside(weak).passed
    assert "drawn with 10 resamples, at least 500" in beside(weak).reason
    assert not metric(weak, scored()).passed
    assert not metric(scored(), weak).passed


def test_a_control_without_predictions_is_not_beaten() -> None:
    found = beside(scored([GOOD] * 30))
    assert (found.passed, found.reason) == (
        False,
        "no predictions of shuffled, from which its interval is drawn",
    )


def test_a_control_must_be_beaten_by_its_paired_difference_where_there_is_one() -> None:
    beaten = beside(scored())
    assert beaten.passed
    kept = row(F1, "shuffled", 0.3, half=0.4)
    document = {**scored().document, "differences": [kept]}
    found = beside(scored(document=document))
    assert not found.passed
    assert "is not shown to be better" in found.reason


def test_a_control_that_was_not_scored_is_not_beaten() -> None:
    found = beside(scored(document={"scores": [row(F1, "none", 0.5)]}))
    assert (found.passed, found.reason) == (False, f"no {F1} of shuffled")


# Data and weights.

OPEN = Licence("CC0", Use.COMMERCIAL)
GATED = Licence("research use agreement", Use.RESEARCH)
UNKNOWN = Licence("none stated", None)


def test_uses_admit_those_before_them() -> None:
    admitted = {use: [each for each in Use if use.admits(each)] for use in Use}
    assert admitted == {
        Use.RESEARCH: [Use.RESEARCH],
        Use.INTERNAL: [Use.RESEARCH, Use.INTERNAL],
        Use.COMMERCIAL: list(Use),
    }


def test_a_licence_that_does_not_admit_what_is_wanted_is_named() -> None:
    found = check_licences("data", Use.COMMERCIAL, {"openi": OPEN, "mimic": GATED}, ())
    assert not found.passed
    assert found.reason == "mimic admits research (research use agreement)"
    assert check_licences("data", Use.RESEARCH, {"openi": OPEN, "mimic": GATED}, ()).passed


def test_an_unknown_licence_is_refused_until_somebody_answers_for_it() -> None:
    found = check_licences("base weights", Use.RESEARCH, {"who/knows": UNKNOWN}, ())
    assert not found.passed
    assert found.reason == ("who/knows: none stated; allow it with '--allow-licence who/knows'")
    told = check_licences("base weights", Use.RESEARCH, {"who/knows": UNKNOWN}, ["who/knows"])
    assert (told.passed, told.reason) == (True, "1 admit research; declared: who/knows")
    assert check_licences("base weights", Use.COMMERCIAL, {}, ()).reason == "there are none"


@given(st.dictionaries(st.text("abc", min_size=1), st.sampled_from([OPEN, GATED, UNKNOWN])))
def test_what_admits_a_use_admits_every_narrower_one(found: dict[str, Licence]) -> None:
    passed = [check_licences("data", use, found, ()).passed for use in Use]
    assert passed == sorted(passed, reverse=True)
    assert check_licences("data", Use.COMMERCIAL, found, list(found)).passed


def test_one_study_that_was_learned_from_is_leakage() -> None:
    clean = {"study-learned-from": 0, "subject-learned-from": 0}
    assert check_learned("candidate", "report", clean, 50).passed
    found = check_learned("champion", "report", clean | {"subject-learned-from": 1}, 50)
    assert (found.title, found.passed) == ("report: no leakage into the champion", False)
    assert found.reason == "of 50 test studies: 1 subject-learned-from"


# The outcome.


def outcome(*checks: Check) -> Outcome:
    return Outcome("llava_rad", 3, 2, Use.RESEARCH, checks, {}, {"report": ["a", "b"]})


def test_one_failed_check_refuses() -> None:
    fine, bad = Check("one", True, "fine"), Check("two", False, "1 | 2 <b>", "report")
    assert outcome(fine).passed and not outcome(fine, bad).passed
    assert outcome(fine, bad).failed == (bad,)
    assert title_of(outcome(bad)) == "llava_rad version 3 against version 2: refused"


def test_the_digest_covers_every_figure() -> None:
    one = outcome(Check("one", True, "fine", figures={"low": 0.1}))
    two = outcome(Check("one", True, "fine", figures={"low": 0.2}))
    assert one.digest == outcome(*one.checks).digest != two.digest
    assert one.to_dict()["digest"] == one.digest


def test_pages_hold_every_check_and_escape_what_they_show() -> None:
    found = outcome(Check("one", True, "fine"), Check("two", False, "1 | 2 <b>", "report"))
    text, page = as_markdown(found), render_gate(found)
    assert "| report: two | **no** | 1 \\| 2 <b> |" in text
    assert "1 | 2 &lt;b&gt;" in page
    assert "<b>" not in page
    for shown in (text, page):
        assert "Not a medical device" in shown
        assert found.digest in shown

"""RadCliQ, CRIMSON and GREEN: arithmetic on given parts, and answers that cannot be read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.crimson import Judged, crimson
from evaluation.green import failure_rate, green, read_answer, score_of
from evaluation.radcliq import radcliq
from infra.errors import InputError


def test_radcliqs_ends() -> None:
    ones, zeros = np.ones(4), np.zeros(4)
    assert float(radcliq(ones, "v1")) == pytest.approx(-1.4407, abs=1e-4)
    assert float(radcliq(ones, "v0")) == pytest.approx(-0.2421, abs=1e-4)
    assert float(radcliq(zeros, "v1")) == pytest.approx(2.450, abs=1e-3)
    assert float(radcliq(zeros, "v0")) == pytest.approx(5.516, abs=1e-3)


def test_radcliq_v0_of_the_fitted_means_is_the_mean_error_count() -> None:
    means = np.array([0.5398376, 0.63125496, 0.77167979, 0.46073721])
    assert float(radcliq(means, "v0")) == pytest.approx(1.6416667)


def test_better_parts_are_a_lower_radcliq_v1() -> None:
    for place in range(3):
        better = np.full(4, 0.5)
        better[place] = 0.6
        assert radcliq(better) < radcliq(np.full(4, 0.5))


URGENT = {"R1": "urgent"}
TOLD = {"P1": "urgent"}


def test_crimson_by_hand() -> None:
    right = Judged(URGENT, {"P1": "urgent"}, [("R1", "P1")])
    assert crimson(right) == 1.0
    wrong_side = Judged(
        URGENT, {"P1": "urgent"}, [("R1", "P1")], attribute_errors={"R1": ["significant"]}
    )
    assert crimson(wrong_side) == pytest.approx(1 / 1.5)
    slip = Judged(URGENT, {"P1": "urgent"}, [("R1", "P1")], attribute_errors={"R1": ["negligible"]})
    assert crimson(slip) == 1.0
    assert crimson(Judged(URGENT, {})) == 0.0
    invented = Judged(URGENT, {"P1": "urgent", "P2": "urgent"}, false=["P1", "P2"])
    assert crimson(invented) == pytest.approx(-2 / 3)


def test_crimson_of_a_normal_reference() -> None:
    assert crimson(Judged({}, {})) == 1.0
    assert crimson(Judged({"R1": "benign_expected"}, {})) == 1.0
    told = Judged({}, {"P1": "actionable_not_urgent"}, false=["P1"])
    assert crimson(told) == pytest.approx(-0.5 / 1.5)


@pytest.mark.parametrize(
    ("judged", "found"),
    [
        (Judged({"R1": "dire"}, {}), "found significance 'dire'; expected one of urgent"),
        (Judged(URGENT, {}, [("R9", "P1")]), "found finding 'R9'; expected one of R1"),
        (Judged({}, {}, false=["P1"]), "found finding 'P1'; expected one of none at all"),
        (
            Judged(URGENT, TOLD, [("R1", "P1")], attribute_errors={"R1": ["bad"]}),
            "found severity 'bad'; expected one of significant, negligible",
        ),
        (Judged(URGENT, TOLD, [("R1", "P9")]), "found finding 'P9'; expected one of P1"),
        (Judged(URGENT, TOLD, [("R1", "P1"), ("R1", "P1")]), "found finding 'R1' twice"),
        (
            Judged(URGENT, TOLD, [("R1", "P1")], attribute_errors={"R9": ["significant"]}),
            "found attributes of finding 'R9'; expected one of R1",
        ),
        (Judged(URGENT, TOLD, [("R1", "P1")], false=["P1"]), "found finding 'P1' twice"),
        (Judged({}, TOLD, false=["P1", "P1"]), "found finding 'P1' twice"),
    ],
)
def test_a_judge_that_speaks_of_what_is_not_there(judged: Judged, found: str) -> None:
    with pytest.raises(InputError, match=found):
        crimson(judged)


@given(
    st.lists(st.sampled_from(["urgent", "actionable_not_urgent"]), max_size=5), st.integers(0, 5)
)
def test_crimson_stays_over_minus_one(kinds: list[str], right: int) -> None:
    findings = {f"R{i}": kind for i, kind in enumerate(kinds)}
    told = {f"P{i}": kind for i, kind in enumerate(kinds)}
    matched = [(f"R{i}", f"P{i}") for i in range(min(right, len(kinds)))]
    false = [f"P{i}" for i in range(len(matched), len(kinds))]
    assert -1 < crimson(Judged(findings, told, matched, false)) <= 1


def test_greens_published_arithmetic() -> None:
    """0 of 6, 1 of 6, 2 of 6, 1 of 2 and 1 of 4 have mean .25 and deviation .1667."""
    scores = [green(m, [e]) for m, e in ((0, 6), (1, 5), (2, 4), (1, 1), (1, 3))]
    assert np.mean(scores) == pytest.approx(0.25)
    assert np.std(scores) == pytest.approx(0.1667, abs=5e-5)


ANSWER = """[Explanation]:
    Made up for a test.

[Clinically Significant Errors]:
(a) False report of a finding in the candidate: 1. A device that is not there.
(b) Missing a finding present in the reference: 2. One; another.
(c) Misidentification of a finding's location: 0.
(d) Misassessment of severity: 0.
(e) A comparison that isn't in the reference: 0.
(f) Omitting a comparison: 1. Change over time.

[Clinically Insignificant Errors]:
(a) False report: 9. Not counted.

[Matched Findings]:
3. Heart size; clear lungs; no effusion.
"""


def test_a_whole_answer_is_read() -> None:
    reading = read_answer(ANSWER)
    assert (reading.matched, reading.errors, reading.status) == (3, (1, 2, 0, 0, 0, 1), "read")
    assert score_of(reading) == pytest.approx(3 / 7)


def test_an_answer_without_errors() -> None:
    told = "[Clinically Significant Errors]:\nNo errors.\n\n[Matched Findings]:\n4. All of them."
    reading = read_answer(told)
    assert (reading.matched, sum(reading.errors), reading.status) == (4, 0, "read")
    assert score_of(reading) == 1.0


def test_kinds_by_number() -> None:
    told = "[Clinically Significant Errors]:\n(1) False: 1. x\n(4) Severity: 2. y\n\n"
    reading = read_answer(told + "[Matched Findings]:\n1. z")
    assert (reading.errors, reading.status) == ((1, 0, 0, 2, 0, 0), "read by number")
    assert reading.is_read


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("", "no matched section"),
        ("[Clinically Significant Errors]:\n(a) False: 1. x", "no matched section"),
        ("[Matched Findings]:\nseveral", "no matched section"),
        ("[Matched Findings]:\n2. x; y", "no error section"),
        (
            "[Clinically Significant Errors]:\nmany of them\n\n[Matched Findings]:\n2. x",
            "no count in the error section",
        ),
        (
            "[Clinically Significant Errors]:\n\n[Matched Findings]:\n2. x",
            "no count in the error section",
        ),
    ],
)
def test_a_broken_answer_says_that_it_is(told: str, status: str) -> None:
    """None read is not none made: such an answer has no score of one."""
    assert read_answer(told).status == status
    assert not read_answer(told).is_read
    assert score_of(read_answer(told)) == 0.0


def test_an_empty_section_does_not_take_the_next_ones_counts() -> None:
    insignificant = "[Clinically Insignificant Errors]:\n(a) False report: 9. x\n\n"
    told = f"[Clinically Significant Errors]:\n\n{insignificant}[Matched Findings]:\n2. x"
    assert read_answer(told).errors == (0,) * 6
    nothing = f"[Matched Findings]:\n\n{insignificant}"
    assert read_answer(nothing).status == "no matched section"


def test_the_published_trap_of_two_letters() -> None:
    """A section that begins with "Nodule" reads as "No", as published; it counts as read."""
    told = "[Clinically Significant Errors]:\nNone\n\n[Matched Findings]:\nNodule. 1. x"
    assert (read_answer(told).matched, read_answer(told).status) == (0, "read")


def test_broken_answers_are_counted() -> None:
    assert failure_rate([read_answer(ANSWER), read_answer("")]) == 0.5
    assert failure_rate([]) == 0.0

"""Paired comparisons: differences, chances of randomisation, Holm's correction."""

from __future__ import annotations

from itertools import product

import numpy as np
import psutil
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.controls import Outputs
from evaluation.judged import JUDGED_SCHEMA
from evaluation.paired import (
    LEVEL,
    PairedDifference,
    System,
    corrected,
    holm,
    paired_difference,
    randomisation_p,
    read_system,
    rounds_needed,
    why_not_paired,
)
from evaluation.scores import score_predictions
from evaluation.statistics import mean_of
from infra.errors import InputError
from infra.settings.sections import ScoreSettings
from sources.prediction import PREDICTION_SCHEMA

SETTINGS = ScoreSettings(judges=())
GOOD = "There is a left pleural effusion. The heart is enlarged."
BAD = "The lungs are clear."


def system(texts: list[str], references: list[str] | None = None, *, shift: int = 0) -> System:
    """One example for each text; two examples a subject."""
    rows = [
        {
            "example_id": f"e{number + shift:03}",
            "source": "mimic_cxr",
            "study_id": f"s{number}",
            "subject_id": f"p{number // 2}",
            "split": "test",
            "view": "PA",
            "control": "none",
            "image_study_id": f"s{number}",
            "prediction": text,
            "reference": (references or [GOOD] * len(texts))[number],
            "finish_reason": "stop",
            "tokens": 5,
            "generated_ids": [1, 2],
        }
        for number, text in enumerate(texts)
    ]
    table = pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)
    return read_system(table, score_predictions(table, None, SETTINGS).counts, None, SETTINGS)


def compared(own: System, other: System) -> PairedDifference:
    """The difference in rule14-micro-F1, tested alone."""
    found = paired_difference(own, other, "rule14-micro-F1", resamples=200, seed=0)
    assert found is not None
    return corrected([found])[0]


def test_a_better_model_is_told_from_a_worse_one() -> None:
    found = compared(system([BAD] * 40), system([GOOD] * 40))
    assert (found.own, found.other, found.better) == (0.0, 1.0, True)
    assert found.difference.value == 1.0
    assert found.p == pytest.approx(1 / 201)
    assert (found.examples, found.subjects) == (40, 20)


def test_a_worse_one_is_told_too_and_equal_ones_are_not() -> None:
    good, bad = system([GOOD] * 40), system([BAD] * 40)
    assert compared(good, bad).better is False
    same = compared(good, good)
    assert (same.better, same.p) == (None, 1.0)


def test_an_interval_beside_zero_is_no_verdict_without_a_corrected_p() -> None:
    """Nineteen others that were tested beside it raise the p of a fair difference."""
    own = system([GOOD if number % 2 else BAD for number in range(40)])
    other = system([GOOD if number % 2 or number < 12 else BAD for number in range(40)])
    fair = compared(own, other)
    assert (fair.excludes_zero, fair.better) == (True, True)
    same = compared(own, own)
    beside = corrected([fair, *[same] * 19])[0]
    assert beside.p == fair.p
    assert beside.p_holm is not None
    assert beside.p_holm > LEVEL
    assert (beside.excludes_zero, beside.better) == (True, None)


def test_what_has_no_data_is_not_tested_and_says_so() -> None:
    one = judged_system({})
    found = paired_difference(one, one, "chexprompt[gpt]-errors", 50, 0)
    assert found is not None
    assert (found.p, found.examples, found.better) == (None, 0, None)
    assert found.reason == "no example has data of both"
    tested = compared(system([BAD] * 40), system([GOOD] * 40))
    assert [item.p_holm for item in corrected([found, tested])] == [None, tested.p]


def test_judges_that_answered_for_other_examples_show_no_difference() -> None:
    first = judged_system(dict.fromkeys(range(10), 1))
    second = judged_system(dict.fromkeys(range(10, 20), 1))
    found = paired_difference(first, second, "chexprompt[gpt]-errors", 50, 0)
    assert found is not None
    assert (found.p, found.reason) == (None, "no example has data of both")


def judged_system(errors: dict[int, int], judge: str = "gpt", version: str = "v1") -> System:
    """Twenty examples; of those named, significant false findings by a judge."""
    texts = system([GOOD] * 20)
    rows = [
        {
            "example_id": name,
            "control": "none",
            "judge": judge,
            "judge_version": version,
            "significant": [errors[row], 0, 0, 0, 0, 0] if row in errors else None,
            "insignificant": [0] * 6 if row in errors else None,
            "failure": None if row in errors else "refused",
        }
        for row, name in enumerate(texts.outputs.example_ids)
    ]
    judged = pa.Table.from_pylist(rows, schema=JUDGED_SCHEMA)
    table = predictions_of(texts.outputs)
    return read_system(table, score_predictions(table, judged, SETTINGS).counts, judged, SETTINGS)


def test_a_metric_that_one_lacks_is_no_difference() -> None:
    one = system([GOOD] * 4)
    assert paired_difference(one, one, "chexprompt[gpt-4]-errors", 20, 0) is None


def test_systems_pair_only_on_the_same_examples_and_references() -> None:
    one = system([GOOD] * 4)
    assert why_not_paired(one, one) is None
    assert why_not_paired(one, system([GOOD] * 4, shift=2)) == (
        "other test examples: 2 of 4 and 4 are shared"
    )
    changed = system([GOOD] * 4, [GOOD, BAD, GOOD, GOOD])
    assert why_not_paired(one, changed) == "other references for 1 of 4 examples"


def test_counts_of_other_examples_are_refused() -> None:
    rows = [{"example_id": "e1", "control": "none"}]
    counts = pa.Table.from_pylist(rows)
    table = system([GOOD] * 2).outputs
    with pytest.raises(InputError, match="counts of other examples"):
        read_system(predictions_of(table), counts, None, SETTINGS)


def predictions_of(outputs: Outputs) -> pa.Table:
    """The rows that an Outputs was read from, as far as scoring reads them."""
    rows = [
        {
            "example_id": name,
            "source": "mimic_cxr",
            "study_id": name,
            "subject_id": name,
            "split": "test",
            "view": "PA",
            "control": "none",
            "prediction": GOOD,
            "reference": GOOD,
            "finish_reason": "stop",
            "tokens": 1,
        }
        for name in outputs.example_ids
    ]
    return pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)


def exact_p(own: list[float], other: list[float]) -> float:
    """Two-sided p over all exchanges of single examples."""
    one, two = np.array(own), np.array(other)
    observed = abs((two - one).mean())
    far = [
        abs(np.where(swap, one - two, two - one).mean()) >= observed - 1e-12
        for swap in product([False, True], repeat=len(own))
    ]
    return float(np.mean(far))


def counts_of(values: list[float]) -> np.ndarray:
    return np.stack([np.array(values), np.ones(len(values))], axis=-1)


def test_randomisation_approaches_the_exact_test() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(0.0, 1.0, 8).tolist()
    other = rng.normal(0.7, 1.0, 8).tolist()
    subjects = [f"p{number}" for number in range(8)]
    found = randomisation_p(mean_of, counts_of(own), counts_of(other), subjects, 20_000, 0)
    assert found == pytest.approx(exact_p(own, other), abs=0.01)


def test_a_subject_changes_sides_with_all_of_its_examples() -> None:
    values = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    other = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    one_subject = ["p"] * 6
    assert randomisation_p(mean_of, counts_of(values), counts_of(other), one_subject, 100, 0) == 1.0
    two = ["p", "p", "p", "q", "q", "q"]
    lone = randomisation_p(mean_of, counts_of([0.0] * 6), counts_of([1.0] * 6), two, 4_000, 0)
    assert lone == pytest.approx(0.5, abs=0.05)  # with two subjects no p can be below a half


def test_randomisation_is_false_at_its_level_only() -> None:
    """Of models that are alike at most about the level is called different."""
    rng = np.random.default_rng(1)
    subjects = [f"p{number}" for number in range(30)]
    p_values = []
    for trial in range(200):
        own, other = rng.normal(size=30).tolist(), rng.normal(size=30).tolist()
        p_values.append(
            randomisation_p(mean_of, counts_of(own), counts_of(other), subjects, 200, trial)
        )
    assert np.mean(np.array(p_values) <= 0.05) <= 0.10


def test_a_difference_that_is_no_number_has_no_p() -> None:
    nothing = np.zeros((10, 2))
    subjects = [str(row) for row in range(10)]
    assert randomisation_p(mean_of, nothing, nothing, subjects, 100, 0) is None


def test_rounds_without_a_number_count_as_far() -> None:
    """Each side told one thing of one subject: a round that gives both to one side has no ratio."""
    own, other = np.zeros((10, 2)), np.zeros((10, 2))
    own[0], other[1] = (1.0, 1.0), (0.0, 1.0)
    subjects = [str(row) for row in range(10)]
    found = randomisation_p(mean_of, own, other, subjects, 2_000, 0)
    assert found == 1.0  # every other round has the same two ratios, on either side


def test_so_few_rounds_that_nothing_could_be_told_are_known() -> None:
    for tests in (1, 7, 16):
        needed = rounds_needed(tests)
        assert tests / (needed + 1) < LEVEL <= tests / needed


def test_holm_by_hand() -> None:
    assert holm([0.01, None, 0.04]) == [0.02, None, 0.04]
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9]) == [0.9]


@given(st.lists(st.floats(0.0001, 1.0), min_size=1, max_size=12))
def test_holm_never_lowers_keeps_the_order_and_stays_below_bonferroni(values: list[float]) -> None:
    found = holm(values)
    raised = [p for p in found if p is not None]
    for p, more in zip(values, raised, strict=True):
        assert p <= more <= min(1.0, p * len(values)) + 1e-12
    order = sorted(range(len(values)), key=lambda place: values[place])
    assert [raised[place] for place in order] == sorted(raised)


def test_more_rounds_than_fit_the_memory_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    free = psutil.virtual_memory()._replace(available=8 * 3 * 4 * 100)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    counts = np.ones((4, 2))
    people = ["a", "b", "c", "d"]
    assert randomisation_p(mean_of, counts, counts, people, 100, 0) == 1.0
    with pytest.raises(InputError, match=r"found 101 bootstrap resamples of 4 studies"):
        randomisation_p(mean_of, counts, counts, people, 101, 0)

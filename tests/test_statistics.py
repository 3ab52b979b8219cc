"""The bootstrap over subjects: what is drawn, what intervals cover, what pairs share."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from evaluation.statistics import (
    Bootstrap,
    Interval,
    difference_interval,
    make_bootstrap,
    mean_of,
    ratio_interval,
    score_interval,
)


def means(values: list[float]) -> np.ndarray:
    return np.stack([np.array(values, dtype=float), np.ones(len(values))], axis=-1)


def test_every_resample_draws_as_many_subjects_as_there_are() -> None:
    bootstrap = make_bootstrap(["a", "a", "b", "c"], 200, seed=1)
    assert bootstrap.weights.shape == (200, 4)
    assert bootstrap.subjects == 3
    per_subject = bootstrap.weights[:, [0, 2, 3]]
    assert (per_subject.sum(axis=1) == 3).all()


def test_studies_of_one_subject_are_drawn_together() -> None:
    bootstrap = make_bootstrap(["a", "b", "a", "b", "a"], 100, seed=1)
    assert np.array_equal(bootstrap.weights[:, 0], bootstrap.weights[:, 2])
    assert np.array_equal(bootstrap.weights[:, 0], bootstrap.weights[:, 4])
    assert np.array_equal(bootstrap.weights[:, 1], bootstrap.weights[:, 3])


def test_the_seed_decides_the_draws() -> None:
    subjects = [str(i) for i in range(20)]
    first, again = make_bootstrap(subjects, 50, 3), make_bootstrap(subjects, 50, 3)
    other = make_bootstrap(subjects, 50, 4)
    assert np.array_equal(first.weights, again.weights)
    assert not np.array_equal(first.weights, other.weights)


def test_the_order_of_studies_does_not_change_the_interval() -> None:
    random = np.random.default_rng(0)
    subjects = [f"s{i // 3}" for i in range(60)]
    values = random.normal(size=60)
    order = random.permutation(60)
    straight = score_interval(make_bootstrap(subjects, 100, 3), mean_of, means(values.tolist()))
    mixed = score_interval(
        make_bootstrap([subjects[i] for i in order], 100, 3), mean_of, means(values[order].tolist())
    )
    assert mixed.low == pytest.approx(straight.low)
    assert mixed.high == pytest.approx(straight.high)


def test_value_is_of_all_studies_and_bounds_are_percentiles() -> None:
    weights = np.array([[float(k == i) for k in range(5)] for i in range(5)])
    interval = score_interval(Bootstrap(weights, 5, 0), mean_of, means([1, 2, 3, 4, 10]))
    assert interval == Interval(4.0, 1.0, 10.0)


def test_an_interval_of_clusters_is_wider_than_one_of_studies() -> None:
    random = np.random.default_rng(5)
    by_subject = np.repeat(random.normal(size=40), 10)
    counts = means(by_subject.tolist())
    clustered = score_interval(
        make_bootstrap([f"s{i // 10}" for i in range(400)], 400, 3), mean_of, counts
    )
    alone = score_interval(make_bootstrap([str(i) for i in range(400)], 400, 3), mean_of, counts)
    assert clustered.low is not None
    assert clustered.high is not None
    assert alone.low is not None
    assert alone.high is not None
    assert (clustered.high - clustered.low) > 2 * (alone.high - alone.low)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(7)
    subjects = [f"s{i // 2}" for i in range(120)]
    covered = 0
    for trial in range(200):
        values = np.repeat(random.normal(size=60), 2) + random.normal(size=120)
        interval = score_interval(
            make_bootstrap(subjects, 200, trial), mean_of, means(values.tolist())
        )
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 0.0 <= interval.high
    assert 0.89 <= covered / 200 <= 0.99


def test_a_paired_difference_ignores_what_both_share() -> None:
    random = np.random.default_rng(2)
    shared = random.normal(scale=10, size=80)
    own, other = means((shared + 1).tolist()), means(shared.tolist())
    bootstrap = make_bootstrap([str(i) for i in range(80)], 200, 3)
    interval = difference_interval(bootstrap, mean_of, own, other)
    assert interval.value == pytest.approx(1.0)
    assert interval.low == pytest.approx(1.0)
    assert interval.high == pytest.approx(1.0)
    assert interval.excludes(0.0)


def test_a_system_against_itself_differs_by_nothing() -> None:
    counts = means([1, 5, 2, 8])
    bootstrap = make_bootstrap(["a", "b", "c", "d"], 100, 3)
    interval = difference_interval(bootstrap, mean_of, counts, counts)
    assert interval == Interval(0.0, 0.0, 0.0)
    assert not interval.excludes(0.0)
    assert ratio_interval(bootstrap, mean_of, counts, counts) == Interval(1.0, 1.0, 1.0)


def test_a_ratio_over_zero_is_unknown() -> None:
    bootstrap = make_bootstrap(["a", "b"], 50, 3)
    interval = ratio_interval(bootstrap, mean_of, means([1, 2]), means([0, 0]))
    assert interval == Interval(None, None, None)
    both_zero = ratio_interval(bootstrap, mean_of, means([0, 0]), means([0, 0]))
    assert both_zero == Interval(None, None, None)


def test_a_ratio_that_is_infinite_in_some_resamples_keeps_its_lower_bound() -> None:
    bootstrap = make_bootstrap(["a", "b"], 400, 3)
    interval = ratio_interval(bootstrap, mean_of, means([1, 1]), means([0, 1]))
    assert interval == Interval(2.0, 1.0, None)


def test_nothing_judged_in_a_resample_leaves_the_interval_unknown() -> None:
    counts = np.array([[2.0, 1.0], [0.0, 0.0]])
    interval = score_interval(make_bootstrap(["a", "b"], 100, 3), mean_of, counts)
    assert interval == Interval(2.0, None, None)


@pytest.mark.parametrize(
    ("interval", "excludes"),
    [
        (Interval(0.2, 0.1, 0.3), True),
        (Interval(-0.2, -0.3, -0.1), True),
        (Interval(0.1, -0.1, 0.3), False),
        (Interval(0.1, 0.0, 0.3), False),
        (Interval(0.1, None, 0.3), False),
        (Interval(None, None, None), False),
    ],
)
def test_what_excludes_zero(interval: Interval, excludes: bool) -> None:
    assert interval.excludes(0.0) is excludes


def test_resamples_cost_less_than_drawing_rows_one_resample_at_a_time() -> None:
    from evaluation.clinical import micro_f1

    random = np.random.default_rng(0)
    counts = (random.random((2461, 42)) < 0.1).astype(float)

    def at_once() -> None:
        bootstrap = make_bootstrap([f"s{i // 2}" for i in range(2461)], 500, 3)
        assert score_interval(bootstrap, micro_f1, counts).low is not None

    def one_by_one() -> None:
        for _ in range(500):
            micro_f1(counts[random.integers(0, 2461, 2461)].sum(axis=0)[None])

    def least(work: Callable[[], None]) -> float:
        """Processor seconds of the best of five: other work beside it adds some."""
        seconds = []
        for _ in range(5):
            start = time.process_time()
            work()
            seconds.append(time.process_time() - start)
        return min(seconds)

    assert least(at_once) < least(one_by_one)


@pytest.mark.parametrize(
    ("low", "high", "more_is_better", "fewer_is_better"),
    [
        (0.1, 0.3, True, False),
        (-0.3, -0.1, False, True),
        (-0.1, 0.3, None, None),
        (0.0, 0.3, None, None),
        (-0.3, 0.0, None, None),
        (None, None, None, None),
    ],
)
def test_a_difference_is_better_when_all_of_its_interval_is(
    low: float | None, high: float | None, more_is_better: object, fewer_is_better: object
) -> None:
    difference = Interval(0.2, low, high)
    assert difference.better(higher_is_better=True) is more_is_better
    assert difference.better(higher_is_better=False) is fewer_is_better

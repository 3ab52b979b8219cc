"""The kernel distance: worked out by hand, unbiased, and the same as a plain double loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.kernel_distance import (
    kernel_distance,
    polynomial_kernel,
    squared_discrepancy,
)
from evaluation.statistics import Floats
from infra.errors import InputError


def features(seed: int, count: int, width: int, shift: float = 0.0) -> Floats:
    return np.random.default_rng(seed).normal(shift, 1.0, (count, width))


def by_loops(one: Floats, other: Floats) -> float:
    """The definition, one pair at a time."""

    def kernel(a: Floats, b: Floats) -> float:
        return float((np.dot(a, b) / len(a) + 1.0) ** 3)

    def within(rows: Floats) -> float:
        pairs = [kernel(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        return sum(pairs) / len(pairs)

    across = [kernel(a, b) for a in one for b in other]
    return within(one) + within(other) - 2 * sum(across) / len(across)


def test_by_hand() -> None:
    """Width 1: k(x, y) = (xy + 1)³. Of {0, 1} and {1, 2}: 1 and 27 within, (1 + 1 + 8 + 27) / 4
    across."""
    one, other = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert polynomial_kernel(one, other).tolist() == [[1.0, 1.0], [8.0, 27.0]]
    assert squared_discrepancy(one, other) == pytest.approx(1.0 + 27.0 - 2 * 37.0 / 4)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 500), st.integers(2, 7), st.integers(2, 7), st.integers(1, 5))
def test_it_is_the_double_loop(seed: int, count: int, others: int, width: int) -> None:
    one, other = features(seed, count, width), features(seed + 1, others, width)
    expected = by_loops(one, other)
    assert squared_discrepancy(one, other) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert squared_discrepancy(other, one) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_of_sets_of_one_kind_its_mean_is_zero() -> None:
    """Unbiased: over many draws from one distribution it is as often below zero as above."""
    found = [
        squared_discrepancy(features(seed, 30, 4), features(seed + 1000, 30, 4))
        for seed in range(300)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    assert 0.3 < np.mean(np.array(found) > 0) < 0.6


def test_it_grows_with_the_shift() -> None:
    near, far = (
        squared_discrepancy(features(1, 200, 4), features(2, 200, 4, shift)) for shift in (0.2, 1.0)
    )
    assert 0 < near < far


def test_subsets_agree_with_the_whole_and_tell_their_error() -> None:
    one, other = features(1, 120, 3), features(2, 150, 3, 0.5)
    whole = squared_discrepancy(one, other)
    found = kernel_distance(one, other, seed=0, subsets=200, size=40)
    assert found.deviation is not None
    assert found.standard_error == pytest.approx(found.deviation / np.sqrt(200))
    assert abs(found.value - whole) < 5 * found.standard_error
    assert (found.subsets, found.size) == (200, 40)
    assert found == kernel_distance(one, other, seed=0, subsets=200, size=40)
    assert found != kernel_distance(one, other, seed=1, subsets=200, size=40)


def test_two_whole_sets_have_one_value_and_no_error_of_subsets() -> None:
    one, other = features(1, 20, 3), features(2, 20, 3)
    found = kernel_distance(one, other, seed=0)
    assert found.value == squared_discrepancy(one, other)
    assert (found.deviation, found.standard_error, found.subsets) == (None, None, 1)


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (features(0, 1, 3), features(0, 5, 3), "found 1 features; expected two at least"),
        (features(0, 5, 3), features(0, 5, 4), "expected one width"),
    ],
)
def test_sets_that_have_none(one: Floats, other: Floats, message: str) -> None:
    with pytest.raises(InputError, match=message):
        kernel_distance(one, other, seed=0)

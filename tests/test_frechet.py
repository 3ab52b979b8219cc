"""The Fréchet distance: closed forms, identity, symmetry, and few features of great width."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from evaluation.frechet import Gaussian, frechet_distance
from infra.errors import InputError


def drawn(seed: int, count: int, width: int) -> Gaussian:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(width, width))
    return Gaussian.of(rng.normal(size=(count, width)) @ mix + rng.normal(size=width))


def test_of_independent_coordinates_it_is_a_sum_over_them() -> None:
    """Sum of (m1 - m2)² + (s1 - s2)², which needs no root of a matrix."""
    means = np.array([[0.0, 1.0, -2.0], [3.0, 1.0, 0.5]])
    spreads = np.array([[1.0, 2.0, 0.5], [2.0, 0.1, 0.5]])
    one, other = (
        Gaussian(mean, np.diag(spread**2)) for mean, spread in zip(means, spreads, strict=True)
    )
    expected = ((means[0] - means[1]) ** 2 + (spreads[0] - spreads[1]) ** 2).sum()
    assert frechet_distance(one, other) == pytest.approx(expected)


@given(st.integers(0, 1000), st.integers(1, 6))
def test_it_is_the_textbooks_formula(seed: int, width: int) -> None:
    one, other = drawn(seed, 50, width), drawn(seed + 1, 40, width)
    root = np.real(sqrtm(one.covariance @ other.covariance))
    expected = ((one.mean - other.mean) ** 2).sum() + np.trace(
        one.covariance + other.covariance - 2 * root
    )
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert frechet_distance(other, one) == pytest.approx(frechet_distance(one, other), rel=1e-6)


def test_identical_sets_are_at_zero_also_with_fewer_features_than_width() -> None:
    for count, width in ((200, 8), (5, 30)):
        one = drawn(3, count, width)
        scale = np.trace(one.covariance)
        assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-5 * scale)


def test_a_shift_alone_is_its_square() -> None:
    one = drawn(1, 100, 4)
    moved = Gaussian(one.mean + np.array([3.0, 0.0, 4.0, 0.0]), one.covariance)
    assert frechet_distance(one, moved) == pytest.approx(25.0, rel=1e-6)


def test_points_have_no_spread() -> None:
    still = Gaussian.of(np.zeros((3, 2)))
    assert frechet_distance(still, Gaussian.of(np.ones((3, 2)))) == pytest.approx(2.0)


def test_one_feature_has_no_covariance() -> None:
    with pytest.raises(InputError, match="found 1 features; expected two at least"):
        Gaussian.of(np.zeros((1, 3)))

"""SSIM and MS-SSIM: against windows taken one at a time, known values, and properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluation.ssim import (
    CONTRAST,
    LUMINANCE,
    SIGMA_PX,
    WEIGHTS,
    gaussian_window,
    multi_scale_ssim,
    scales_of,
    ssim,
)
from infra.errors import InputError

Grey = NDArray[np.uint8]


def film(seed: int, height: int = 40, width: int = 36) -> Grey:
    """Smooth shapes with some noise, as films are."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = np.sin(rows / rng.uniform(4, 9)) + np.cos(columns / rng.uniform(4, 9))
    noisy = 120 + 45 * waves + rng.normal(0, 12, (height, width))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def by_windows(one: Grey, other: Grey) -> tuple[float, float]:
    """Mean SSIM, and mean contrast and structure, from each window of 11 by 11 px by itself."""
    places = np.arange(11) - 5
    row = np.exp(-(places**2) / (2 * SIGMA_PX**2))
    weights = np.outer(row, row) / np.outer(row, row).sum()
    whole, structures = [], []
    for top in range(one.shape[0] - 10):
        for left in range(one.shape[1] - 10):
            a, b = (
                each[top : top + 11, left : left + 11].astype(np.float64) for each in (one, other)
            )
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            spread_a = (weights * (a - mean_a) ** 2).sum()
            spread_b = (weights * (b - mean_b) ** 2).sum()
            shared = (weights * (a - mean_a) * (b - mean_b)).sum()
            luminance = (2 * mean_a * mean_b + LUMINANCE) / (mean_a**2 + mean_b**2 + LUMINANCE)
            structure = (2 * shared + CONTRAST) / (spread_a + spread_b + CONTRAST)
            whole.append(luminance * structure)
            structures.append(structure)
    return float(np.mean(whole)), float(np.mean(structures))


def halved(one: Grey) -> Grey:
    rows = [
        [one[r : r + 2, c : c + 2].mean() for c in range(0, one.shape[1] - 1, 2)]
        for r in range(0, one.shape[0] - 1, 2)
    ]
    return np.array(rows)


def test_ssim_is_that_of_windows_one_at_a_time() -> None:
    one, other = film(1), film(2)
    assert ssim(one, other) == pytest.approx(by_windows(one, other)[0], rel=1e-9)


def test_multi_scale_is_the_product_over_halved_films() -> None:
    """40 px hold a window at two scales: contrast and structure at the first, all at the second."""
    one, other = film(3), film(3)
    other = np.clip(other + np.random.default_rng(0).normal(0, 25, one.shape), 0, 255)
    other = other.astype(np.uint8)
    assert scales_of(*one.shape) == 2
    first, second = (weight / (WEIGHTS[0] + WEIGHTS[1]) for weight in WEIGHTS[:2])
    fine = by_windows(one, other)[1]
    coarse = by_windows(halved(one), halved(other))[0]
    expected = fine**first * coarse**second
    assert multi_scale_ssim(one, other) == pytest.approx(expected, rel=1e-9)


def test_by_hand_of_two_even_greys() -> None:
    """No contrast: the structure is 1, and luminance is all: (2ab + C1) / (a² + b² + C1)."""
    one, other = (np.full((20, 20), value, dtype=np.uint8) for value in (100, 200))
    expected = (2 * 100 * 200 + LUMINANCE) / (100**2 + 200**2 + LUMINANCE)
    assert ssim(one, other) == pytest.approx(expected)
    assert multi_scale_ssim(one, other) == pytest.approx(expected), "20 px have one scale"


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 200))
def test_identity_symmetry_and_range(seed: int) -> None:
    one, other = film(seed), film(seed + 1)
    assert multi_scale_ssim(one, one) == pytest.approx(1.0)
    found = multi_scale_ssim(one, other)
    assert found == pytest.approx(multi_scale_ssim(other, one))
    assert 0.0 <= found <= 1.0
    assert -1.0 <= ssim(one, other) <= 1.0


def test_more_noise_is_less_alike() -> None:
    one = film(5, 128, 128)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, one.shape)
    found = [
        multi_scale_ssim(one, np.clip(one + strength * noise, 0, 255)) for strength in (5, 20, 60)
    ]
    assert found == sorted(found, reverse=True)


def test_an_inverted_film_counts_as_nothing_alike() -> None:
    one = film(7)
    assert ssim(one, 255 - one) < 0
    assert multi_scale_ssim(one, 255 - one) == 0.0


def test_small_films_have_fewer_scales() -> None:
    assert [scales_of(side, side) for side in (11, 22, 44, 64, 88, 112, 175, 176, 512)] == [
        1, 2, 3, 3, 4, 4, 4, 5, 5,
    ]  # fmt: skip
    assert scales_of(512, 64) == 3


def test_the_window_sums_to_one() -> None:
    assert gaussian_window().sum() == pytest.approx(1.0)
    assert gaussian_window()[5] == gaussian_window().max()


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (film(1), film(1, 40, 37), "two grey ones of one size"),
        (film(1, 10, 40), film(2, 10, 40), "11 px at least"),
        (np.zeros((20, 20, 3)), np.zeros((20, 20, 3)), "two grey ones"),
    ],
)
def test_films_without_a_similarity(one: Grey, other: Grey, message: str) -> None:
    with pytest.raises(InputError, match=message):
        multi_scale_ssim(one, other)

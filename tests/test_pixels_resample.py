"""Scaling agrees with OpenCV's area and Pillow's bicubic filter, and keeps pictures in place."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pixel_samples import eight_bit, film

from infra.settings.sections import ImageSettings
from sources.crop import of_short_side
from sources.pixels_grey import is_flat, stretch, to_grey
from sources.pixels_resample import Placement, resample


def recipe(method: Literal["area", "bicubic"], short: int = 64) -> ImageSettings:
    return ImageSettings(short_side_px=short, smallest_side_px=16, resample=method)


def mean_error(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


@pytest.mark.parametrize("size", [(64, 80), (100, 125), (159, 199)])
def test_area_is_opencvs(size: tuple[int, int]) -> None:
    pixels = film().astype(np.float32)
    expected = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(resample(pixels, size, recipe("area")), expected, rtol=1e-4)


@pytest.mark.parametrize("size", [(64, 80), (100, 125), (320, 400)])
def test_bicubic_is_pillows(size: tuple[int, int]) -> None:
    pixels = film().astype(np.float32)
    expected = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    expected = expected.clip(pixels.min(), pixels.max())
    np.testing.assert_allclose(resample(pixels, size, recipe("bicubic")), expected, rtol=1e-4)


@pytest.mark.parametrize("method", ["area", "bicubic"])
def test_halving_first_changes_less_than_half_a_level(method: Literal["area", "bicubic"]) -> None:
    pixels = eight_bit(film(1600, 1280))
    whole = Image.fromarray(pixels.astype(np.float32))
    if method == "area":
        expected = cv2.resize(np.asarray(whole), (128, 160), interpolation=cv2.INTER_AREA)
    else:
        expected = np.asarray(whole.resize((128, 160), Image.Resampling.BICUBIC))
    found = resample(pixels, (128, 160), recipe(method, 128))
    assert found.dtype == np.uint8
    assert mean_error(found, expected) < 0.5


def test_the_same_size_is_the_same_picture() -> None:
    pixels = eight_bit(film())
    assert resample(pixels, (160, 200), recipe("area")) is pixels
    deep = resample(film(), (160, 200), recipe("area"))
    np.testing.assert_array_equal(deep, film().astype(np.float32))


@pytest.mark.parametrize("method", ["area", "bicubic"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_every_type_stays_in_its_range(method: Literal["area", "bicubic"], kind: Any) -> None:
    pixels = np.zeros((40, 40), kind)
    pixels[:, 20:] = 200
    for size in ((16, 16), (90, 90)):
        found = resample(pixels, size, recipe(method, 16))
        assert found.dtype == (np.uint8 if kind is np.uint8 else np.float32)
        assert (float(found.min()), float(found.max())) == (0.0, 200.0)


@pytest.mark.parametrize("method", ["area", "bicubic"])
def test_a_partly_filled_last_pixel_counts_in_part(method: Literal["area", "bicubic"]) -> None:
    """A ramp cut at 20.5 samples ends, when scaled, where the picture ends."""
    ramp = np.tile(np.arange(21, dtype=np.float32) + 0.5, (21, 1))
    found = resample(ramp, (10, 10), recipe(method, 16), Placement(20.5, 20.5))
    centers = (np.arange(10) + 0.5) * 2.05
    np.testing.assert_allclose(found[5, 2:-2], centers[2:-2], atol=0.02)


@pytest.mark.parametrize("method", ["area", "bicubic"])
def test_a_shift_moves_the_picture(method: Literal["area", "bicubic"]) -> None:
    ramp = np.tile(np.arange(40, dtype=np.float32), (40, 1))
    still = resample(ramp, (10, 10), recipe(method, 16), Placement(39.999, 39.999))
    moved = resample(ramp, (10, 10), recipe(method, 16), Placement(40, 40, 0.25))
    np.testing.assert_allclose(moved[5, 2:-2] - still[5, 2:-2], 0.25, atol=0.01)


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (2544, 3056, (518, 622)),
        (3056, 2544, (622, 518)),
        (1024, 1024, (518, 518)),
        (1978, 2500, (518, 654)),  # 654.7: torchvision cuts
        (1514, 2271, (518, 777)),  # 776.99... where the ratio is taken first
    ],
)
def test_the_long_side_is_cut_to_whole_pixels(
    width: int, height: int, size: tuple[int, int]
) -> None:
    assert of_short_side(width, height, 518) == size


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 1000))
def test_sizes_are_torchvisions(width: int, height: int, short: int) -> None:
    """``int(size * long / short)``, as its Resize and Hugging Face's processor compute it."""
    long = int(short * max(width, height) / min(width, height))
    expected = (short, long) if width <= height else (long, short)
    assert of_short_side(width, height, short) == expected


def test_stretch_and_rounding() -> None:
    values = np.arange(10_000, dtype=np.float32).reshape(100, 100)
    unit = stretch(values)
    assert (float(unit.min()), float(unit.max())) == (0.0, 1.0)
    assert abs(float(unit[50, 0]) - 0.5) < 0.01
    assert to_grey(np.array([[-1, 0, 0.5, 1, 2]], np.float32)).tolist() == [[0, 0, 128, 255, 255]]
    np.testing.assert_array_equal(stretch(np.full((4, 4), 7.0)), np.zeros((4, 4)))


def test_flat_means_nothing_to_see() -> None:
    assert is_flat(np.full((50, 50), 9, np.uint8))
    noisy = np.full((50, 50), 9, np.uint8)
    noisy[::2] += 1
    assert is_flat(noisy)
    assert not is_flat(eight_bit(film()))
    assert not is_flat(film() // 64)

"""CANDID's run lengths against an independent reading of the dialect, on any mask."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sources.run_length import (
    Extent,
    RunLengthError,
    decode_mask,
    encode_mask,
    extent_of,
    runs_of,
)

Mask = NDArray[np.bool_]
SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24))
MASKS = SHAPES.flatmap(lambda shape: arrays(bool, shape)).filter(lambda mask: bool(mask.any()))
QUICK = settings(max_examples=150, deadline=None)


def slow_text(mask: Mask) -> str:
    """Pixel by pixel: down the first column, then the next; gap since the last run, length."""
    height, width = mask.shape
    numbers: list[int] = []
    gap = length = 0
    for x in range(width):
        for y in range(height):
            if mask[y, x]:
                length += 1
                continue
            if length:
                numbers += [gap, length]
                gap = length = 0
            gap += 1
    if length:
        numbers += [gap, length]
    return " ".join(map(str, numbers))


def slow_mask(text: str, height: int, width: int) -> Mask:
    """The loader's loop, with the place of each pixel worked out one by one."""
    mask = np.zeros((height, width), bool)
    words = list(map(int, text.split()))
    place = 0
    for position in range(0, len(words), 2):
        place += words[position]
        for _ in range(words[position + 1]):
            mask[place % height, place // height] = True
            place += 1
    return mask


@QUICK
@given(MASKS)
def test_any_mask_is_written_as_pixel_by_pixel(mask: Mask) -> None:
    assert encode_mask(mask) == slow_text(mask)


@QUICK
@given(MASKS)
def test_any_mask_is_read_as_pixel_by_pixel(mask: Mask) -> None:
    text = slow_text(mask)
    assert np.array_equal(decode_mask(text, *mask.shape), slow_mask(text, *mask.shape))
    assert np.array_equal(decode_mask(text, *mask.shape), mask)


@QUICK
@given(MASKS)
def test_the_extent_is_the_masks(mask: Mask) -> None:
    y, x = np.nonzero(mask)
    expected = Extent(int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1)
    assert extent_of(slow_text(mask), *mask.shape) == expected


@QUICK
@given(MASKS)
def test_runs_are_apart_and_in_order(mask: Mask) -> None:
    runs = runs_of(slow_text(mask), *mask.shape)
    assert int((runs[:, 1] - runs[:, 0]).sum()) == int(mask.sum())
    assert (runs[:, 1] > runs[:, 0]).all()
    assert (runs[1:, 0] > runs[:-1, 1]).all()


@QUICK
@given(MASKS)
def test_runs_that_touch_are_one(mask: Mask) -> None:
    """A gap of zero is legal: the run goes on."""
    words = slow_text(mask).split()
    gap, length = int(words[0]), int(words[1])
    if length > 1:
        cut = " ".join([str(gap), "1", "0", str(length - 1), *words[2:]])
        assert np.array_equal(decode_mask(cut, *mask.shape), mask)


@QUICK
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=8))
def test_texts_that_fit_are_read_and_others_refused(pairs: list[tuple[int, int]]) -> None:
    text = " ".join(f"{gap} {length}" for gap, length in pairs)
    end = sum(gap + length for gap, length in pairs)
    if end <= 100:
        assert np.array_equal(decode_mask(text, 10, 10), slow_mask(text, 10, 10))
    else:
        with pytest.raises(RunLengthError, match=f"^pixel {end} of an image of 100$"):
            decode_mask(text, 10, 10)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_mask_or_an_error_of_one_line(text: str) -> None:
    try:
        mask = decode_mask(text, 8, 9)
    except RunLengthError as error:
        assert re.fullmatch(r"[\x20-\x7e]{5,80}", str(error))
    else:
        assert mask.shape == (8, 9)
        assert mask.any()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("9223372036854775807 5", "a number of 19 digits"),
        ("99999999999999999999 1", "a number of 20 digits"),
        ("1 9999999999999", "a number of 13 digits"),
        ("999999999999 1", "pixel 1000000000000 of an image of 100"),
        ("1_0 2", "a word that is not a number"),
        ("٣ 2", "a word that is not a number"),
        ("1.5 2", "a word that is not a number"),
        ("+1 2", "a word that is not a number"),
        ("1e1 2", "a word that is not a number"),
        ("-1 2", "a negative gap or an empty run"),
        ("nan", "a word that is not a number"),
    ],
)
def test_numbers_that_are_none_or_too_large(text: str, fault: str) -> None:
    with pytest.raises(RunLengthError, match=f"^{fault}$"):
        runs_of(text, 10, 10)


def test_a_whole_film_of_the_published_size() -> None:
    whole = f"0 {1024 * 1024}"
    assert extent_of(whole, 1024, 1024) == Extent(0, 0, 1024, 1024)
    assert decode_mask(whole, 1024, 1024).all()
    assert encode_mask(np.ones((1024, 1024), bool)) == whole


def test_the_same_text_means_another_place_in_cocos_dialect() -> None:
    """Starts are relative here: the second run begins 5 pixels after the first one's end."""
    mask = decode_mask("2 3 5 1", 4, 4)
    assert np.flatnonzero(mask.T.ravel()).tolist() == [2, 3, 4, 10]


def test_columns_come_first() -> None:
    mask = np.zeros((3, 5), bool)
    mask[:, 1] = True
    assert encode_mask(mask) == "3 3"
    mask[:, 1] = False
    mask[1, :] = True
    assert encode_mask(mask) == "1 1 2 1 2 1 2 1 2 1"


def test_an_empty_mask_has_no_text() -> None:
    with pytest.raises(AssertionError, match="an empty mask has no text"):
        encode_mask(np.zeros((3, 3), bool))

"""Run-length masks as CANDID-PTX and SIIM-ACR publish them.

Text of space-separated pairs: how many pixels lie between the end of the previous run and the
start of this one, then the run's length. Pixels count down the columns (the mask is filled flat,
shaped width x height, and transposed). This is not COCO's dialect, whose starts are absolute.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_NUMBER: Final = re.compile(r"-?[0-9]+")
_DIGITS: Final = 12
"""Longest number that is looked at: no sum of a million of them leaves 64 bits."""


class RunLengthError(ValueError):
    """A text that is no mask of that size; the message is one line."""


@dataclass(frozen=True)
class Extent:
    """Box of a mask in px, maxima exclusive."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


def runs_of(text: str, height: int, width: int) -> NDArray[np.int64]:
    """[runs, 2]: start and end (exclusive) of each run, counted down the columns.

    Raises:
        RunLengthError: not pairs of numbers, an empty run, or pixels beyond the image.
    """
    words = text.split()
    if not all(_NUMBER.fullmatch(word) for word in words):
        raise RunLengthError("a word that is not a number")
    if not words or len(words) % 2:
        raise RunLengthError(f"{len(words)} numbers; expected pairs")
    longest = max(len(word) for word in words)
    if longest > _DIGITS:
        raise RunLengthError(f"a number of {longest} digits")
    values = np.array(words, dtype=np.int64)
    if (values < 0).any() or (values[1::2] == 0).any():
        raise RunLengthError("a negative gap or an empty run")
    ends = np.cumsum(values)[1::2]
    if ends[-1] > height * width:
        raise RunLengthError(f"pixel {ends[-1]} of an image of {height * width}")
    return np.stack([ends - values[1::2], ends], axis=1)


def extent_of(text: str, height: int, width: int) -> Extent:
    """The mask's box, without filling the mask; raises as ``runs_of``."""
    runs = runs_of(text, height, width)
    first, last = runs[:, 0], runs[:, 1] - 1
    crosses = first // height != last // height
    top = np.where(crosses, 0, first % height)
    bottom = np.where(crosses, height - 1, last % height)
    return Extent(
        x_min=int((first // height).min()),
        y_min=int(top.min()),
        x_max=int((last // height).max()) + 1,
        y_max=int(bottom.max()) + 1,
    )


def decode_mask(text: str, height: int, width: int) -> NDArray[np.bool_]:
    """The mask [H, W]; raises as ``runs_of``."""
    flat = np.zeros(height * width + 1, np.int8)
    runs = runs_of(text, height, width)
    np.add.at(flat, runs[:, 0], 1)
    np.add.at(flat, runs[:, 1], -1)
    filled = np.cumsum(flat)[:-1] > 0
    return filled.reshape(width, height).T


def encode_mask(mask: NDArray[np.bool_]) -> str:
    """The text of a mask [H, W] with at least one pixel."""
    flat = np.concatenate([[False], mask.T.ravel(), [False]])
    borders = np.flatnonzero(flat[1:] != flat[:-1])
    assert borders.size, "an empty mask has no text"
    gaps = np.diff(borders, prepend=0)
    return " ".join(map(str, gaps.tolist()))

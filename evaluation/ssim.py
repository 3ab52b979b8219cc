"""Structural similarity of two grey films, at one scale and at several (SSIM, MS-SSIM).

Both as Wang et al. give them: a Gaussian window of 11 px, mean and spread weighed by it, no
padding.
Shapes: H, W a film's height and width in px; films are uint8 or float in 0..255.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from evaluation.statistics import Floats
from infra.errors import InputError

VERSION: Final = "1"
WINDOW_PX: Final = 11  # Wang et al., 2004
SIGMA_PX: Final = 1.5  # Wang et al., 2004
RANGE: Final = 255.0
LUMINANCE: Final = (0.01 * RANGE) ** 2  # K1 = 0.01: Wang et al., 2004
CONTRAST: Final = (0.03 * RANGE) ** 2  # K2 = 0.03: Wang et al., 2004
WEIGHTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of five scales, finest first: Wang et al., 2003."""

Film = NDArray[Any]


def scales_of(height: int, width: int) -> int:
    """How many of the five scales a film of that size has room for.

    The coarsest must still hold a window. Five take 176 px; a film of 112 px has four, one of 64 px
    three. The weights of those that are left are divided by their sum (our choice: programs that
    know five alone refuse such films), so numbers of films of different sizes are not comparable.
    """
    side = min(height, width)
    return sum(1 for scale in range(len(WEIGHTS)) if side // 2**scale >= WINDOW_PX)


def ssim(one: Film, other: Film) -> float:
    """Structural similarity at the films' own scale, the mean over all windows.

    Raises:
        InputError: the films differ in size or are smaller than a window.
    """
    _require_pair(one, other)
    luminance, structure = _terms(one.astype(np.float64), other.astype(np.float64))
    return float((luminance * structure).mean())


def multi_scale_ssim(one: Film, other: Film) -> float:
    """The product over scales of contrast and structure, with luminance at the coarsest.

    A negative mean at some scale, where one film is the other's inverse, counts as 0, as a root of
    it is no number.

    Raises:
        InputError: the films differ in size or are smaller than a window.
    """
    _require_pair(one, other)
    scales = scales_of(*one.shape)
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    held, against = one.astype(np.float64), other.astype(np.float64)
    found = 1.0
    for scale, weight in enumerate(weights):
        luminance, structure = _terms(held, against)
        last = scale == scales - 1
        mean = float((luminance * structure).mean() if last else structure.mean())
        found *= max(mean, 0.0) ** float(weight)
        held, against = _halved(held), _halved(against)
    return found


def gaussian_window() -> Floats:
    """(WINDOW_PX,) that sums to 1; the window of two axes is its product with itself."""
    places = np.arange(WINDOW_PX) - WINDOW_PX // 2
    window = np.exp(-(places**2) / (2.0 * SIGMA_PX**2))
    return np.asarray(window / window.sum())


def _terms(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Luminance, and contrast times structure, of every window that lies inside the film."""
    mean, mean_other = _smoothed(one), _smoothed(other)
    spread = _smoothed(one * one) - mean**2
    spread_other = _smoothed(other * other) - mean_other**2
    shared = _smoothed(one * other) - mean * mean_other
    luminance = (2 * mean * mean_other + LUMINANCE) / (mean**2 + mean_other**2 + LUMINANCE)
    structure = (2 * shared + CONTRAST) / (spread + spread_other + CONTRAST)
    return luminance, structure


def _smoothed(film: Floats) -> Floats:
    """(H - 10, W - 10): the weighted mean of every whole window."""
    window, edge = gaussian_window(), WINDOW_PX // 2
    for axis in (0, 1):
        film = correlate1d(film, window, axis=axis, mode="constant")
    return film[edge:-edge, edge:-edge]


def _halved(film: Floats) -> Floats:
    """Means of 2 by 2 px; an odd last row or column is left out."""
    height, width = (side - side % 2 for side in film.shape)
    even = film[:height, :width]
    return np.asarray(even.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)))


def _require_pair(one: Film, other: Film) -> None:
    if one.ndim != 2 or one.shape != other.shape:
        raise InputError(
            f"films of {one.shape} and {other.shape} px", "two grey ones of one size", "resize them"
        )
    if min(one.shape) < WINDOW_PX:
        raise InputError(f"films of {one.shape} px", f"{WINDOW_PX} px at least", "take larger ones")

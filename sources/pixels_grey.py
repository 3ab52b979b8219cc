"""What every image format shares: size checks and grey levels; arrays are [height, width]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.settings.sections import ImageSettings

Grey = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.integer[Any] | np.floating[Any]]

STRETCH_PERCENTILES = (0.1, 99.9)
"""Range that fills black to white where a file states no window. Our choice: true minimum and
maximum hang on single pixels (hot pixels, burned-in side markers), wider margins cut anatomy."""

FLAT_PERCENTILES = (1.0, 99.0)
"""An image whose values here are equal shows nothing. Our choice: a collimated frame around a
chest covers far less than 98 % of a film, a marker or a line of text on a blank film less than 1 %.
"""


class PixelError(Exception):
    """One image that cannot be used.

    Args:
        reason: short code for ``Rejected.reason``.
        detail: one line; sizes and format names only, never a header's text.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type[PixelError], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True)
class GreyImage:
    """A picture ready to store: 0 is black (air), 255 white (dense).

    Args:
        grey: uint8 [height, width], short side as the recipe says.
        original_width: px of the published picture, as displayed (after EXIF orientation).
        original_height: px, likewise.
    """

    grey: Grey
    original_width: int
    original_height: int


def check_shape(width: int, height: int, settings: ImageSettings) -> None:
    """Refuse a picture by its header's size, before anything is decoded.

    Raises:
        PixelError: ``decompression-bomb``, ``too-small`` or ``aspect-ratio``.
    """
    if width * height > settings.largest_megapixels * 1e6:
        raise PixelError(
            "decompression-bomb",
            f"{width}x{height} px; at most {settings.largest_megapixels:g} megapixels",
        )
    if min(width, height) < settings.smallest_side_px:
        raise PixelError(
            "too-small", f"{width}x{height} px; at least {settings.smallest_side_px} px a side"
        )
    if max(width, height) > settings.largest_aspect_ratio * min(width, height):
        raise PixelError(
            "aspect-ratio",
            f"{width}x{height} px; at most {settings.largest_aspect_ratio:g} times as long as wide",
        )


def to_grey(unit: npt.NDArray[np.float32]) -> Grey:
    """Values 0..1 as grey levels 0..255, rounded and clipped; [height, width]."""
    return np.asarray(np.clip(unit * 255.0 + 0.5, 0.0, 255.0).astype(np.uint8))


def spread(samples: Samples, percentiles: tuple[float, float]) -> tuple[float, float]:
    """Values at two percentiles, of every other row and column: a quarter of them tells as much."""
    low, high = np.percentile(samples[::2, ::2], percentiles)
    return float(low), float(high)


def stretch(samples: Samples) -> npt.NDArray[np.float32]:
    """Values scaled to 0..1 between STRETCH_PERCENTILES; [height, width]."""
    low, high = spread(samples, STRETCH_PERCENTILES)
    if high <= low:
        low, high = float(samples.min()), float(samples.max())
    scale = 1.0 / (high - low) if high > low else 0.0
    return np.asarray(np.clip((samples - low) * scale, 0.0, 1.0), dtype=np.float32)


def is_flat(samples: Samples) -> bool:
    """Whether nothing is to be seen: values at FLAT_PERCENTILES hardly differ.

    By less than one stored value, or two of 255 grey levels, as JPEG's noise may. Our choice.
    """
    low, high = spread(samples, FLAT_PERCENTILES)
    return bool(high - low < (2.0 if samples.dtype == np.uint8 else 1.0))

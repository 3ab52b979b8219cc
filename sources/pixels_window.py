"""How a DICOM file wants its stored values shown: modality LUT, then VOI LUT or window.

Every function may work on the *resized* picture: a linear window commutes with averaging except
where it clips, and a tabulated one nearly so, because a LUT is smooth against the differences
between the pixels that one stored pixel merges. On radiographs the two orders differ by at most 0.5
of 255 grey levels on average (measured; a test holds it below one), and resizing first spares seven
eighths of the work. A window much narrower than the values (a soft-tissue window on CT: 3.4 levels)
is the exception: ``Display.must_precede_resizing``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from sources.pixels_grey import FLAT_PERCENTILES, spread, stretch

Values = npt.NDArray[np.float32]

FLAT_OUTPUT = 0.02
"""A window that leaves less than this share of the output range between FLAT_PERCENTILES was not
meant for these values; they are stretched instead. Our choice: five of 255 levels, where a real
film, however poorly windowed, spans tens."""

EIGHT_BIT_TOP = 255


class VoiFunction(StrEnum):
    """VOI LUT Function (0028,1056), as in PS3.3 section C.11.2.1."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True)
class LookUpTable:
    """``entries`` [n] are the outputs for inputs ``first``, ``first + 1`` …; ends extend flat."""

    first: int
    entries: Values

    def apply(self, values: Values) -> Values:
        """Look values up, linearly between entries; same shape."""
        inputs = np.arange(self.first, self.first + len(self.entries), dtype=np.float32)
        return np.interp(values, inputs, self.entries).astype(np.float32)


@dataclass(frozen=True)
class Window:
    """Centre and width in modality units, as in the file."""

    center: float
    width: float
    function: VoiFunction = VoiFunction.LINEAR

    @property
    def top(self) -> float:
        return self.center + self.width / 2

    def apply(self, values: Values) -> Values:
        """Values as 0..1 by PS3.3 C.11.2.1.2 and C.11.2.1.3; same shape."""
        if self.function is VoiFunction.SIGMOID:
            exponent = np.clip(-4.0 * (values - self.center) / self.width, -60.0, 60.0)
            return np.asarray(1.0 / (1.0 + np.exp(exponent)), dtype=np.float32)
        center, width = self.center, self.width
        if self.function is VoiFunction.LINEAR:
            center, width = center - 0.5, max(width - 1.0, 1e-6)
        unit = (values - center) / width + 0.5
        return np.asarray(np.clip(unit, 0.0, 1.0), dtype=np.float32)


@dataclass(frozen=True)
class Display:
    """The display pipeline of one file.

    Args:
        bits_stored: bits that the header claims.
        slope, intercept: of the linear modality LUT; unused where ``modality`` is given.
        voi: preferred over ``window``, the first of several, as viewers do.
        inverted: MONOCHROME1: the smallest value is white.
    """

    bits_stored: int
    slope: float = 1.0
    intercept: float = 0.0
    modality: LookUpTable | None = None
    voi: LookUpTable | None = None
    window: Window | None = None
    inverted: bool = False

    def must_precede_resizing(self, low: float, high: float) -> bool:
        """Whether the window clips so much of the values ``low`` to ``high`` that order matters.

        More than half of their range: our choice, above what windows of chest films cut.
        """
        if self.window is None or self.voi is not None or self.modality is not None:
            return False
        return abs(high - low) * abs(self.slope) > 2 * self.window.width

    def show(self, stored: Values) -> Values:
        """Stored values [height, width] as brightness 0..1, dense tissue bright."""
        if self.modality is not None:
            values = self.modality.apply(stored)
        else:
            values = stored * np.float32(self.slope) + np.float32(self.intercept)
        unit = self._windowed(values, stored)
        return np.asarray(1.0 - unit, dtype=np.float32) if self.inverted else unit

    def _windowed(self, values: Values, stored: Values) -> Values:
        if self.voi is not None:
            entries = self.voi.entries
            unit = (self.voi.apply(values) - entries.min()) / max(float(np.ptp(entries)), 1e-6)
        elif self._is_plain_eight_bit(stored):
            return np.asarray(stored / EIGHT_BIT_TOP, dtype=np.float32)
        elif self.window is not None:
            unit = self.window.apply(values)
        else:
            return stretch(values)
        low, high = spread(unit, FLAT_PERCENTILES)
        return np.asarray(unit, np.float32) if high - low >= FLAT_OUTPUT else stretch(values)

    def _is_plain_eight_bit(self, stored: Values) -> bool:
        """Values 0..255 that were shown already: no window, or one for a deeper range.

        VinDr-CXR holds 8-bit data flagged as 12-bit, whose window would leave them near black.
        """
        if float(stored.min()) < 0 or float(stored.max()) > EIGHT_BIT_TOP:
            return False
        if self.modality is not None or (self.slope, self.intercept) != (1.0, 0.0):
            return False
        if self.window is None:
            return True
        return self.bits_stored > 8 and self.window.top > 2 * EIGHT_BIT_TOP

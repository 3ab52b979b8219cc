"""Lines, areas and soft edges on one image, in units of its short side.

    x    right, 0 at the image's middle; patient's right is negative on frontal views
    y    down, 0 near the top of the neck, 1 near the bottom of the film
    [H, W]  every layer is float32 of the image's size

A layer holds opacity in 0..1 (or more, for sums); the caller decides what it means.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from itertools import groupby
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

Layer = NDArray[np.float32]
Curve = NDArray[np.float64]

_SHIFT = 4
"""cv2 draws with 1/16 px; finer steps change no 8-bit value."""


class Canvas:
    """Coordinates of an image of ``height`` x ``width`` px and the pens that draw on it."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.unit = min(height, width)
        self._top = (height / self.unit - 1.0) * 0.4
        """A tall film has more of its surplus below the chest than above it."""

    @cached_property
    def x(self) -> Layer:
        """[1, W]"""
        row = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.unit
        return row[None, :].astype(np.float32)

    @cached_property
    def y(self) -> Layer:
        """[H, 1]"""
        column = (np.arange(self.height, dtype=np.float32) + 0.5) / self.unit - self._top
        return column[:, None].astype(np.float32)

    def zeros(self) -> Layer:
        return np.zeros((self.height, self.width), np.float32)

    def ramp(self, distance: Layer, softness: float) -> Layer:
        """1 where ``distance`` is inside, 0 outside, linear over ``softness`` units."""
        width = max(softness, 1.0 / self.unit)
        inside = distance * np.float32(1.0 / width) + np.float32(0.5)
        return np.asarray(np.clip(inside, 0.0, 1.0), np.float32)

    def _pixels(self, points: Curve) -> NDArray[np.int32]:
        scaled = np.empty((len(points), 1, 2), np.float64)
        scaled[:, 0, 0] = points[:, 0] * self.unit + self.width / 2 - 0.5
        scaled[:, 0, 1] = (points[:, 1] + self._top) * self.unit - 0.5
        return np.round(scaled * (1 << _SHIFT)).astype(np.int32)

    def lines(
        self, curves: Sequence[Curve], widths: Sequence[float], tones: Sequence[float]
    ) -> Layer:
        """Curves [N, 2] with widths in units and tones in 0..1; later ones cover earlier ones.

        A line thinner than a pixel is drawn one pixel wide and fainter, but never below half.
        """
        image = np.zeros((self.height, self.width), np.uint8)
        pixels = self._pixels(np.concatenate(curves))
        parts = np.split(pixels, np.cumsum([len(curve) for curve in curves])[:-1])
        pens = [self._pen(width, tone) for width, tone in zip(widths, tones, strict=True)]
        strokes = groupby(zip(pens, parts, strict=True), key=lambda stroke: stroke[0])
        for (value, thickness), group in strokes:
            paths = [path for _, path in group]
            cv2.polylines(image, paths, False, value, thickness, cv2.LINE_AA, _SHIFT)
        return image.astype(np.float32) * np.float32(1 / 255)

    def _pen(self, width: float, tone: float) -> tuple[int, int]:
        """Grey value and thickness in px."""
        pixels = width * self.unit
        value = round(255 * min(1.0, tone) * min(1.0, max(0.5, pixels)))
        return value, max(1, round(pixels))

    def area(self, outline: Curve, softness: float = 0.0) -> Layer:
        """The inside of a closed outline [N, 2]."""
        image = np.zeros((self.height, self.width), np.uint8)
        cv2.fillPoly(image, [self._pixels(outline)], 255, cv2.LINE_AA, _SHIFT)
        return self.blur(image.astype(np.float32) * np.float32(1 / 255), softness)

    def blur(self, layer: Layer, sigma: float) -> Layer:
        """Gaussian blur with ``sigma`` in units."""
        pixels = sigma * self.unit
        if pixels < 0.3:
            return layer
        if pixels > 6:  # a quarter of the size looks the same and costs a tenth
            small = cv2.resize(
                layer, (self.width // 4, self.height // 4), interpolation=cv2.INTER_AREA
            )
            small = cv2.GaussianBlur(small, (0, 0), pixels / 4)
            large = cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
            return np.asarray(large, np.float32)
        return np.asarray(cv2.GaussianBlur(layer, (0, 0), pixels), np.float32)

    def clouds(self, rng: np.random.Generator, cells: int) -> Layer:
        """Smooth noise of mean 0 and deviation about 1; ``cells`` lumps along each side."""
        grid = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
        large = cv2.resize(grid, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        return np.asarray(large, np.float32)

    def tissue(self, rng: np.random.Generator) -> Layer:
        """Fat and muscle are uneven, and in no two persons alike: clouds [H, W] around zero."""
        coarse = self.clouds(rng, 7) * np.float32(0.016) + self.clouds(rng, 17) * np.float32(0.012)
        return np.asarray(coarse + self.clouds(rng, 33) * np.float32(0.008), np.float32)

    def disc(self, x: float, y: float, radius: float, softness: float = 0.0) -> Layer:
        """A filled circle."""
        return self.oval(x, y, radius, radius, softness)

    def oval(self, x: float, y: float, rx: float, ry: float, softness: float = 0.0) -> Layer:
        """A filled ellipse."""
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        outline = np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1)
        return self.area(outline, softness)

    def blob(
        self, rng: np.random.Generator, x: float, y: float, rx: float, ry: float, softness: float
    ) -> Layer:
        """An irregular round area."""
        turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        radius = 1.0 + sum(
            rng.normal(0, 0.22 / order) * np.cos(order * turn + rng.uniform(0, 2 * np.pi))
            for order in (2, 3, 4, 5)
        )
        outline = np.stack([x + rx * radius * np.cos(turn), y + ry * radius * np.sin(turn)], 1)
        return self.area(outline, softness)


def stream(seed: int, *names: str) -> np.random.Generator:
    """Random numbers of their own for each part of a film, so that parts do not disturb others."""
    return np.random.default_rng([seed, *(crc32(name.encode()) for name in names)])


def curve(*points: tuple[float, float]) -> Curve:
    """The points as [N, 2]."""
    return np.asarray(points, dtype=np.float64)


def smooth(points: Curve, count: int = 24) -> Curve:
    """A smooth curve [count, 2] through points [N, 2] (Catmull-Rom)."""
    curved: Curve = _catmull_rom(len(points), count) @ points
    return curved


@cache
def _catmull_rom(points: int, count: int) -> Curve:
    """Weights [count, points] of a Catmull-Rom spline whose ends run on straight."""
    unit = np.eye(points)
    padded = np.vstack([2 * unit[0] - unit[1], unit, 2 * unit[-1] - unit[-2]])
    at = np.linspace(0, points - 1, count)
    index = np.minimum(at.astype(int), points - 2)
    t = (at - index)[:, None]
    before, start, end, after = (padded[index + k] for k in range(4))
    weights: Curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return weights

"""Draws a synthetic chest film: a parametric frontal or lateral chest with its findings.

    truth + view ─▶ shape (borders of lungs, heart, diaphragm) ─▶ attenuation ─▶ findings
                 ─▶ tilt, zoom, shift ─▶ exposure, grain ─▶ pixels and regions

Pixels are bone bright (MONOCHROME2). The patient's right is on the image's left; laterals face
left. Every number that has no source is our choice, made by looking at the result beside films.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sources.record import View
from sources.replicas.phantom_canvas import Canvas, Layer, stream
from sources.replicas.phantom_frontal import paint_frontal
from sources.replicas.phantom_lateral import paint_lateral
from sources.replicas.truth import ChestTruth, Side

FRONTAL_ASPECTS = (0.83, 1.0, 1.2)
"""Width over height: 2544x3056, square and 3056x2544 (source_formats 1 and 9)."""

LATERAL_ASPECT = 0.83


@dataclass(frozen=True)
class Region:
    """Where one finding is seen: ``finding`` indexes ``truth.findings``.

    ``mask`` is bool [H, W]; the box is its extent in px, the maxima exclusive.
    """

    finding: int
    name: str
    side: Side | None
    x_min: int
    y_min: int
    x_max: int
    y_max: int
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Drawing:
    """``pixels`` float32 [H, W] in 0..1; a bilateral finding has one region per side."""

    pixels: Layer
    regions: tuple[Region, ...]


def draw(truth: ChestTruth, view: View, side_px: int, aspect: float | None = None) -> Drawing:
    """The film of ``truth`` in that view.

    Args:
        side_px: short side in px.
        aspect: width over height; by default a common film size, chosen by the truth.
    """
    rng = stream(truth.seed, view.value, "film")
    chosen = FRONTAL_ASPECTS[int(rng.integers(3))] if view.is_frontal else LATERAL_ASPECT
    ratio = aspect or chosen
    width = side_px if ratio <= 1 else round(side_px * ratio)
    height = side_px if ratio >= 1 else round(side_px / ratio)
    canvas = Canvas(height, width)
    paint = paint_frontal if view.is_frontal else paint_lateral
    body = stream(truth.seed, view.value, "body")
    attenuation, masks = paint(canvas, truth, view, body)
    placement = _placement(canvas, rng, tilt_degrees=3.0 if view is View.AP else 1.5)
    attenuation = _warp(attenuation, placement)
    if view.is_frontal:
        _paint_marker(canvas, attenuation, rng)
    regions = tuple(
        region
        for index, side, mask in masks
        if (region := _region(truth, index, side, _warp(mask, placement))) is not None
    )
    return Drawing(_expose(canvas, attenuation, rng), regions)


def _placement(
    canvas: Canvas, rng: np.random.Generator, tilt_degrees: float
) -> NDArray[np.float64]:
    """Affine [2, 3] in px: how the person stands before the detector."""
    centre = (canvas.width / 2, canvas.height / 2)
    zoom = rng.uniform(0.90, 1.11)
    turned = cv2.getRotationMatrix2D(centre, rng.normal(0, tilt_degrees / 2), zoom)
    matrix: NDArray[np.float64] = np.array(turned, np.float64)
    matrix[:, 2] += rng.uniform(-0.035, 0.035, size=2) * canvas.unit
    return matrix


def _warp(layer: Layer, placement: NDArray[np.float64]) -> Layer:
    size = (layer.shape[1], layer.shape[0])
    moved = cv2.warpAffine(
        layer, placement, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.float32)


_LETTERS = {
    "L": [(0, -1), (0, 1), (1.1, 1)],
    "R": [(0, 1), (0, -1), (0.9, -0.9), (1.1, -0.4), (0.8, 0), (0, 0), (1.2, 1)],
}
"""Strokes of the lead letters, two units high."""


def _paint_marker(canvas: Canvas, attenuation: Layer, rng: np.random.Generator) -> None:
    """The technologist's lead letter on the patient's side, on two films of three."""
    letter = ("L", "R", "")[int(rng.integers(3))]
    x, y = rng.uniform(0.38, 0.44), rng.uniform(0.05, 0.28)
    if letter:
        corner = np.array([x if letter == "L" else -x, y])
        strokes = corner + 0.018 * np.asarray(_LETTERS[letter])
        lead = canvas.lines([strokes], [0.006], [1.0])
        attenuation += lead * np.clip(1.0 - attenuation, 0, None)


def _region(truth: ChestTruth, index: int, side: Side | None, mask: Layer) -> Region | None:
    """The region of a soft mask [H, W]; None where nothing of it lies on the film."""
    inside = mask > 0.4
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if rows.size < 2 or columns.size < 2:
        return None
    return Region(
        finding=index,
        name=truth.findings[index].name,
        side=side,
        x_min=int(columns[0]),
        y_min=int(rows[0]),
        x_max=int(columns[-1]) + 1,
        y_max=int(rows[-1]) + 1,
        mask=inside,
    )


def _expose(canvas: Canvas, attenuation: Layer, rng: np.random.Generator) -> Layer:
    """Display tone, quantum grain (stronger where less light arrives) and collimation."""
    gamma = rng.uniform(0.85, 1.2)
    low, high = rng.uniform(0.0, 0.06), rng.uniform(0.88, 1.0)
    grain = rng.standard_normal(attenuation.shape, dtype=np.float32)
    soft = cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.5, 0.9))
    noisy = attenuation + soft * np.float32(rng.uniform(0.012, 0.03))
    toned = np.clip(noisy, 0.0, 1.0) ** np.float32(gamma)
    pixels = np.asarray(low + (high - low) * toned, np.float32)
    margin = int(max(0.0, rng.normal(-0.01, 0.015)) * canvas.unit)
    if margin:
        pixels[:margin] = pixels[-margin:] = low
        pixels[:, :margin] = pixels[:, -margin:] = low
    return pixels

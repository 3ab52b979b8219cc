"""What a map over the image is worth against true boxes: energy inside, and the pointing game.

A map is float64 [R, C], row-major over the model's square crop, zero or more; boxes are in shares
of the crop's side. A map that says nothing (all zero) counts as the uniform one, never as a miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.statistics import Floats
from sources.crop import Rectangle

_Scalar = TypeVar("_Scalar", bound=np.generic)

POINTING_TOLERANCE: Final = 15 / 224
"""Of the crop's side: the maximum may lie this far outside of a box. 15 px of a 224 px image is
what the pointing game's authors allow (Zhang et al., Top-down neural attention by excitation
backprop)."""

_POINTING_PX: Final = 224
"""The side that maps are upsampled to, bilinearly, before their maximum is looked for: the size
that the tolerance was made for."""

CENTRE_SPREAD: Final = 0.25
"""Standard deviation of the centre prior in shares of the side. Our choice: the lungs lie within
two of them."""


def coverage(boxes: Sequence[Rectangle], rows: int, columns: int) -> Floats:
    """[R, C]: the share of each cell that lies in any of the boxes, exact; not to be written to."""
    return _coverage(tuple(boxes), rows, columns)


# A sentence has dozens of maps, ways of making them times sharpness, and one set of boxes.
@lru_cache(maxsize=16)
def _coverage(boxes: tuple[Rectangle, ...], rows: int, columns: int) -> Floats:
    x_edges = _edges(columns, [x for box in boxes for x in (box.x_min, box.x_max)])
    y_edges = _edges(rows, [y for box in boxes for y in (box.y_min, box.y_max)])
    x_middle, y_middle = (x_edges[1:] + x_edges[:-1]) / 2, (y_edges[1:] + y_edges[:-1]) / 2
    inside = np.zeros((len(y_middle), len(x_middle)), bool)
    for box in boxes:
        across = (x_middle > box.x_min) & (x_middle < box.x_max)
        down = (y_middle > box.y_min) & (y_middle < box.y_max)
        inside |= down[:, None] & across[None, :]
    areas = inside * np.diff(y_edges)[:, None] * np.diff(x_edges)[None, :]
    covered = np.zeros((rows, columns))
    row_of = np.minimum((y_middle * rows).astype(int), rows - 1)
    column_of = np.minimum((x_middle * columns).astype(int), columns - 1)
    np.add.at(covered, (row_of[:, None], column_of[None, :]), areas)
    return _frozen(covered * rows * columns)


def _frozen(values: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """The same array, which is shared and so no longer written to."""
    values.flags.writeable = False
    return values


def _edges(cells: int, values: Sequence[float]) -> Floats:
    inner = [min(max(value, 0.0), 1.0) for value in values]
    return np.unique(np.concatenate([np.linspace(0.0, 1.0, cells + 1), inner]))


def energy_inside(heat: Floats, boxes: Sequence[Rectangle]) -> float:
    """The share of the map's mass that lies in the boxes; each cell's mass is spread evenly."""
    covered = coverage(boxes, *heat.shape)
    total = float(heat.sum())
    return float((heat * covered).sum() / total) if total > 0 else float(covered.mean())


def points_inside(heat: Floats, boxes: Sequence[Rectangle]) -> float:
    """1 where the upsampled map's maximum lies in a box or within the tolerance, else 0.

    Of several equal maxima the share that hits; so a flat map gets what chance would.
    """
    wide = cv2.resize(
        heat.astype(np.float32), (_POINTING_PX, _POINTING_PX), interpolation=cv2.INTER_LINEAR
    )
    hits = _near(tuple(boxes))[wide >= wide.max()]
    return float(hits.mean())


@lru_cache(maxsize=16)
def _near(boxes: tuple[Rectangle, ...]) -> NDArray[np.bool_]:
    """[P, P]: pixels whose centre lies in a box grown by the tolerance."""
    centres = (np.arange(_POINTING_PX) + 0.5) / _POINTING_PX
    near = np.zeros((_POINTING_PX, _POINTING_PX), bool)
    for box in (box.grown(POINTING_TOLERANCE) for box in boxes):
        across = (centres >= box.x_min) & (centres <= box.x_max)
        down = (centres >= box.y_min) & (centres <= box.y_max)
        near |= down[:, None] & across[None, :]
    return _frozen(near)


def uniform_map() -> Floats:
    """The baseline that looks everywhere alike, [1, 1]."""
    return np.ones((1, 1))


def centre_map(cells: int = 56) -> Floats:
    """The baseline that always looks at the middle, [cells, cells]: a Gaussian hill."""
    place = (np.arange(cells) + 0.5) / cells - 0.5
    hill = np.exp(-0.5 * (place / CENTRE_SPREAD) ** 2)
    return np.asarray(hill[:, None] * hill[None, :], np.float64)


def sharpened(heat: Floats, power: float) -> Floats:
    """The map with its maximum at 1, to that power: the higher, the fewer cells it speaks of."""
    top = float(heat.max())
    return (heat / top) ** power if top > 0 else heat

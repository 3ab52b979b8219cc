"""Text that is burned into a film's pixels: where lines of it lie, by shapes alone.

Writing is many small shapes of one ink, sharp against what is around them, of like height, standing
on one line. A lead letter at the side (``L``, ``R``, ``PA``) is such a shape too, but alone or with
one or two others; so a line begins at ``FEWEST_SHAPES``. Nothing is read: a word that names no
person counts as well. Measured in docs/screen.md.

Shapes: a film is grey levels [height, width]; boxes are shares of its width and height.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from sources.pixels_grey import Grey

REVISION: Final = 1
"""Raised when what is found changes: artifacts of screened sources are then made anew."""
LOOKED_AT_PX: Final = 1024
"""Short side of the film that is searched: letters of 12 px on a film of 2048 px are 6 px here.
Our choice: twice as much finds smaller writing and takes four times as long."""
FEWEST_SHAPES: Final = 5
"""Letters in a line, from which it is writing. Our choice: side markers with a view or a position
have up to four ("R PA", "L AP"), names and numbers more."""
_HEIGHTS: Final = (6, 96)
"""Of a letter in px at LOOKED_AT_PX. Below, letters run into each other; above, one line fills a
tenth of the film, and anatomy is as large."""
_STROKE_PX: Final = 27
"""Widest stroke: that of bold letters of the largest height."""
_CONTRAST: Final = 40
"""Grey levels between ink and ground, at least."""
_SHARP: Final = 0.5
"""Share of the contrast that must lie within one px of a letter's edge (median along it): film
grain blurs anatomy, never writing."""
_EVEN: Final = 0.5
"""Spread of the ink (10th to 90th percentile of a letter's inside) as a share of its contrast."""
_FEWEST_APART: Final = 4
"""Of them, those that stand apart from each other."""
_MARGIN: Final = 0.35
"""By how much of a line's height its box is widened, so that masking leaves no remains."""

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Place:
    """Where a line of writing lies: from 0 to 1 of the width (x) and of the height (y)."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


@dataclass(frozen=True)
class _Shape:
    """Box of one connected shape in px."""

    x: int
    y: int
    width: int
    height: int

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def right(self) -> int:
        return self.x + self.width


def find_writing(grey: Grey) -> tuple[Place, ...]:
    """Lines of writing on a film, upright or turned by a quarter, bright or dark.

    Args:
        grey: uint8 [height, width], short side LOOKED_AT_PX.
    """
    found = list(_lines(grey))
    turned = np.ascontiguousarray(grey.T)
    found += [Place(one.y_min, one.x_min, one.y_max, one.x_max) for one in _lines(turned)]
    return tuple(found)


def hide(grey: Grey, places: Sequence[Place]) -> Grey:
    """The film with those places black; [height, width] of any size."""
    covered = grey.copy()
    height, width = grey.shape
    for one in places:
        rows = slice(int(one.y_min * height), int(np.ceil(one.y_max * height)))
        columns = slice(int(one.x_min * width), int(np.ceil(one.x_max * width)))
        covered[rows, columns] = 0
    return covered


def _lines(grey: Grey) -> Iterator[Place]:
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (_STROKE_PX, _STROKE_PX))
    for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        strokes = np.asarray(cv2.morphologyEx(grey, operation, kernel), np.uint8)
        shapes = list(_letters(grey, strokes))
        for line in _on_one_line(shapes):
            yield _box(line, grey.shape)


def _letters(grey: Grey, strokes: Mask) -> Iterator[_Shape]:
    """Shapes that may be letters; ``strokes`` (H, W) is by how much a pixel stands out."""
    ink = (strokes > _CONTRAST).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    low, high = _HEIGHTS
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        if not low <= height <= high or width > 6 * height or area < 0.08 * width * height:
            continue
        window = np.s_[max(0, y - 2) : y + height + 2, max(0, x - 2) : x + width + 2]
        if _is_printed(grey[window], strokes[window], labels[window] == label):
            yield _Shape(x, y, width, height)


def _is_printed(grey: Grey, strokes: Mask, own: npt.NDArray[np.bool_]) -> bool:
    """Whether a shape is of even ink and sharp; all (h, w) around it."""
    mask = own.astype(np.uint8)
    contrast = float(np.percentile(strokes[own], 90))
    outline = (cv2.dilate(mask, None) - mask).astype(bool)  # type: ignore[call-overload]
    step = np.asarray(cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)))
    sharp = float(np.median(step[outline])) if outline.any() else 0.0
    core = own & (strokes > 0.5 * contrast)
    low, high = np.percentile(grey[core], (10, 90))
    return sharp >= _SHARP * contrast and float(high - low) <= max(_EVEN * contrast, 12.0)


def _on_one_line(shapes: Sequence[_Shape]) -> Iterator[list[_Shape]]:
    """Rows of shapes of like height that stand beside each other on one line."""
    left = sorted(shapes, key=lambda each: each.x)
    taken: set[int] = set()
    for start, first in enumerate(left):
        if start in taken:
            continue
        line = [first]
        for place in range(start + 1, len(left)):
            if place not in taken and _goes_on(line, left[place]):
                line.append(left[place])
                taken.add(place)
        if len(line) >= _FEWEST_APART and _letters_in(line) >= FEWEST_SHAPES and _is_even(line):
            yield line


def _letters_in(line: Sequence[_Shape]) -> int:
    """How many letters: of some fonts several run together in one shape."""
    return sum(max(1, round(each.width / each.height)) for each in line)


def _goes_on(line: Sequence[_Shape], other: _Shape) -> bool:
    last = max(line, key=lambda each: each.right)
    tall = max(each.height for each in line)
    likeness = other.height / tall
    gap = other.x - last.right
    overlap = min(last.bottom, other.bottom) - max(last.y, other.y)
    return (
        0.5 <= likeness <= 2.0
        and gap <= 1.1 * max(tall, other.height)
        and overlap >= 0.4 * min(last.height, other.height)
    )


def _is_even(line: Sequence[_Shape]) -> bool:
    """Most letters end on one base line and have one of two heights."""
    tall = float(np.percentile([each.height for each in line], 75))
    bottoms = np.array([each.bottom for each in line], dtype=np.float64)
    on_line = np.abs(bottoms - np.median(bottoms)) <= max(1.5, 0.12 * tall)
    heights = np.array([each.height for each in line], dtype=np.float64)
    alike = np.abs(heights - np.median(heights)) <= max(1.5, 0.18 * tall)
    return bool(on_line.mean() >= 0.7 and alike.mean() >= 0.5)


def _box(line: Sequence[_Shape], shape: tuple[Any, ...]) -> Place:
    height, width = int(shape[0]), int(shape[1])
    margin = _MARGIN * max(each.height for each in line)
    return Place(
        max(0.0, (min(each.x for each in line) - margin) / width),
        max(0.0, (min(each.y for each in line) - margin) / height),
        min(1.0, (max(each.right for each in line) + margin) / width),
        min(1.0, (max(each.bottom for each in line) + margin) / height),
    )

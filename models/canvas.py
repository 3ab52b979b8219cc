"""What of an example's films the vision tower is shown: one square picture, or several.

Shapes: n films of a study, m pictures shown, P side of a picture in px; all uint8, grey.

    first                 the first film alone
    stitch                left to right, tops level, as they are stored, a gutter between (RRG24)
    stitch-equal-height   the same, all scaled to the tallest's height
    grid                  two by two, each fitted into a square cell
    separate              each film a picture of its own
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any, Literal

import numpy as np
import simplejpeg
from PIL import Image

from infra.settings.stages import Fit, ImageLayout, VisionSettings
from models.shards import Pixels, centre_crop, to_model_size

Blacked = Literal["none", "first", "others"]
_JPEG = b"\xff\xd8"
MOST_FILMS = 4
"""Films of one study that a person may show a model at once (our choice; MIMIC-CXR's studies have
two at the median, and hardly any more than four)."""
BLACK = 0
"""What films are padded and parted with. The code behind RRG24's system pads with black in training
and with CLIP's mean in inference; here it is black in both."""


@dataclass(frozen=True)
class Canvas:
    """How films become pictures.

    Args:
        side_px: P.
        fit: how a picture becomes square: ``crop`` takes the middle, ``pad`` adds black to its
            short side, ``stretch`` keeps no proportions.
        gutter_px: between stitched films, in px of the stored films.
        room_for: a strip of fewer films is widened with black as if so many of the first one's
            width stood in it, so that a film alone is as large as one of a strip.
        blacked: which of several films are black in their places, to see which of them are read.
    """

    side_px: int
    fit: Fit = "crop"
    layout: ImageLayout = "first"
    gutter_px: int = 10
    room_for: int = 1
    blacked: Blacked = "none"

    @classmethod
    def of(cls, vision: VisionSettings) -> Canvas:
        """The recipe's."""
        return cls(vision.image_px, vision.fit, vision.layout, vision.gutter_px, vision.room_for)

    @property
    def most_films(self) -> int:
        """Films that a person may show at once; what is shown the first alone takes no second."""
        return 1 if self.layout == "first" else MOST_FILMS

    def pictures(self, stored: Sequence[memoryview]) -> Pixels:
        """Encoded films, n at least 1 → [m, P, P]; m is n where they are separate, else 1.

        Several kept apart are all fitted alike; a gutter is as wide on the canvas.
        """
        assert stored, "an example without a film has no picture"
        shown = stored[:1] if self.layout == "first" else stored
        films = [self._film(place, film) for place, film in enumerate(shown)]
        if self.layout == "separate":
            return np.stack([self._square_of(film) for film in films])
        if len(films) == 1 and self.room_for == 1:
            return self._square_of(films[0])[None]
        return self._fitted(_laid_out(films, self))[None]

    def _film(self, place: int, stored: memoryview) -> Pixels:
        grey = _grey(stored)
        is_blacked = self.blacked == ("first" if place == 0 else "others")
        return np.full_like(grey, BLACK) if is_blacked else grey

    def _square_of(self, grey: Pixels) -> Pixels:
        if self.fit == "crop" and min(grey.shape) == self.side_px:
            return centre_crop(grey, self.side_px)
        return self._fitted(grey)

    def _fitted(self, grey: Pixels) -> Pixels:
        return fitted(grey, self.side_px, self.fit)


def canvas_of(config: Any) -> Canvas:
    """The canvas of a saved model; one that tells none is shown the middle of the first film."""
    return Canvas(int(config.vision_config.image_size), **getattr(config, "canvas", {}))


def write_canvas(config: Any, vision: VisionSettings) -> None:
    """Let a model's configuration tell how it is shown films."""
    config.canvas = {
        "fit": vision.fit,
        "layout": vision.layout,
        "gutter_px": vision.gutter_px,
        **({"room_for": vision.room_for} if vision.room_for > 1 else {}),
    }


def fitted(grey: Pixels, side_px: int, fit: Fit) -> Pixels:
    """Any grey image → [P, P], resized bicubic."""
    if fit == "crop":
        return to_model_size(Image.fromarray(grey), side_px)
    if fit == "pad":
        grey = _padded(grey)
    resized = Image.fromarray(grey).resize((side_px, side_px), Image.Resampling.BICUBIC)
    return np.asarray(resized).copy()


def _padded(grey: Pixels) -> Pixels:
    """In the middle of a black square as long as its long side, as LLaVA pads."""
    height, width = grey.shape
    side = max(height, width)
    square = np.full((side, side), BLACK, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = grey
    return square


def _laid_out(films: Sequence[Pixels], canvas: Canvas) -> Pixels:
    if canvas.layout == "grid":
        return _grid(films, canvas)
    if canvas.layout == "stitch-equal-height":
        tallest = max(len(film) for film in films)
        films = [_of_height(film, tallest) for film in films]
    return stitched(films, canvas.gutter_px, canvas.room_for)


def stitched(films: Sequence[Pixels], gutter_px: int, room_for: int = 1) -> Pixels:
    """Left to right with their tops level: as high as the tallest, as wide as all and the gutters.

    No film is resized beside another (all were stored with one short side before); below a lower
    film is black, and so is what is added at the right end: room for so many films as there are
    fewer.
    """
    missing = max(0, room_for - len(films))
    width = sum(film.shape[1] for film in films) + gutter_px * (len(films) - 1)
    width += missing * (films[0].shape[1] + gutter_px)
    strip = np.full((max(len(film) for film in films), width), BLACK, np.uint8)
    left = 0
    for film in films:
        strip[: len(film), left : left + film.shape[1]] = film
        left += film.shape[1] + gutter_px
    return strip


def _of_height(film: Pixels, height: int) -> Pixels:
    width = max(1, round(film.shape[1] * height / len(film)))
    return np.asarray(Image.fromarray(film).resize((width, height), Image.Resampling.BICUBIC))


def _grid(films: Sequence[Pixels], canvas: Canvas) -> Pixels:
    """Square cells, as many columns as rows or one more; free cells are black."""
    columns = ceil(sqrt(len(films)))
    rows = ceil(len(films) / columns)
    cell = max(max(film.shape) for film in films)
    step = cell + canvas.gutter_px
    size = rows * step - canvas.gutter_px, columns * step - canvas.gutter_px
    grid = np.full(size, BLACK, np.uint8)
    for number, film in enumerate(films):
        top, left = number // columns * step, number % columns * step
        grid[top : top + cell, left : left + cell] = fitted(film, cell, canvas.fit)
    return grid


def _grey(picture: memoryview) -> Pixels:
    """A stored grey JPEG or PNG."""
    if picture[:2] == _JPEG:
        grey: Pixels = simplejpeg.decode_jpeg(picture, colorspace="GRAY")[:, :, 0]
        return grey
    return np.asarray(Image.open(io.BytesIO(picture)).convert("L"))

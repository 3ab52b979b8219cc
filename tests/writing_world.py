"""Replica films with writing planted into their pixels, in fonts that come with matplotlib."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, Literal

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sources.burned_in import LOOKED_AT_PX
from sources.pixels_grey import Grey
from sources.replicas.phantom import draw
from sources.replicas.truth import ReplicaSpec, draw_cohort

FONTS: Final = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "STIXGeneral",
                "cmr10")  # fmt: skip
WORDS: Final = ("DOE^JANE 19541203", "MRN 00483920", "Hospital Central", "12/03/2021 14:05",
                "Maria Souza", "ID:A123")  # fmt: skip
MARKERS: Final = ("L", "R", "PA", "R PA", "L AP", "LT")
CORNERS: Final = ((12, 12), (560, 12), (20, 950), (500, 930))
Ink = Literal["white", "grey", "dark"]


@cache
def plain_films(count: int) -> tuple[Grey, ...]:
    """Films as replicas draw them, most with a lead letter; uint8, short side LOOKED_AT_PX.

    They are drawn at a third of the size, for time's sake, and given grain at the full one.
    """
    truths = draw_cohort(ReplicaSpec(count, 5, _DRAWN_PX), "manifest", studies_per_subject=1.5)
    pairs = [(truth, view) for truth in truths for view in truth.views][:count]
    return tuple(_enlarged(draw(*pair, _DRAWN_PX).pixels, n) for n, pair in enumerate(pairs))


_DRAWN_PX: Final = 320


def _enlarged(unit: NDArray[np.float32], number: int) -> Grey:
    scale = LOOKED_AT_PX / min(unit.shape)
    large = cv2.resize(unit, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(number).normal(0, 4, large.shape)
    return np.asarray(np.clip(large * 255 + grain, 0, 255).astype(np.uint8))


def written_on(film: Grey, words: str, font: str, size_px: int, place: tuple[int, int],
               ink: Ink = "white") -> Grey:  # fmt: skip
    """The film with words on it; ``size_px`` is the font's, whose capitals are 0.7 as high."""
    x, y = place
    image = Image.fromarray(film)
    ground = float(film[y : y + size_px, x : x + 10 * size_px].mean())
    level = {"white": 255, "grey": int(min(255, ground + 70)), "dark": 0}[ink]
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    letters = ImageFont.truetype(str(file), size_px)
    ImageDraw.Draw(image).text((x, y), words, font=letters, fill=level)
    return np.asarray(image)


def planted(film: Grey, number: int, size_px: int, ink: Ink = "white") -> Grey:
    """Words, font and corner in turn."""
    return written_on(
        film,
        WORDS[number % len(WORDS)],
        FONTS[number % len(FONTS)],
        size_px,
        CORNERS[number % len(CORNERS)],
        ink,
    )

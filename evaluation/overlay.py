"""A heat map over the film that the model saw, with the true boxes and the sentence, as PNG.

Colours are cividis, made to look alike to all kinds of colour vision; the film stays grey, and
boxes are white on black, so that nothing hangs on a hue. Shapes: P film side in px, R x C cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Final

import cv2
import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from evaluation.statistics import Floats
from sources.crop import Crop, Rectangle

SIDE_PX: Final = 336
"""Of the film in an overlay. Our choice: two stand side by side on a page."""
STRONGEST: Final = 0.7
"""Opacity of the map's maximum; the film is seen through it."""
_CAPTION_PX: Final = 44
_LETTERS: Final = 46
"""Letters in a caption's line; a third line is cut."""


def seen_film(pixels: bytes, side_px: int = SIDE_PX) -> NDArray[np.uint8]:
    """The centre crop of a stored picture, grey [P, P], as the model takes it, at that size."""
    with Image.open(BytesIO(pixels)) as picture:
        grey = picture.convert("L")
    crop = Crop.of(grey.size, grey.size, side_px)
    size = (round(grey.width * crop.scale_x), round(grey.height * crop.scale_y))
    resized = grey.resize(size, Image.Resampling.BICUBIC)
    box = (crop.left, crop.top, crop.left + side_px, crop.top + side_px)
    return np.asarray(resized.crop(box), np.uint8)


def draw_overlay(
    film: NDArray[np.uint8], heat: Floats, boxes: Sequence[Rectangle], caption: str
) -> bytes:
    """PNG of the film [P, P] under the map [R, C], with boxes outlined and the caption below."""
    side = film.shape[0]
    picture = Image.new("RGB", (side, side + _CAPTION_PX), (24, 27, 31))
    picture.paste(Image.fromarray(_blend(film, heat)), (0, 0))
    pen = ImageDraw.Draw(picture)
    for box in boxes:
        corners = [side * value for value in (box.x_min, box.y_min, box.x_max, box.y_max)]
        low = corners[:2]
        high = [max(end, start + 1) for start, end in zip(low, corners[2:], strict=True)]
        pen.rectangle([*low, *high], outline=(0, 0, 0), width=4)
        pen.rectangle([*low, *high], outline=(255, 255, 255), width=2)
    font = ImageFont.load_default(size=13)
    pen.multiline_text((8, side + 6), wrapped(caption), fill=(233, 231, 226), font=font, spacing=3)
    with BytesIO() as sink:
        picture.save(sink, "PNG", optimize=True)
        return sink.getvalue()


def _blend(film: NDArray[np.uint8], heat: Floats) -> NDArray[np.uint8]:
    """RGB [P, P, 3]; cells keep their borders, so that no detail is shown that the map lacks."""
    side = film.shape[0]
    top = float(heat.max())
    share = (heat / top if top > 0 else heat).astype(np.float32)
    wide = cv2.resize(share, (side, side), interpolation=cv2.INTER_NEAREST)
    colours = colormaps["cividis"](wide)[..., :3]
    opacity = (STRONGEST * wide)[..., None]
    grey = np.repeat(film[..., None], 3, axis=2) / 255.0
    return np.asarray(np.rint(255 * (opacity * colours + (1 - opacity) * grey)), np.uint8)


def wrapped(caption: str) -> str:
    """At most two lines; what is longer ends in an ellipsis."""
    lines: list[str] = [""]
    for word in caption.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= _LETTERS or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines[:2]) + (" …" if len(lines) > 2 else "")

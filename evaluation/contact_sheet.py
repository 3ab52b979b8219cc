"""Real, drawn and untrained films of the same prompts side by side, as one picture.

Each row is a prompt: the findings that it asks for stand below its three films. No report text is
on it. Shapes: P side of a film in px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from evaluation.overlay import seen_film

SIDE_PX: Final = 192
"""Of a film on the sheet. Our choice: three stand side by side on a page."""
TITLES: Final = ("real", "drawn", "untrained model")
_GAP_PX: Final = 6
_LINE_PX: Final = 22
_LETTERS: Final = 88
"""Of a caption; what is longer is cut."""


@dataclass(frozen=True)
class SheetRow:
    """One prompt with its three films as stored, and what it asks for.

    Args:
        asked: the findings that its text asserts, with their sides; empty of a normal chest.
        read: what the classifier says of the drawn film, by finding that is asked for.
    """

    source: str
    study_id: str
    is_replica: bool
    asked: tuple[str, ...]
    read: dict[str, float]
    real: bytes
    drawn: bytes
    untrained: bytes

    @property
    def caption(self) -> str:
        """What is asked for, in a line."""
        return ", ".join(self.asked) or "no finding"

    @property
    def films(self) -> tuple[bytes, bytes, bytes]:
        """In the order of TITLES."""
        return self.real, self.drawn, self.untrained


def film_png(stored: bytes, side_px: int = SIDE_PX) -> bytes:
    """A film as a square PNG of that side."""
    with BytesIO() as sink:
        Image.fromarray(seen_film(stored, side_px)).save(sink, "PNG")
        return sink.getvalue()


def draw_sheet(rows: Sequence[SheetRow]) -> bytes:
    """PNG of all rows below their titles."""
    width = len(TITLES) * (SIDE_PX + _GAP_PX) + _GAP_PX
    step = SIDE_PX + _LINE_PX + _GAP_PX
    picture = Image.new("L", (width, _LINE_PX + step * len(rows) + _GAP_PX), 24)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=13)
    for place, title in enumerate(TITLES):
        pen.text((_left(place), 4), title, fill=230, font=font)
    for number, row in enumerate(rows):
        top = _LINE_PX + step * number
        for place, stored in enumerate(row.films):
            film = Image.fromarray(seen_film(stored, SIDE_PX))
            picture.paste(film, (_left(place), top))
        pen.text((_GAP_PX, top + SIDE_PX + 3), row.caption[:_LETTERS], fill=230, font=font)
    with BytesIO() as sink:
        picture.save(sink, "PNG", optimize=True)
        return sink.getvalue()


def _left(place: int) -> int:
    return _GAP_PX + place * (SIDE_PX + _GAP_PX)

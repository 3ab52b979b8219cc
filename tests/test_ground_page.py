"""The overlays of the grounding page: each shows the film that its map was made of."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from evaluation.grounding_choice import Grounded
from evaluation.overlay import draw_overlay, seen_film
from sources.crop import Rectangle
from sources.heat_map import ShownFilm, map_rows
from tasks.ground.page import _film, _shown
from tasks.ground.texts import Texts

BOX = Rectangle(0.1, 0.1, 0.4, 0.4)
HEAT = np.full((1, 4, 4), 0.5, np.float32)
WORDS = "There is a left pleural effusion."


def film(grey: int) -> bytes:
    with BytesIO() as sink:
        Image.new("L", (64, 64), grey).save(sink, "PNG")
        return sink.getvalue()


def row(example_id: str, source: str, study_id: str, grey: int) -> dict[str, Any]:
    return {
        "example_id": example_id,
        "source": source,
        "study_id": study_id,
        "images": [{"pixels": film(grey)}],
    }


ROWS = [
    row("own", "mimic_cxr", "s1", 40),
    row("other source", "brax", "s2", 80),
    row("other PA", "mimic_cxr", "s2", 120),
    row("other AP", "mimic_cxr", "s2", 200),
]
"""One study number in two sources, and in one of them with two films."""


def test_the_overlay_shows_the_film_that_the_map_was_made_of() -> None:
    sentence = Grounded(
        "own", 0, "reference", "mimic_cxr", "s1", "p1", WORDS, ("effusion",), (BOX,), True
    )
    films = {
        "none": ShownFilm("mimic_cxr", "s1", "own"),
        "shuffled": ShownFilm("mimic_cxr", "s2", "other AP"),
    }
    maps = {
        ("own", 0, control): map_rows("own", control, shown, [("occlusion", HEAT)]).to_pylist()[0]
        for control, shown in films.items()
    }
    shown = _shown(Texts(rows=ROWS), sentence, maps, 1.0, frozenset())
    heat = np.ones((4, 4))
    assert shown.own_png == draw_overlay(seen_film(film(40)), heat, [BOX], WORDS)
    assert shown.other_png == draw_overlay(seen_film(film(200)), heat, [BOX], WORDS)


def test_a_blank_film_has_no_overlay() -> None:
    assert _film(ROWS, None) is None
    assert _film(ROWS, "other PA") == film(120)

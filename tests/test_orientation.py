"""Films on their side are told from upright ones, on phantoms whole and edited."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sources.orientation import lies_on_its_side, side_likeness
from sources.pixels_grey import Grey
from sources.record import View
from sources.replicas.phantom import draw
from sources.replicas.truth import draw_truth


@pytest.fixture(scope="module")
def films() -> dict[View, list[Grey]]:
    rng = np.random.default_rng(11)
    views = (View.PA, View.AP, View.LATERAL)
    truths = [draw_truth(rng, views=views) for _ in range(60)]
    return {
        view: [(255 * draw(truth, view, 112).pixels).astype(np.uint8) for truth in truths]
        for view in views
    }


def turned(film: Grey, how: int) -> Grey:
    return np.ascontiguousarray(cv2.rotate(film, how)).astype(np.uint8)


def test_upright_films_are_left_alone(films: dict[View, list[Grey]]) -> None:
    for view, some in films.items():
        assert sum(map(lies_on_its_side, some)) <= 1, view


@pytest.mark.parametrize("how", [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE])
def test_frontal_films_on_their_side_are_told(films: dict[View, list[Grey]], how: int) -> None:
    for view in (View.PA, View.AP):
        assert sum(lies_on_its_side(turned(film, how)) for film in films[view]) >= 57


def test_windowing_does_not_matter(films: dict[View, list[Grey]]) -> None:
    for film in films[View.PA][:10]:
        bright = (255 * (film / 255.0) ** 0.5).astype(np.uint8)
        assert side_likeness(bright) == pytest.approx(side_likeness(film), abs=0.05)


def test_a_film_without_contrast_does_not_lie() -> None:
    assert not lies_on_its_side(np.full((40, 30), 7, np.uint8))

"""Writing in a film's pixels: found in many sizes and fonts, and lead letters are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infra.settings.sections import ImageSettings
from sources.burned_in import LOOKED_AT_PX, Place, find_writing, hide
from sources.pixels import read_grey
from tests.writing_world import (
    CORNERS,
    FONTS,
    MARKERS,
    Ink,
    plain_films,
    planted,
    written_on,
)

FILMS = 8


@pytest.mark.parametrize(
    ("size_px", "ink", "least"),
    [(11, "white", 0.6), (16, "white", 0.85), (28, "white", 0.85), (20, "grey", 0.8)],
)
def test_planted_writing_is_found(size_px: int, ink: Ink, least: float) -> None:
    """docs/screen.md states the figures of more sizes."""
    films = plain_films(FILMS)
    hits = [bool(find_writing(planted(film, n, size_px, ink))) for n, film in enumerate(films)]
    assert sum(hits) / len(hits) >= least


def test_plain_films_and_their_lead_letters_pass() -> None:
    assert [find_writing(film) for film in plain_films(FILMS)] == [()] * FILMS


@pytest.mark.parametrize("marker", MARKERS)
def test_side_markers_are_no_writing(marker: str) -> None:
    film = plain_films(FILMS)[0]
    for font in FONTS[:2]:
        for size in (24, 60):
            assert find_writing(written_on(film, marker, font, size, CORNERS[0])) == ()


def test_writing_that_is_turned_is_found_where_it_stands() -> None:
    film = written_on(plain_films(FILMS)[1], "WHITCOMBE JANE", FONTS[0], 24, (60, 40))
    upright = find_writing(film)
    assert min(one.x_min for one in upright) * film.shape[1] < 62
    assert min(one.y_min for one in upright) * film.shape[0] < 48
    assert max(one.x_max for one in upright) * film.shape[1] > 230
    assert max(one.y_max for one in upright) * film.shape[0] < 90
    turned = find_writing(np.ascontiguousarray(np.rot90(film)))
    assert turned
    assert all(one.y_max - one.y_min > one.x_max - one.x_min for one in turned)


def test_hiding_covers_all_of_it_and_nothing_else() -> None:
    plain = plain_films(FILMS)[2]
    film = written_on(plain, "WHITCOMBE JANE", FONTS[1], 30, (300, 30))
    places = find_writing(film)
    covered = hide(film, places)
    assert find_writing(covered) == ()
    letters = film != plain
    assert letters.sum() > 500
    assert (covered[letters] == 0).mean() > 0.98
    changed = covered != plain
    assert changed.mean() < 0.05


def test_hiding_fits_any_size_and_leaves_the_film_given() -> None:
    film = np.full((10, 20), 200, np.uint8)
    covered = hide(film, [Place(0.5, 0.0, 1.0, 0.5)])
    assert (film == 200).all()
    assert (covered[:5, 10:] == 0).all()
    assert (covered == 0).sum() == 50
    assert (hide(film, []) == film).all()


@pytest.mark.parametrize(
    "film",
    [
        np.zeros((64, 64), np.uint8),
        np.full((64, 80), 255, np.uint8),
        np.random.default_rng(0).integers(0, 255, (300, 300), dtype=np.uint8),
        np.tile(np.array([[0, 255]], np.uint8), (100, 50)),
    ],
)
def test_what_shows_nothing_has_no_writing(film: np.ndarray) -> None:
    assert find_writing(film) == ()


SETTINGS = ImageSettings(short_side_px=LOOKED_AT_PX, resample="area")
WORDS_ON_THEM = {"00000211_013", "00000506_015", "00000797_000", "00001504_011", "00001543_000",
                 "00002380_002", "00002673_004", "00003005_002", "00004832_030", "00016727_000",
                 "00019367_000", "00022425_000", "00026041_000", "00027689_000", "00027761_000",
                 }  # fmt: skip
"""Of the NIH films at hand those that say PORTABLE, by looking at them."""


@pytest.mark.public_data
@pytest.mark.slow
def test_real_films_are_flagged_where_somebody_wrote_on_them(public_data: Path) -> None:
    """Ninety-six NIH films, most with markers, wires and tubes."""
    flagged = {
        path.stem
        for path in sorted((public_data / "nih_cxr14" / "images").glob("*.png"))
        if find_writing(read_grey(path.read_bytes(), SETTINGS).grey)
    }
    assert flagged <= WORDS_ON_THEM
    assert len(flagged) >= 14

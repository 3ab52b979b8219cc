"""What of several films a model is shown: layouts and fits, to the pixel."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
from models_world import MODELS

from models.canvas import Canvas, canvas_of, fitted, stitched, write_canvas
from models.controls import BLANK_GREY
from models.data import Sample
from models.generate import _without_films
from models.processor import image_processor
from models.shards import Pixels


def film(height: int, width: int, grey: int) -> Pixels:
    return np.full((height, width), grey, np.uint8)


def stored(*films: Pixels) -> list[memoryview]:
    found = []
    for each in films:
        with io.BytesIO() as sink:
            PIL.Image.fromarray(each).save(sink, "PNG")
            found.append(memoryview(sink.getvalue()))
    return found


def test_stitched_films_stand_level_at_the_top_with_black_gutters() -> None:
    """The authors' rules: widths and 10 px between, the tallest's height, nothing at the end."""
    strip = stitched([film(30, 20, 100), film(50, 40, 200), film(10, 10, 50)], gutter_px=10)
    assert strip.shape == (50, 20 + 10 + 40 + 10 + 10)
    assert set(strip[:30, :20].ravel()) == {100}
    assert set(strip[30:, :20].ravel()) == {0}, "below a lower film is black"
    assert set(strip[:, 20:30].ravel()) == {0}, "the gutter"
    assert set(strip[:, 30:70].ravel()) == {200}
    assert set(strip[:10, 80:].ravel()) == {50}


def test_room_that_is_there_adds_nothing_and_room_that_is_not_adds_black() -> None:
    one = film(20, 30, 100)
    assert stitched([one], 10, room_for=3).shape == (20, 30 + 2 * (10 + 30))
    assert not stitched([one], 10, room_for=3)[:, 30:].any()
    assert np.array_equal(stitched([one, one], 10, room_for=2), stitched([one, one], 10))


def test_one_film_stitched_is_the_film_itself() -> None:
    one = np.arange(600, dtype=np.uint8).reshape(20, 30)
    assert np.array_equal(stitched([one], 10), one)


@pytest.mark.parametrize("layout", ["first", "stitch", "stitch-equal-height", "grid", "separate"])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_one_film_looks_the_same_in_every_layout(layout: str, fit: str) -> None:
    rng = np.random.default_rng(0)
    one = stored(rng.integers(0, 256, (40, 60)).astype(np.uint8))
    found = Canvas(28, fit, layout).pictures(one)  # type: ignore[arg-type]
    assert found.shape == (1, 28, 28)
    assert np.array_equal(found, Canvas(28, fit).pictures(one))  # type: ignore[arg-type]


def test_room_shows_one_film_as_large_as_one_of_a_strip_and_in_its_place() -> None:
    """To the pixel what the strip shows where all films but the first are black."""
    films = stored(film(40, 40, 200), film(40, 40, 100))
    for layout in ("first", "stitch"):
        roomy = Canvas(90, "pad", layout, room_for=2)  # type: ignore[arg-type]
        alone = roomy.pictures(films[:1])
        strip = Canvas(90, "pad", "stitch", blacked="others").pictures(films)
        assert np.array_equal(alone, strip)
        assert (alone == 200).sum() == 40 * 40
    whole = Canvas(90, "pad", "first").pictures(films)
    assert (whole == 200).sum() == 90 * 90, "without room it fills the square"
    both = Canvas(90, "pad", "stitch", room_for=2).pictures(films)
    assert np.array_equal(both, Canvas(90, "pad", "stitch").pictures(films))


@pytest.mark.parametrize("layout", ["stitch", "stitch-equal-height", "grid", "separate"])
def test_films_that_are_blacked_leave_the_others_where_they_are(layout: str) -> None:
    films = stored(film(40, 40, 200), film(40, 40, 100), film(40, 40, 50))
    whole, first, others = (
        Canvas(134, "pad", layout, blacked=which).pictures(films)  # type: ignore[arg-type]
        for which in ("none", "first", "others")
    )
    assert whole.shape == first.shape == others.shape
    assert np.array_equal(first.astype(int) + others, whole)
    assert others.max() > first.max() > 0


def test_padding_keeps_all_of_a_wide_strip_and_cropping_does_not() -> None:
    """Why a stitched strip is padded: the crop's middle holds neither outer film."""
    films = stored(film(40, 40, 200), film(40, 40, 100), film(40, 40, 250))
    padded = Canvas(28, "pad", "stitch", gutter_px=0).pictures(films)[0]
    assert {100, 200, 250} <= set(padded.ravel().tolist())
    assert padded[0].max() == 0, "black above"
    cropped = Canvas(28, "crop", "stitch", gutter_px=0).pictures(films)[0]
    assert abs(cropped.astype(int) - 100).max() < 10, "but for ringing at the borders"


def test_pad_is_what_llavas_own_processor_does_but_for_its_colour() -> None:
    rng = np.random.default_rng(1)
    grey = rng.integers(0, 256, (30, 41)).astype(np.uint8)
    ours = fitted(grey, 28, "pad")
    theirs = image_processor(28, "pad")(
        PIL.Image.fromarray(grey).convert("RGB"), do_rescale=False, do_normalize=False,
        return_tensors="np",
    )["pixel_values"][0, 0]  # fmt: skip
    inside = slice(6, 21)  # rows that no padding reaches
    assert np.array_equal(ours[inside], theirs[inside])
    assert ours[0, 0] == 0
    assert theirs[0, 0] > 0


def test_stretch_is_clips_processor_without_its_crop() -> None:
    rng = np.random.default_rng(2)
    grey = rng.integers(0, 256, (30, 41)).astype(np.uint8)
    theirs = image_processor(28, "stretch")(
        PIL.Image.fromarray(grey).convert("RGB"), do_rescale=False, do_normalize=False,
        return_tensors="np",
    )["pixel_values"][0, 0]  # fmt: skip
    assert np.array_equal(fitted(grey, 28, "stretch"), theirs)


def test_equal_height_scales_every_film_to_the_tallest() -> None:
    low, tall = film(20, 30, 90), film(40, 10, 180)
    canvas = Canvas(70, "pad", "stitch-equal-height", gutter_px=0)
    found = canvas.pictures(stored(low, tall))[0]
    assert (found[15:55, 0:60] == 90).all(), "30 wide at a height of 20 is 60 at 40"
    assert (found[15:55, 60:70] == 180).all()


@pytest.mark.parametrize(("films", "filled"), [(2, 2), (3, 3), (4, 4), (5, 5)])
def test_a_grid_holds_each_film_in_a_cell_of_its_own(films: int, filled: int) -> None:
    greys = [50 + 40 * number for number in range(films)]
    pictures = stored(*(film(20, 20, grey) for grey in greys))
    found = Canvas(60, "stretch", "grid", gutter_px=0).pictures(pictures)[0]
    assert [grey for grey in greys if (found == grey).sum() > 200] == greys
    assert len(greys) == filled


def test_separate_films_are_as_many_pictures_in_their_order() -> None:
    found = Canvas(28, "pad", "separate").pictures(stored(film(28, 28, 1), film(56, 28, 2)))
    assert found.shape == (2, 28, 28)
    assert (found[0] == 1).all()
    assert found[1, :, 14].max() == 2


def test_a_saved_model_tells_how_it_is_shown_films(tmp_path: Path) -> None:
    vision = MODELS.vision.model_copy(update={"fit": "pad", "layout": "stitch", "gutter_px": 4})
    config = SimpleNamespace(vision_config=SimpleNamespace(image_size=vision.image_px))
    assert canvas_of(config) == Canvas(vision.image_px), "a published one tells nothing"
    write_canvas(config, vision)
    assert canvas_of(config) == Canvas.of(vision) == Canvas(vision.image_px, "pad", "stitch", 4)


@pytest.mark.parametrize("layout", ["stitch", "grid"])
def test_a_blank_picture_tells_nothing_of_the_films_that_it_stands_for(layout: str) -> None:
    """No gutter and no black beside it: these would tell how many films there are."""
    canvas = Canvas(64, "pad", layout, gutter_px=4, room_for=2)  # type: ignore[arg-type]
    one, three = ((film(30, 20, 90),) * count for count in (1, 3))
    told = Sample("e", "openi", "s", None, "test", "PA", None, None, (), "Clear lungs.")
    blank = [
        _without_films(replace(told, pixels=canvas.pictures(stored(*films)))).pixels
        for films in (one, three)
    ]
    assert np.array_equal(blank[0], blank[1])
    assert set(blank[0].ravel()) == {BLANK_GREY}

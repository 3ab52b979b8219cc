"""Where a box of the published film lies on what the model sees: arithmetic, and real pixels."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from infra.settings.sections import ImageSettings
from models.shards import to_model_size
from sources.crop import Crop, Rectangle, share_seen
from sources.pixels import prepare

SIDES = st.integers(40, 4000)


def png(pixels: np.ndarray) -> bytes:
    with BytesIO() as sink:
        Image.fromarray(pixels).save(sink, "PNG")
        return sink.getvalue()


@given(width=SIDES, height=SIDES, side=st.integers(16, 600))
def test_the_crop_is_a_square_inside_the_film(width: int, height: int, side: int) -> None:
    crop = Crop.of((width, height), (width, height), side)
    whole = crop.place(Rectangle(0, 0, width, height))
    assert whole.x_min <= 1e-9
    assert whole.y_min <= 1e-9
    assert whole.x_max >= 1 - 1e-9
    assert whole.y_max >= 1 - 1e-9
    assert min(whole.x_max - whole.x_min, whole.y_max - whole.y_min) == pytest.approx(1.0)
    assert whole.clipped().area == pytest.approx(1.0)


@given(
    width=SIDES,
    height=SIDES,
    corners=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_what_lies_in_and_out_of_the_crop_adds_up(
    width: int, height: int, corners: tuple[float, float, float, float]
) -> None:
    """Cutting a box into its part inside and outside loses nothing."""
    x = sorted((corners[0] * width, corners[1] * width))
    y = sorted((corners[2] * height, corners[3] * height))
    placed = Crop.of((width, height), (width, height), 224).place(Rectangle(x[0], y[0], x[1], y[1]))
    seen = share_seen(placed)
    assert 0.0 <= seen <= 1.0
    assert placed.clipped().area <= placed.area + 1e-12
    if placed == placed.clipped() and placed.area > 0:
        assert seen == pytest.approx(1.0)


@given(width=SIDES, height=SIDES, x=st.floats(0, 1), y=st.floats(0, 1))
def test_order_and_direction_stay(width: int, height: int, x: float, y: float) -> None:
    crop = Crop.of((width, height), (width, height), 112)
    one = crop.place(Rectangle(0, 0, x * width, y * height))
    assert one.x_max >= one.x_min
    assert one.y_max >= one.y_min
    assert one.area >= 0


def test_a_wide_film_loses_both_borders() -> None:
    """200 x 100 at side 100: the crop is px 50 to 150."""
    crop = Crop.of((200, 100), (200, 100), 100)
    assert crop.place(Rectangle(50, 0, 150, 100)) == Rectangle(0, 0, 1, 1)
    left = crop.place(Rectangle(0, 0, 50, 100))
    assert share_seen(left) == 0.0
    assert share_seen(crop.place(Rectangle(25, 0, 75, 100))) == pytest.approx(0.5)


def test_a_box_without_area_is_not_seen() -> None:
    assert share_seen(Rectangle(0.2, 0.2, 0.2, 0.9)) == 0.0
    assert Rectangle(0.5, 0.5, 0.2, 0.9).area == 0.0


def test_a_grown_box_has_its_margin_on_every_side() -> None:
    assert Rectangle(0.2, 0.3, 0.4, 0.5).grown(0.1) == Rectangle(
        0.2 - 0.1, 0.3 - 0.1, 0.4 + 0.1, 0.5 + 0.1
    )


@pytest.mark.parametrize(
    ("width", "height"), [(300, 300), (420, 300), (301, 517), (640, 311), (256, 1000)]
)
@pytest.mark.parametrize("stored_px", [112, 160])
def test_pixels_go_where_the_geometry_says(width: int, height: int, stored_px: int) -> None:
    """A bright square of the published film, stored and cropped by the code that trains on it."""
    centre = (width // 2 + 20, height // 2 - 30)
    box = Rectangle(centre[0] - 24, centre[1] - 18, centre[0] + 24, centre[1] + 18)
    film = np.random.default_rng(3).integers(20, 40, (height, width)).astype(np.uint8)
    film[int(box.y_min) : int(box.y_max), int(box.x_min) : int(box.x_max)] = 250
    settings = ImageSettings(short_side_px=stored_px, encoding="png")
    stored = prepare(png(film), settings)
    side = 112
    with Image.open(BytesIO(stored.pixels)) as picture:
        seen = to_model_size(picture, side)
    published = (stored.original_width, stored.original_height)
    placed = Crop.of(published, (stored.width, stored.height), side).place(box)
    bright = seen > 140
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    told = [side * v for v in (placed.x_min, placed.y_min, placed.x_max, placed.y_max)]
    assert np.abs(np.array(found) - np.array(told)).max() <= 1.5

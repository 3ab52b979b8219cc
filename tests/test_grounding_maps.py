"""Energy and pointing of hand-made maps: values worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.grounding_maps import (
    POINTING_TOLERANCE,
    centre_map,
    coverage,
    energy_inside,
    points_inside,
    sharpened,
    uniform_map,
)
from sources.crop import Rectangle

UNIT = st.floats(0, 1)
BOXES = st.builds(
    lambda a, b, c, d: Rectangle(min(a, b), min(c, d), max(a, b), max(c, d)), UNIT, UNIT, UNIT, UNIT
)
QUARTER = Rectangle(0, 0, 0.5, 0.5)


def one_cell(row: int, column: int, cells: int = 4) -> np.ndarray:
    heat = np.zeros((cells, cells))
    heat[row, column] = 1.0
    return heat


def test_coverage_of_parts_of_cells() -> None:
    """A box from 0.125 to 0.5 covers half of the first quarter-wide cell and all of the second."""
    found = coverage([Rectangle(0.125, 0.0, 0.5, 0.25)], 4, 4)
    assert found[0].tolist() == pytest.approx([0.5, 1.0, 0.0, 0.0])
    assert found[1:].sum() == pytest.approx(0)


def test_overlapping_boxes_count_once() -> None:
    pair = [Rectangle(0, 0, 0.5, 1), Rectangle(0.25, 0, 0.75, 1)]
    assert coverage(pair, 3, 5).mean() == pytest.approx(0.75)
    assert coverage([QUARTER, QUARTER], 7, 7).mean() == pytest.approx(0.25)


@given(boxes=st.lists(BOXES, min_size=1, max_size=3), rows=st.integers(1, 9))
def test_coverage_keeps_the_area_on_every_grid(boxes: list[Rectangle], rows: int) -> None:
    covered = coverage(boxes, rows, rows + 1)
    assert covered.min() >= 0
    assert covered.max() <= 1 + 1e-9
    assert covered.mean() == pytest.approx(coverage(boxes, 1, 1)[0, 0])
    assert covered.mean() <= sum(box.area for box in boxes) + 1e-9


def test_energy_of_known_maps() -> None:
    assert energy_inside(one_cell(0, 0), [QUARTER]) == 1.0
    assert energy_inside(one_cell(3, 3), [QUARTER]) == 0.0
    assert energy_inside(uniform_map(), [QUARTER]) == pytest.approx(0.25)
    assert energy_inside(one_cell(0, 0) + one_cell(3, 3), [QUARTER]) == pytest.approx(0.5)
    half_a_cell = Rectangle(0, 0, 0.125, 0.25)
    assert energy_inside(one_cell(0, 0), [half_a_cell]) == pytest.approx(0.5)


def test_a_map_of_zeros_is_the_uniform_one() -> None:
    assert energy_inside(np.zeros((4, 4)), [QUARTER]) == pytest.approx(0.25)
    near = (0.5 + POINTING_TOLERANCE) ** 2
    assert points_inside(np.zeros((4, 4)), [QUARTER]) == pytest.approx(near, abs=0.01)


@given(box=BOXES, power=st.sampled_from([1.0, 2.0, 4.0]), seed=st.integers(0, 99))
def test_energy_inside_and_outside_is_all(box: Rectangle, power: float, seed: int) -> None:
    heat = sharpened(np.random.default_rng(seed).random((5, 6)), power)
    outside = [
        Rectangle(0, 0, 1, box.y_min),
        Rectangle(0, box.y_max, 1, 1),
        Rectangle(0, box.y_min, box.x_min, box.y_max),
        Rectangle(box.x_max, box.y_min, 1, box.y_max),
    ]
    assert energy_inside(heat, [box]) + energy_inside(heat, outside) == pytest.approx(1.0)


def test_pointing_hits_inside_and_within_the_tolerance() -> None:
    """Of 4 cells the second's centre is at 0.375; the box ends before it by less or more."""
    heat = one_cell(1, 1)
    assert points_inside(heat, [QUARTER]) == 1.0
    just = 0.375 - POINTING_TOLERANCE * 0.8
    assert points_inside(heat, [Rectangle(0, 0, just, 0.5)]) == 1.0
    far = 0.375 - POINTING_TOLERANCE * 1.5
    assert points_inside(heat, [Rectangle(0, 0, far, 0.5)]) == 0.0
    assert points_inside(heat, [Rectangle(0.8, 0.8, 1, 1), QUARTER]) == 1.0


def test_of_equal_maxima_the_share_that_hits_counts() -> None:
    """Two equal neighbours: upsampled, all between their centres at 0.375 and 0.625 is highest."""
    heat = one_cell(1, 1) + one_cell(1, 2)
    reached = (0.06 + 2 * POINTING_TOLERANCE) / 0.25
    found = points_inside(heat, [Rectangle(0.47, 0.3, 0.53, 0.45)])
    assert found == pytest.approx(reached, abs=0.03)


def test_sharpening_keeps_the_maximum_and_starves_the_rest() -> None:
    heat = np.array([[2.0, 1.0], [0.0, 1.0]])
    assert sharpened(heat, 1).tolist() == [[1.0, 0.5], [0.0, 0.5]]
    assert sharpened(heat, 2).tolist() == [[1.0, 0.25], [0.0, 0.25]]
    assert sharpened(np.zeros((2, 2)), 4).sum() == 0


def test_the_centre_prior_is_a_hill_in_the_middle() -> None:
    hill = centre_map(8)
    assert hill.shape == (8, 8)
    assert np.allclose(hill, hill[::-1, ::-1])
    assert energy_inside(hill, [Rectangle(0.25, 0.25, 0.75, 0.75)]) > 0.4

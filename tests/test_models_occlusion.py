"""Windows over a film, the maps made from them, and the film that fills them in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.occlusion import (
    WINDOW_CELLS,
    cell_edges,
    mean_films,
    occluded,
    occlusion_maps,
)


def film(value: int, side: int = 24) -> np.ndarray:
    return np.full((side, side), value, np.uint8)


@pytest.mark.parametrize(("side", "cells"), [(24, 8), (28, 8), (518, 8), (37, 5)])
def test_cells_cut_the_whole_side(side: int, cells: int) -> None:
    edges = cell_edges(side, cells)
    assert edges[0] == 0
    assert edges[-1] == side
    widths = np.diff(edges)
    assert widths.min() >= side // cells
    assert widths.max() <= side // cells + 1


def test_every_window_is_taken_once_and_nothing_else_changes() -> None:
    copies = occluded(film(0), film(9), 4)
    assert len(copies) == (4 - WINDOW_CELLS + 1) ** 2
    touched = [copy > 0 for copy in copies]
    assert {int(mask.sum()) for mask in touched} == {12 * 12}
    assert len({mask.tobytes() for mask in touched}) == len(copies)
    assert np.logical_or.reduce(touched).all()
    assert touched[0][:12, :12].all()
    assert touched[1][:12, 6:18].all()


def test_windows_fill_in_the_ordinary_film() -> None:
    ordinary = np.arange(24 * 24, dtype=np.uint16).astype(np.uint8).reshape(24, 24)
    copy = occluded(film(7), ordinary, 4)[4]
    assert np.array_equal(copy[6:18, 6:18], ordinary[6:18, 6:18])
    assert (copy[:6] == 7).all()


def test_a_fall_in_one_window_is_a_map_of_its_cells() -> None:
    falls = torch.zeros(9, 1)
    falls[0] = 2.0
    falls[8] = -3.0  # more likely without it: no evidence
    found = occlusion_maps(falls, 4)[0]
    expected = torch.zeros(4, 4)
    expected[0, 0] = 2.0
    expected[0, 1] = expected[1, 0] = 1.0  # half of the windows over it
    expected[1, 1] = 0.5
    assert torch.equal(found, expected)


def test_equal_falls_make_a_flat_map_for_every_sentence() -> None:
    falls = torch.tensor([[1.0, 4.0]]).expand(49, 2)
    found = occlusion_maps(falls, 8)
    assert found.shape == (2, 8, 8)
    torch.testing.assert_close(found[0], torch.ones(8, 8))
    torch.testing.assert_close(found[1], torch.full((8, 8), 4.0))


def test_the_mean_film_is_that_of_its_view() -> None:
    means = mean_films([("PA", film(10)), ("PA", film(20)), ("AP", film(60))])
    assert means["PA"].max() == 15
    assert means["AP"].min() == 60
    assert means[""].tolist() == film(30).tolist()
    assert mean_films([]) == {}

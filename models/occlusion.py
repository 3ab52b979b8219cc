"""Occlusion: how much less likely a sentence becomes where a window of the film is made ordinary.

A square window slides over the image; what is in it is replaced by the mean film of the same view,
so that anatomy stays and what is peculiar to this person goes. A cell of the map is the mean fall
of the sentence's log-likelihood over the windows that cover it; rises count as none. It needs no
attention and no gradient, only more forward passes. Shapes: P image side in px, W windows, C cells
along a side, S sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.data import Pixels

WINDOW_CELLS: Final = 2
"""Side of a window in cells; windows overlap by half. Our choice: with eight cells a window is a
quarter of the film's side, about what a focal finding takes."""


def cell_edges(side_px: int, cells: int) -> list[int]:
    """[C + 1] px: where cells begin and end."""
    return [round(side_px * index / cells) for index in range(cells + 1)]


def occluded(pixels: Pixels, ordinary: Pixels, cells: int) -> list[Pixels]:
    """[W] copies of an image [P, P], each with one window taken from ``ordinary``, row by row."""
    edges = cell_edges(pixels.shape[0], cells)
    copies = []
    for top in range(cells - WINDOW_CELLS + 1):
        for left in range(cells - WINDOW_CELLS + 1):
            rows = slice(edges[top], edges[top + WINDOW_CELLS])
            columns = slice(edges[left], edges[left + WINDOW_CELLS])
            copy = pixels.copy()
            copy[rows, columns] = ordinary[rows, columns]
            copies.append(copy)
    return copies


def occlusion_maps(falls: torch.Tensor, cells: int) -> torch.Tensor:
    """[W, S] falls of log-likelihood → [S, C, C] maps."""
    positions = cells - WINDOW_CELLS + 1
    kept = falls.clamp(min=0).T.reshape(-1, positions, positions)
    total = torch.zeros(kept.shape[0], cells, cells)
    windows = torch.zeros(cells, cells)
    for down in range(WINDOW_CELLS):
        for across in range(WINDOW_CELLS):
            total[:, down : down + positions, across : across + positions] += kept
            windows[down : down + positions, across : across + positions] += 1
    return total / windows


def mean_films(images: Sequence[tuple[str, Pixels]]) -> Mapping[str, Pixels]:
    """The mean image [P, P] of every view, and of all under the empty name."""
    sums: dict[str, NDArray[np.float64]] = {}
    counts: dict[str, int] = {}
    for view, pixels in images:
        for name in (view, ""):
            sums[name] = sums.get(name, np.zeros(pixels.shape)) + pixels
            counts[name] = counts.get(name, 0) + 1
    return {name: np.rint(total / counts[name]).astype(np.uint8) for name, total in sums.items()}

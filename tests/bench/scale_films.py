"""Films of a few dozen pixels, drawn fifty times as fast as phantoms, for simulations of scale.

Each is its own: a phantom's light and shade, drawn once for each view, under a pattern that the
study's seed makes. The replica writers take them in place of ``phantom.draw``; whatever else they
write, ids, tables, reports, labels, boxes and file formats, is as always.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from unittest.mock import patch

import cv2
import numpy as np

from sources.record import View
from sources.replicas import mimic_cxr_plan
from sources.replicas.phantom import FRONTAL_ASPECTS, LATERAL_ASPECT, Drawing, Region
from sources.replicas.phantom import draw as draw_phantom
from sources.replicas.phantom_canvas import Layer
from sources.replicas.truth import ChestTruth, ReplicaSpec, Side, draw_cohort

DRAWERS = ("brax", "candid_ptx", "chexpert", "mimic_cxr", "object_cxr", "padchest", "vindr_cxr")
"""Modules of ``sources.replicas`` that draw films."""
PATTERN_CELLS = 12
"""Cells a side of a film's own pattern: finer than the frequencies that hashes leave out."""
PATTERN_SHARE = 0.5
TEST_SHARE, VALIDATE_SHARE = 3269 / 227_835, 1808 / 227_835
"""MIMIC-CXR's own (source_formats 1); its replica holds out more, for demos of few studies."""
CHEXPERT_VALID_EVERY = 300
"""Persons: the publisher's valid split has 200 of 64,740."""


def quick_film(truth: ChestTruth, view: View, side_px: int, aspect: float | None = None) -> Drawing:
    """As ``phantom.draw``: pixels [H, W] in 0..1, and a box for each finding that has a place."""
    rng = np.random.default_rng([truth.seed, 1 if view.is_frontal else 2])
    chosen = FRONTAL_ASPECTS[int(rng.integers(3))] if view.is_frontal else LATERAL_ASPECT
    ratio = aspect or chosen
    width = side_px if ratio <= 1 else round(side_px * ratio)
    height = side_px if ratio >= 1 else round(side_px / ratio)
    chest = _chest(view.is_frontal, height, width)
    cells = rng.random((PATTERN_CELLS, PATTERN_CELLS), dtype=np.float32)
    pattern = cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
    pixels = (1 - PATTERN_SHARE) * chest + PATTERN_SHARE * np.asarray(pattern, np.float32)
    regions = tuple(
        _region(index, finding.name, finding.side, height, width, rng)
        for index, finding in enumerate(truth.findings)
        if not finding.lateral_only
    )
    return Drawing(np.asarray(pixels, np.float32), regions)


@cache
def _chest(is_frontal: bool, height: int, width: int) -> Layer:
    """One phantom of that size, for all films of a view."""
    (truth,) = draw_cohort(ReplicaSpec(studies=1, seed=11), "scale")
    view = View.PA if is_frontal else View.LATERAL
    large = draw_phantom(truth, view, 128, width / height).pixels
    small = cv2.resize(np.asarray(large), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _region(
    index: int, name: str, side: Side | None, height: int, width: int, rng: np.random.Generator
) -> Region:
    """A box of a quarter of the film at a place that the seed chooses."""
    high, wide = height // 4, width // 4
    top, left = int(rng.integers(height - high)), int(rng.integers(width - wide))
    mask = np.zeros((height, width), np.bool_)
    mask[top : top + high, left : left + wide] = True
    return Region(index, name, side, left, top, left + wide, top + high, mask)


@contextmanager
def quick_films() -> Iterator[None]:
    """Within the block replicas are drawn by ``quick_film`` and held out in the real shares."""
    with ExitStack() as stack:
        for name in DRAWERS:
            module = importlib.import_module(f"sources.replicas.{name}")
            stack.enter_context(patch.object(module, "draw", quick_film))
        stack.enter_context(patch.object(mimic_cxr_plan, "_TEST_SHARE", TEST_SHARE))
        stack.enter_context(patch.object(mimic_cxr_plan, "_VALIDATE_SHARE", VALIDATE_SHARE))
        chexpert = importlib.import_module("sources.replicas.chexpert")
        stack.enter_context(patch.object(chexpert, "_VALID_EVERY", CHEXPERT_VALID_EVERY))
        yield

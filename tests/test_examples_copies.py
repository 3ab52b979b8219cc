"""The picture guard on synthetic and on real films: planted copies caught, distinct films kept.

The bars: at least 99 % of planted copies (recompressed, rescaled to half, windowed, and all three)
are caught, at most 0.5 % of distinct replicas are taken for copies.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from examples_world import SETTINGS, World
from numpy.typing import NDArray
from PIL import Image

from infra.settings.sections import ImageSettings
from sources.pixels import prepare
from sources.record import View
from sources.replicas.phantom import draw
from sources.replicas.truth import ReplicaSpec, draw_cohort
from tasks.examples.plan import plan_examples

Grey = NDArray[np.uint8]

STORED = ImageSettings(short_side_px=112, smallest_side_px=64)
"""The tiny scale's size: the smallest that is stored, hence the hardest for the hash."""


def jpeg(grey: Grey, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def halved(grey: Grey) -> Grey:
    size = (grey.shape[1] // 2, grey.shape[0] // 2)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def windowed(grey: Grey, low: float, high: float) -> Grey:
    """Stretched so that the darkest and the brightest share of the pixels are clipped."""
    dark, bright = np.quantile(grey, [low, high])
    stretched = (grey - dark) / max(bright - dark, 1.0) * 255.0
    return np.clip(stretched, 0, 255).astype(np.uint8)


COPIES: dict[str, Callable[[Grey], bytes]] = {
    "recompressed": lambda grey: jpeg(grey, 50),
    "halved": lambda grey: jpeg(halved(grey), 90),
    "windowed": lambda grey: jpeg(windowed(grey, 0.15, 0.90), 95),
    "all-three": lambda grey: jpeg(windowed(halved(grey), 0.10, 0.95), 60),
}


def phantoms(source: str, studies: int, side_px: int) -> list[Grey]:
    """One frontal film per examination; 1.3 examinations per person."""
    cohort = draw_cohort(ReplicaSpec(studies, seed=11), source, studies_per_subject=1.3)
    frontal = [View.PA if View.PA in truth.views else View.AP for truth in cohort]
    return [
        (draw(truth, view, side_px).pixels * 255).round().astype(np.uint8)
        for truth, view in zip(cohort, frontal, strict=True)
    ]


def add_film(world: World, source: str, name: str, split: str, data: bytes) -> None:
    stored = prepare(data, STORED)
    world.study(source, name, None, split)
    world.image(source, name, name, phash=stored.perceptual_hash)
    world.report(source, name, findings="Clear.")


def rates(held: list[Grey], others: list[Grey], root: Path) -> tuple[Counter[str], Counter[str]]:
    """Guard a world where every held-out film is copied in each way into another source.

    Returns:
        How many copies there are, and how many training rows were rejected, by kind.
    """
    world = World()
    planted: Counter[str] = Counter()
    for number, film in enumerate(held):
        add_film(world, "mimic_cxr", f"test-{number}", "test", jpeg(film, 95))
        for kind, copy in COPIES.items():
            add_film(world, "padchest", f"{kind}/{number}", "train", copy(film))
            planted[kind] += 1
    for number, film in enumerate(others):
        add_film(world, "mimic_cxr", f"distinct/{number}", "train", jpeg(film, 95))
        planted["distinct"] += 1
    plan = plan_examples(world.write(root), SETTINGS, pieces=4)
    caught: Counter[str] = Counter()
    for row in plan.rows.to_pylist():
        if row["reason"] is not None:
            kind, _, number = row["image_id"].partition("/")
            assert row["reason"] == "near-duplicate-of-held-out"
            assert kind == "distinct" or f"image test-{number} in test" in row["detail"]
            caught[kind] += 1
    return planted, caught


def assert_bars(planted: Counter[str], caught: Counter[str]) -> None:
    for kind in COPIES:
        assert caught[kind] >= 0.99 * planted[kind], f"{kind}: {caught[kind]} of {planted[kind]}"
    assert caught["distinct"] <= 0.005 * planted["distinct"], f"{caught['distinct']} distinct films"


@pytest.mark.slow
def test_copies_of_phantoms_are_caught_and_distinct_phantoms_kept(tmp_path: Path) -> None:
    planted, caught = rates(
        phantoms("mimic_cxr", 120, side_px=224), phantoms("padchest", 240, side_px=224), tmp_path
    )
    assert planted["distinct"] == 240
    assert_bars(planted, caught)


@pytest.mark.slow
def test_the_bars_hold_on_many_phantoms(tmp_path: Path) -> None:
    films = phantoms("mimic_cxr", 600, side_px=256)
    others = phantoms("padchest", 2400, side_px=256)
    planted, caught = rates(films, others, tmp_path)
    assert_bars(planted, caught)


@pytest.mark.public_data
def test_the_bars_hold_on_real_films(tmp_path: Path, public_data: Path) -> None:
    paths = sorted((public_data / "nih_cxr14" / "images").glob("*.png"))
    films = [np.asarray(Image.open(path).convert("L")) for path in paths]
    reduced = [
        np.asarray(cv2.resize(film, (512, 512), interpolation=cv2.INTER_AREA)) for film in films
    ]
    planted, caught = rates(reduced[:48], reduced[48:], tmp_path)
    assert planted == Counter(dict.fromkeys(COPIES, 48) | {"distinct": 48})
    assert caught == Counter(dict.fromkeys(COPIES, 48))

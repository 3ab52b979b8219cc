"""Figures of a 7B model on one GPU; they are printed, and held against the stored bars.

python -m pytest tests/gpu -m gpu -s
"""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from infra.bars import Method
from infra.settings import load_settings
from infra.settings.stages import StageKind, StageSettings
from tests.bench.environments import say
from tests.bench.generation_world import Shape, Traffic
from tests.bench.training_sides import World
from tests.gpu.measures import (
    LORA,
    Trained,
    contrastive_steps,
    full_steps,
    generation,
    lora_steps,
    verdict_of,
)

pytestmark = pytest.mark.gpu
SHAPES = load_settings("llava_rad", "paper").models
"""ViT-B/14 at 518 px and Vicuna's shapes; weights are random."""


def stage(kind: str, **changes: object) -> StageSettings:
    """The paper's way for that kind; few steps."""
    fixed = {"name": kind, "kind": kind, "learning_rate": 1e-4, "precision": "bfloat16"}
    return StageSettings.model_validate({**fixed, **changes})


def test_a_lora_step_of_7b_at_518_px() -> None:
    parts = {"trainable": ["projector", "lora"], "lora": LORA, "gradient_checkpointing": True}
    found = lora_steps(World(64, SHAPES), stage("finetune", batch_size=16, steps=12, **parts))
    require_bar(found, "finetune", "lora")


def test_a_step_that_trains_all_7b() -> None:
    parts = {"trainable": ["projector", "language"], "gradient_checkpointing": True}
    found = full_steps(World(32, SHAPES), stage("finetune", batch_size=8, steps=10, **parts))
    require_bar(found, "finetune", "whole")


@pytest.mark.parametrize("piece", [None, 64])
def test_contrastive_images_a_second(piece: int | None) -> None:
    """Whole, and cut on the device, which embeds every film twice."""
    parts = {"trainable": ["vision", "text_encoder"], "device_batch_size": piece}
    size = 64 if piece is None else 256
    found = contrastive_steps(
        World(512, SHAPES), stage("pretrain", batch_size=size, steps=12, **parts)
    )
    tell(f"contrastive, {size} pairs in pieces of {piece or size}", found)
    assert found.pace.images_per_second > 0


def test_generation_of_256_tokens_at_batch_64() -> None:
    shape = Shape(width=4096, feed_forward=11008, layers=32, heads=32, key_value_heads=32,
                  vision_width=768, vision_layers=12)  # fmt: skip
    traffic = Traffic(64, 1, median_tokens=256, spread=0.0, shortest=256)
    found = generation(shape, traffic, 64, torch.bfloat16)
    say(f"generation: {asdict(found)}")
    assert found.tokens == 64 * 256
    assert found.ours > found.theirs


def tell(name: str, found: Trained) -> None:
    say(f"{name}: {asdict(found.pace)}, losses {found.losses[0]:.4f} to {found.losses[-1]:.4f}")


def require_bar(found: Trained, kind: StageKind, method: Method) -> None:
    """Print the figures; fail where a stored bar for this device is missed."""
    tell(f"{kind} {method}", found)
    verdict = verdict_of(found, kind, method, SHAPES.vision.image_px)
    say(f"bar: {verdict}")
    assert SHAPES.image_tokens == 1369
    assert not verdict.missed

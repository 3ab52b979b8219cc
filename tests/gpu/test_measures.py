"""Figures of a 7B model on one GPU; they are printed, and held against the stored bars.

python -m pytest tests/gpu -m gpu -s
"""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from infra.bars import Setting, hold, load_bars
from infra.settings import load_settings
from infra.settings.stages import ModelSettings
from tests.bench.environments import say
from tests.bench.generation_world import Shape, Traffic
from tests.bench.training_sides import World
from tests.gpu.measures import Trained, contrastive_steps, full_steps, generation, lora_steps

pytestmark = pytest.mark.gpu
SHAPES = load_settings("llava_rad", "paper").models
"""ViT-B/14 at 518 px and Vicuna's shapes; weights are random."""


def test_a_lora_step_of_7b_at_518_px() -> None:
    found = lora_steps(World(64, SHAPES), 16, 12, torch.bfloat16)
    require_bar(found, "finetune", "lora", SHAPES)


def test_a_step_that_trains_all_7b() -> None:
    found = full_steps(World(32, SHAPES), 8, 10, torch.bfloat16)
    require_bar(found, "finetune", "whole", SHAPES)


def test_contrastive_images_a_second() -> None:
    found = contrastive_steps(SHAPES, 64, 12, torch.bfloat16)
    tell("contrastive", found)
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


def require_bar(found: Trained, kind: str, method: str, shapes: ModelSettings) -> None:
    """Print the figures; fail where a stored bar for this device is missed."""
    tell(f"{kind} {method}", found)
    figures = {**found.pace.figures(), "mfu": found.pace.mfu}
    total = 6_900_000_000  # Vicuna 7B, ViT-B and the projector, to the nearest hundred million
    setting = Setting(found.pace.device, kind, method, total)  # type: ignore[arg-type]
    verdict = hold(figures, setting, load_bars())
    say(f"bar: {verdict}")
    assert shapes.image_tokens == 1369
    assert not verdict.missed

"""The GPU's measuring functions, at sizes that a processor trains in a moment."""

from __future__ import annotations

import math

import pytest
import torch

from infra.settings.stages import ModelSettings
from tests.bench.generation_world import Shape, Traffic
from tests.bench.training_sides import World
from tests.gpu.measures import (
    WARM_UP,
    Trained,
    contrastive_steps,
    full_steps,
    generation,
    lora_steps,
)

SHAPES = ModelSettings.model_validate(
    {
        "embedding": 16,
        "vision": {"image_px": 28, "patch_px": 7, "width": 32, "layers": 2, "heads": 2},
        "text_encoder": {
            "width": 32,
            "layers": 1,
            "heads": 2,
            "context_tokens": 16,
            "positions": 32,
            "vocabulary": 300,
        },
        "language": {
            "width": 32,
            "feed_forward": 64,
            "layers": 2,
            "heads": 2,
            "vocabulary": 600,
            "context_tokens": 256,
        },
    }
)


def require_whole(found: Trained, steps: int) -> None:
    assert len(found.losses) == steps
    assert all(math.isfinite(loss) for loss in found.losses)
    assert found.pace.steps == steps - WARM_UP - 1  # a meter leaves its own first step out too
    assert found.pace.useful_tokens_per_second > 0
    assert found.pace.peak_memory_gib > 0
    assert found.trained_parameters > 0


def test_lora_and_whole_training_start_from_one_loss() -> None:
    world = World(6, SHAPES)
    lora, whole = (each(world, 2, 6, torch.float32) for each in (lora_steps, full_steps))
    require_whole(lora, 6)
    require_whole(whole, 6)
    assert lora.losses[0] == pytest.approx(whole.losses[0], rel=1e-4)


def test_contrastive_steps_learn_random_pairs_by_heart_or_not_at_all() -> None:
    found = contrastive_steps(SHAPES, 4, 6, torch.float32)
    require_whole(found, 6)
    assert found.losses[0] == pytest.approx(math.log(4), abs=3.0)  # by chance, but for the scale
    assert found.pace.images_per_second > 0


def test_generation_gives_equal_ids_in_float32() -> None:
    shape = Shape(28, 7, 32, 2, 64, 96, 2, 4, 2, 200, 10)
    found = generation(shape, Traffic(4, 2, median_tokens=8, longest=12), 4, torch.float32)
    assert found.equal_rows == found.rows == 8
    assert found.ours > 0
    assert found.theirs > 0

"""The GPU's measuring functions, at sizes that a processor trains in a moment."""

from __future__ import annotations

import math

import pytest
import torch

from infra.settings.stages import ModelSettings, StageSettings
from tests.bench.generation_world import Shape, Traffic
from tests.bench.training_sides import World
from tests.gpu.measures import (
    LORA,
    TYPES,
    Trained,
    contrastive_steps,
    full_steps,
    generation,
    lora_steps,
    verdict_of,
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


PRECISIONS = ("float32", "bfloat16")


def stage(kind: str, precision: str, **changes: object) -> StageSettings:
    fixed = {"name": kind, "kind": kind, "learning_rate": 1e-3, "batch_size": 2, "steps": 5}
    return StageSettings.model_validate({**fixed, "precision": precision, **changes})


def require_whole(found: Trained) -> None:
    assert len(found.losses) == 5
    assert all(math.isfinite(loss) for loss in found.losses)
    assert found.pace.steps == 4  # a meter leaves its own first step out
    assert found.pace.useful_tokens_per_second > 0
    assert found.pace.peak_memory_gib > 0
    assert 0 < found.trained_parameters <= found.parameters
    assert found.trained_types == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_lora_and_whole_training_start_from_one_loss(precision: str) -> None:
    world = World(6, SHAPES)
    parts = {"gradient_checkpointing": True}
    adapters = {"trainable": ["projector", "lora"], "lora": LORA}
    lora = lora_steps(world, stage("finetune", precision, **parts, **adapters))
    told = verdict_of(lora, "finetune", "lora", SHAPES.vision.image_px)
    assert (told.verdict, told.missed) == ("no bar for this device", ())
    whole = full_steps(
        world, stage("finetune", precision, **parts, trainable=["projector", "language"])
    )
    require_whole(lora)
    require_whole(whole)
    assert lora.frozen_types == whole.frozen_types == {TYPES[precision]}
    assert lora.trained_parameters != whole.trained_parameters
    # bfloat16 rounds to 3 digits, and the two hold other weights in float32
    nearness = 1e-4 if precision == "float32" else 1e-2
    assert lora.losses[0] == pytest.approx(whole.losses[0], rel=nearness)
    assert whole.losses[-1] < whole.losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_contrastive_steps_are_the_stages_whole_and_in_pieces(precision: str) -> None:
    world, parts = World(12, SHAPES), {"trainable": ["vision", "text_encoder"], "batch_size": 4}
    whole, pieces = (
        contrastive_steps(world, stage("pretrain", precision, **parts, device_batch_size=piece))
        for piece in (None, 3)
    )
    require_whole(whole)
    require_whole(pieces)
    assert whole.pace.images_per_second > 0
    # by chance log 4, and one more nat at the most from untrained towers at CLIP's temperature
    assert math.log(4) - 0.5 < whole.losses[0] < math.log(4) + 1.0


def test_generation_gives_equal_ids_in_float32() -> None:
    """Each answer as long as its request says: no end is chosen before."""
    shape = Shape(28, 7, 32, 2, 64, 96, 2, 4, 2, 200, 10)
    traffic = Traffic(4, 2, median_tokens=8, spread=0.0, shortest=8)
    found = generation(shape, traffic, 4, torch.float32)
    assert found.tokens == 8 * 8
    assert found.equal_rows == found.rows == 8
    assert found.ours > 0
    assert found.theirs > 0


def test_generation_in_bfloat16_makes_as_many_tokens() -> None:
    shape = Shape(28, 7, 32, 2, 64, 96, 2, 4, 2, 200, 10)
    traffic = Traffic(4, 1, median_tokens=8, spread=0.0, shortest=8)
    found = generation(shape, traffic, 4, torch.bfloat16)
    assert found.tokens == 4 * 8

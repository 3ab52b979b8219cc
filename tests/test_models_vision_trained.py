"""A vision tower that is trained: only what the projector's features come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from models_world import SIDE_PX
from ranks_world import losses, run_of, same_on_all_ranks, train_on_ranks

from infra.settings.stages import VisionSettings
from models.flops import networks_of
from models.stages import prepare
from models.towers import TOWERS, Architecture, tower_config, train_tower

LAYERS = 3


def tower_of(architecture: Architecture) -> torch.nn.Module:
    vision = VisionSettings(
        architecture=architecture, image_px=SIDE_PX, patch_px=7, width=32, layers=LAYERS, heads=2
    )
    tower: torch.nn.Module = TOWERS[architecture].model(tower_config(vision))
    return tower


@pytest.mark.parametrize("architecture", list(TOWERS))
@pytest.mark.parametrize("feature_layer", [-1, -2, -LAYERS])
def test_what_is_trained_is_what_gets_a_gradient(
    architecture: Architecture, feature_layer: int
) -> None:
    tower = tower_of(architecture)
    pixels = torch.randn(2, 3, SIDE_PX, SIDE_PX)
    states = tower(pixel_values=pixels, output_hidden_states=True).hidden_states
    states[feature_layer].square().sum().backward()
    reached = {name for name, each in tower.named_parameters() if each.grad is not None}
    train_tower(tower, architecture, feature_layer)
    trained = {name for name, each in tower.named_parameters() if each.requires_grad}
    assert trained == reached
    assert trained
    assert trained != dict(tower.named_parameters()).keys(), "the last norm is never reached"


@pytest.mark.parametrize(
    "changes",
    [
        {"trainable": ["vision", "projector", "language"], "lora": None},
        {"trainable": ["vision", "projector", "lora"]},
    ],
)
def test_a_finetune_stage_trains_no_more_than_that(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    run = run_of(tmp_path, same_on_all_ranks("finetune", **changes))
    model = prepare(run, list).model
    frozen = {
        name.split("vision_tower.")[1]
        for name, each in model.named_parameters()
        if "vision_tower" in name and not each.requires_grad
    }
    kinds = {".".join(name.split(".")[:3]) for name in frozen}
    assert kinds == {"encoder.layer.1", "layernorm.weight", "layernorm.bias"}
    image = next(each for each in networks_of(model) if each.reads == "image")
    assert image.trained == 12 * 32 * 32, "the one block that is read, by its matrices"


@pytest.mark.slow
def test_two_ranks_train_the_tower_for_more_than_a_step(tmp_path: Path) -> None:
    """DDP waits at the second step for gradients that the first one should have brought."""
    changes = {"trainable": ["vision", "projector", "language"], "lora": None}
    settings = same_on_all_ranks("finetune", steps=3, deepspeed_zero=0, **changes)
    run = run_of(tmp_path, settings)
    train_on_ranks(run, 2)
    found = losses(run)
    assert len(found) == 3
    assert found[2] < found[0]

"""Published vision towers as a recipe starts from them: fitted in size, refused in shape."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from models_world import MODELS, stage, train_run
from transformers import (
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    PretrainedConfig,
    PreTrainedModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.models.dinov2 import Dinov2Model

from infra.errors import InputError
from infra.settings.stages import VisionSettings
from models.data import ExampleShards
from models.positions import resize_positions
from models.stages import prepare
from models.towers import TOWERS, load_published_tower, tower_config

SHAPES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 7}
WHOLE = {"intermediate_size": 128, "image_size": 42}


def vision(**changes: object) -> VisionSettings:
    return VisionSettings.model_validate({**MODELS.vision.model_dump(), **changes})


def publish(folder: Path, architecture: str) -> PreTrainedModel:
    """A tower for images of 42 px, in a grid of 6; CLIP's stands in a whole CLIP with GELU."""
    torch.manual_seed(3)
    if architecture == "dinov2":
        tower = Dinov2Model(Dinov2Config(**SHAPES, image_size=42, layer_norm_eps=1e-5))
        tower.save_pretrained(folder)
        return tower
    if architecture == "siglip":
        tower = SiglipVisionModel(SiglipVisionConfig(**SHAPES, **WHOLE))
        tower.save_pretrained(folder)
        return tower
    text = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 60,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    told = {**SHAPES, **WHOLE, "hidden_act": "gelu"}
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=told))
    clip.save_pretrained(folder)
    return clip.vision_model


def started(settings: VisionSettings, folder: Path) -> tuple[PretrainedConfig, PreTrainedModel]:
    config = tower_config(settings, folder)
    tower = TOWERS[settings.architecture].model(config)
    load_published_tower(tower, settings, folder)
    return config, tower


@pytest.mark.parametrize("architecture", ["dinov2", "clip", "siglip"])
def test_published_tower_is_fitted_to_the_recipes_images(tmp_path: Path, architecture: str) -> None:
    """All weights as published but for the positions, resampled from a grid of 6 to one of 4."""
    published = publish(tmp_path, architecture).state_dict()
    config, tower = started(vision(architecture=architecture), tmp_path)
    assert config.image_size == 28
    kind = TOWERS[architecture]  # type: ignore[index]
    state = tower.state_dict()
    assert published.keys() - state.keys() <= {"embeddings.mask_token"}
    for name, value in state.items():
        if name != kind.positions:
            assert torch.equal(value, published[name]), name
    table = published[kind.positions].reshape(-1, 32)
    expected = resize_positions(table, 4, kind.special)
    assert torch.equal(state[kind.positions].reshape(-1, 32), expected)
    shown = tower(torch.zeros(1, 3, 28, 28), output_hidden_states=True)
    assert shown.hidden_states[-1].shape == (1, 16 + kind.special, 32)


def test_what_the_settings_do_not_tell_comes_from_the_publisher(tmp_path: Path) -> None:
    publish(tmp_path / "dinov2", "dinov2")
    publish(tmp_path / "clip", "clip")
    config, _ = started(vision(), tmp_path / "dinov2")
    assert (config.layer_norm_eps, config.use_mask_token) == (1e-5, False)
    config, _ = started(vision(architecture="clip"), tmp_path / "clip")
    assert config.hidden_act == "gelu"
    assert tower_config(vision(architecture="clip")).hidden_act == "quick_gelu"


def test_tower_of_another_kind_or_shape_is_named(tmp_path: Path) -> None:
    publish(tmp_path, "dinov2")
    with pytest.raises(InputError) as error:
        tower_config(vision(architecture="clip"), tmp_path)
    assert str(error.value) == (
        f"found a model of type 'dinov2' in {tmp_path}; expected one of clip, clip_vision_model; "
        "set models.vision.architecture or models.vision.weights"
    )
    with pytest.raises(InputError) as error:
        tower_config(vision(patch_px=14), tmp_path)
    assert str(error.value) == (
        f"found width, layers, heads, patch_px (32, 2, 2, 7) in {tmp_path}; expected the recipe's "
        "(32, 2, 2, 14); set models.vision to the published tower's shapes"
    )


def test_pretraining_starts_from_a_published_tower_of_another_size(tmp_path: Path) -> None:
    published = publish(tmp_path / "weights" / "lab" / "clip", "clip").state_dict()
    shapes = MODELS.model_dump()
    shapes["vision"] |= {"architecture": "clip", "weights": "lab/clip"}
    run = train_run(tmp_path, stage("pretrain"), models=shapes, weights_root=tmp_path / "weights")
    prepared = prepare(run, lambda: ExampleShards(run.train_examples, None))
    state = prepared.model.state_dict()
    kernel = "embeddings.patch_embedding.weight"
    assert torch.equal(state[f"vision_model.{kernel}"], published[kernel])
    assert state["vision_model.embeddings.position_embedding.weight"].shape == (17, 32)

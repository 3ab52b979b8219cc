"""Exact shapes at paper scale, on the meta device: nothing is allocated."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig

from infra.settings import load_settings
from infra.settings.stages import ModelSettings
from models.dual_encoder import CxrDualEncoder, dual_encoder_config
from models.projector import VLM_OF_PROJECTOR, projector_of
from models.vlm import parameters, vlm_config, with_lora

PAPER = load_settings("llava_rad", "paper")


def vicuna_config() -> LlamaConfig:
    shapes = PAPER.models.language
    return LlamaConfig(
        vocab_size=shapes.vocabulary,
        hidden_size=shapes.width,
        intermediate_size=shapes.feed_forward,
        num_hidden_layers=shapes.layers,
        num_attention_heads=shapes.heads,
    )


def paper_vlm(models: ModelSettings = PAPER.models) -> torch.nn.Module:
    config = vlm_config(models, vicuna_config(), image_token_id=31999)
    with torch.device("meta"):
        return VLM_OF_PROJECTOR[models.projector](config)


def test_dual_encoder_has_the_released_checkpoints_parameters() -> None:
    with torch.device("meta"):
        model = CxrDualEncoder(dual_encoder_config(PAPER.models, 30522))
    parts = {
        "image tower": parameters(model.vision_model),
        "text tower": parameters(model.text_model),
        "image head": parameters(model.visual_projection),
        "text head": parameters(model.text_projection),
        "logit scale": model.logit_scale.numel(),
    }
    assert parts == {
        "image tower": 86_579_712,
        "text tower": 109_482_240,
        "image head": 393_216,
        "text head": 819_200,
        "logit scale": 1,
    }
    assert parameters(model) == 197_274_369


def test_unused_pooler_is_never_trained() -> None:
    with torch.device("meta"):
        model = CxrDualEncoder(dual_encoder_config(PAPER.models, 30522))
    pooler = parameters(model.text_model.pooler)
    assert pooler == 590_592
    assert parameters(model, trainable_only=True) == 197_274_369 - pooler


def test_vlm_sees_1369_image_tokens_through_the_papers_projector() -> None:
    vlm = paper_vlm()
    assert PAPER.models.vision.patches == 1369
    assert vlm.config.image_seq_length == 1369
    assert parameters(projector_of(vlm)) == 19_931_136
    with torch.device("meta"):
        image = torch.empty(1, 3, 518, 518)
        features = vlm.get_image_features(pixel_values=image, return_dict=True)
    assert [tuple(each.shape) for each in features.pooler_output] == [(1369, 4096)]


def test_features_are_the_eleventh_blocks_output_without_cls() -> None:
    vlm = paper_vlm()
    with torch.device("meta"):
        tower = vlm.model.vision_tower(torch.empty(1, 3, 518, 518), output_hidden_states=True)
    assert len(tower.hidden_states) == 13
    assert tuple(tower.hidden_states[-2].shape) == (1, 1370, 768)
    assert vlm.config.vision_feature_layer == -2
    assert vlm.config.vision_feature_select_strategy == "default"


def test_lora_adds_the_released_adapters_parameters() -> None:
    lora = PAPER.stage("finetune").lora
    assert lora is not None
    adapted = with_lora(paper_vlm(), lora, with_projector=True)
    trained = {name: each for name, each in adapted.named_parameters() if each.requires_grad}
    adapter = {name: each for name, each in trained.items() if "lora_" in name}
    assert len(adapter) == 448
    assert sum(each.numel() for each in adapter.values()) == 159_907_840
    assert all(".language_model.layers." in name for name in adapter)
    others = {name for name in trained if name not in adapter}
    assert sum(trained[name].numel() for name in others) == 19_931_136
    assert all("multi_modal_projector" in name for name in others)


@pytest.mark.slow
def test_lora_can_leave_the_projector_frozen() -> None:
    lora = PAPER.stage("finetune").lora
    assert lora is not None
    adapted = with_lora(paper_vlm(), lora, with_projector=False)
    assert parameters(adapted, trainable_only=True) == 159_907_840


def test_linear_projector_is_one_layer() -> None:
    models = PAPER.models.model_copy(update={"projector": "linear"})
    assert parameters(projector_of(paper_vlm(models))) == 768 * 4096 + 4096


@pytest.mark.parametrize(
    ("stage", "key", "value"),
    [
        ("align", "learning_rate", 1e-3),
        ("align", "batch_size", 256),
        ("align", "device_batch_size", 32),
        ("align", "epochs", 1.0),
        ("align", "trainable", ("projector",)),
        ("align", "prompt", "image-only"),
        ("finetune", "learning_rate", 1e-4),
        ("finetune", "batch_size", 64),
        ("finetune", "epochs", 3.0),
        ("finetune", "warmup_share", 0.03),
        ("finetune", "deepspeed_zero", 2),
        ("finetune", "sources", ("mimic_cxr",)),
    ],
)
def test_paper_preset_holds_the_scripts_flags(stage: str, key: str, value: object) -> None:
    assert getattr(PAPER.stage(stage), key) == value

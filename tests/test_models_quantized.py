"""What is held in 4 bits and what is not, by transformers' own rule and in fact."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from models_world import MODELS, SIDE_PX, trained_world
from parts_world import small_models
from torch import nn
from transformers import LlamaConfig, LlavaForConditionalGeneration
from transformers.quantizers.quantizers_utils import should_convert_module

from infra.settings.stages import LoraSettings
from models.projector import VLM_OF_PROJECTOR, ProjectorKind
from models.quantized import UNQUANTIZED, nf4_on
from models.stages import trainable_in_float32
from models.vlm import load_vlm, vlm_config, with_lora

KINDS: tuple[ProjectorKind, ...] = ("mlp2x_gelu", "linear", "resampler")
LLAMA = LlamaConfig(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
)


def linear_layers(vlm: LlavaForConditionalGeneration) -> set[str]:
    return {name for name, each in vlm.named_modules() if isinstance(each, nn.Linear)}


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_takes_the_language_models_layers_and_no_others(kind: ProjectorKind) -> None:
    shapes = small_models().model_copy(update={"projector": kind})
    with torch.device("meta"):
        vlm = VLM_OF_PROJECTOR[kind](vlm_config(shapes, LLAMA, 63))
    taken = {name for name in linear_layers(vlm) if should_convert_module(name, list(UNQUANTIZED))}
    blocks = {name for name in linear_layers(vlm) if name.startswith("model.language_model.layers")}
    assert taken == blocks
    assert len(blocks) == 2 * 7
    left = {name.split(".")[1] for name in linear_layers(vlm) - taken if name != "lm_head"}
    assert left == {"vision_tower", "multi_modal_projector"}


@pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed: an optional package"
)
def test_lora_and_projector_train_beside_four_bits() -> None:
    """On a CPU, where bitsandbytes computes the same as on the GPU that a stage asks for."""
    import bitsandbytes

    folder = trained_world() / "align"
    vlm = nf4_on("cpu", folder, torch.bfloat16)
    exact = load_vlm(folder)
    kinds = {name: type(each) for name, each in vlm.named_modules()}
    layers = linear_layers(exact)
    held = {name for name in layers if kinds[name] is bitsandbytes.nn.Linear4bit}
    assert held == {name for name in layers if name.startswith("model.language_model.layers")}
    rope = vlm.model.language_model.rotary_emb.inv_freq
    assert torch.equal(rope, exact.model.language_model.rotary_emb.inv_freq)
    lora = LoraSettings(rank=4, alpha=8, dropout=0.0)
    adapted = with_lora(vlm, lora, with_projector=True)
    trainable_in_float32(adapted)
    image = vlm.config.image_token_id
    ids = torch.tensor([[1, *[image] * MODELS.image_tokens, 5, 6, 7]])
    given = {"input_ids": ids, "pixel_values": torch.randn(1, 3, SIDE_PX, SIDE_PX), "labels": ids}
    with torch.autocast("cpu", torch.bfloat16):
        loss = adapted(**given).loss
    with torch.no_grad():
        expected = exact(**given).loss
    assert loss.item() == pytest.approx(expected.item(), rel=0.05), "rounded, not another model"
    loss.backward()
    trained = {name for name, each in adapted.named_parameters() if each.requires_grad}
    reached = {name for name, each in adapted.named_parameters() if each.grad is not None}
    assert trained == reached
    assert sum("multi_modal_projector" in name for name in trained) == 4

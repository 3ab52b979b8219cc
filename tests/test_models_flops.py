"""Counted operations against those that PyTorch's own counter sees in a training pass."""

from __future__ import annotations

import pytest
import torch
from contrast_world import batch as pairs
from contrast_world import encoder
from models_world import MODELS
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlavaForConditionalGeneration
from transformers.models.llama import LlamaForCausalLM

from infra.settings.stages import LoraSettings
from models.flops import Network, batch_flops, lengths_of, networks_of, peak_flops
from models.packing import Batch, Encoded, pad_right
from models.projector import projector_of
from models.vlm import vlm_config, with_lora

IMAGE_ID, PATCHES = 5, 16
LLAMA = LlamaConfig(
    vocab_size=400,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    pad_token_id=0,
)


def counted(model: torch.nn.Module, batch: Batch) -> float:
    """What PyTorch counts; attention as plain products, or a CPU's would go uncounted."""
    model.set_attn_implementation("eager")  # type: ignore[operator]
    with FlopCounterMode(display=False) as counter:
        model(**batch).loss.backward()
    return float(counter.get_total_flops())


def ours(model: torch.nn.Module, batch: Batch) -> float:
    """Ours with the masked half of causal attention, which plain products compute too."""
    return batch_flops(networks_of(model), lengths_of(batch, PATCHES), causal_as_half=False)


def vlm(feature_layer: int = -1) -> LlavaForConditionalGeneration:
    vision = MODELS.vision.model_copy(update={"feature_layer": feature_layer})
    shapes = MODELS.model_copy(update={"vision": vision})
    return LlavaForConditionalGeneration(vlm_config(shapes, LLAMA, IMAGE_ID))


def conversations() -> Batch:
    """Two of 16 image tokens and 24 of text; the loss on the last eight."""
    generator = torch.Generator().manual_seed(0)
    text = torch.randint(6, 400, (2, 24), generator=generator)
    ids = torch.cat([torch.full((2, PATCHES), IMAGE_ID), text], dim=1)
    rows = [Encoded(row[:-8], row[-8:]) for row in ids.tolist()]
    pixels = torch.randn(2, 3, 28, 28, generator=generator)
    return {**pad_right(rows, 0), "pixel_values": pixels}


def test_dual_encoder_agrees() -> None:
    """Differs by padding (ours counts none: here there is none) and the loss's own product."""
    batch = pairs()
    batch["attention_mask"] = torch.ones_like(batch["attention_mask"])
    assert ours(encoder(), batch) == pytest.approx(counted(encoder(), batch), rel=0.02)


@pytest.mark.parametrize("parts", [("vision", "text"), ("vision",), ("text",)])
def test_frozen_towers_cost_no_backward_pass(parts: tuple[str, ...]) -> None:
    model = encoder()
    model.vision_model.requires_grad_("vision" in parts)
    model.text_model.requires_grad_("text" in parts)
    batch = pairs()
    batch["attention_mask"] = torch.ones_like(batch["attention_mask"])
    assert ours(model, batch) == pytest.approx(counted(model, batch), rel=0.02)


def test_language_model_agrees() -> None:
    model = LlamaForCausalLM(LLAMA)
    batch = conversations()
    del batch["pixel_values"]
    assert ours(model, batch) == pytest.approx(counted(model, batch), rel=0.02)


@pytest.mark.parametrize("trained", ["projector", "all"])
def test_vlm_agrees(trained: str) -> None:
    model = vlm().requires_grad_(trained == "all")
    projector_of(model).requires_grad_(True)
    batch = conversations()
    assert ours(model, batch) == pytest.approx(counted(model, batch), rel=0.02)


def test_adapters_agree() -> None:
    model = with_lora(vlm(), LoraSettings(rank=4, alpha=8, dropout=0.0), with_projector=True)
    batch = conversations()
    assert ours(model, batch) == pytest.approx(counted(model, batch), rel=0.02)


def test_layers_whose_output_nobody_reads_are_no_work() -> None:
    """The tower's last layer runs, but its output is thrown away: the difference is that layer."""
    batch, tokens = conversations(), 17
    last_layer = Network("image", 12 * 32 * 32, 0, 1, 32, carries=False).flops([tokens, tokens])
    whole, without = vlm(-1), vlm(-2)
    for model in (whole, without):
        model.requires_grad_(False)
        projector_of(model).requires_grad_(True)
    assert ours(whole, batch) - ours(without, batch) == pytest.approx(last_layer)


def test_causal_attention_counts_half() -> None:
    full = Network("text", 0, 0, layers=2, width=8)
    causal = Network("text", 0, 0, layers=2, width=8, causal=True)
    assert full.flops([10]) == 12 * 2 * 8 * 10**2
    assert causal.flops([10]) == 6 * 2 * 8 * 10**2


def test_weights_cost_six_four_or_two_operations() -> None:
    assert Network("text", 0, 5).flops([7]) == 6 * 5 * 7
    assert Network("text", 5, 0).flops([7]) == 4 * 5 * 7
    assert Network("text", 5, 0, carries=False).flops([7]) == 2 * 5 * 7


def test_padding_is_no_work_and_packed_rows_cost_what_padded_ones_do() -> None:
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    padded = {"input_ids": torch.zeros(2, 5), "attention_mask": mask}
    places = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 4]])
    packed = {"input_ids": torch.zeros(1, 8), "position_ids": places}
    assert lengths_of(padded, PATCHES)["text"] == lengths_of(packed, PATCHES)["text"] == [3, 5]


def test_peaks_of_the_table() -> None:
    assert peak_flops("NVIDIA H200", float32=False) == 989e12
    assert peak_flops("NVIDIA H100 80GB HBM3", float32=False) == 989e12
    assert peak_flops("NVIDIA A100-SXM4-80GB", float32=False) == 312e12
    assert peak_flops("Tesla V100-SXM2-16GB", float32=False) == 125e12
    assert peak_flops("NVIDIA H100 PCIe", float32=False) == 756e12
    assert peak_flops("NVIDIA H100 NVL", float32=True) == 418e12
    assert peak_flops("NVIDIA H200 NVL", float32=False) == 835e12
    assert peak_flops("NVIDIA GH200 480GB", float32=True) == 494e12
    assert peak_flops("Tesla V100-PCIE-32GB", float32=True) == 14e12


@pytest.mark.parametrize(
    "name",
    [
        "CPU",
        "NVIDIA RTX A1000 Laptop GPU",
        "NVIDIA A10",
        "NVIDIA H20",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "Tesla V100S-PCIE-32GB",
    ],
)
def test_a_device_whose_peak_no_row_tells_has_none(name: str) -> None:
    assert peak_flops(name, float32=False) is None
    assert peak_flops(name, float32=True) is None

"""Floating-point operations that a stage's batch asks for, and what a device could do.

A matrix of N weights costs each token 2N forward, 2N for the gradient of what came before it, if
anything before it learns, and 2N for its own gradient, if it learns: 6N for trained weights, 4N for
frozen ones that a gradient passes, 2N for a frozen tower that none passes. Attention costs a
sequence of T tokens 4 T² x width forward in each layer and twice that backward; where it is causal,
half: the masked half is no work. Not counted: what is computed again (checkpointing, gradient
caching), padding, layers whose output nobody reads, embedding tables, norms, the softmax, the loss
and the optimizer.

Shapes: B images or pairs, T tokens of one sequence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from models.packing import Batch

Reads = Literal["image", "patches", "text", "supervised", "pairs"]
Lengths = dict[Reads, Sequence[int]]

PEAK_TERAFLOPS = (
    # device name, bfloat16 or float16, float32 as a stage runs it; dense, as NVIDIA's data sheets
    # give them (half of what they print "with sparsity"). The first row that fits counts.
    (r"\bMIG\b", None, None),  # a slice: no sheet tells its share
    (r"\bH[12]00 NVL\b", 835.0, 418.0),  # H100 and H200 data sheets, column NVL; float32 in TF32
    (r"\bH100 PCIe\b", 756.0, 378.0),  # H100 data sheet, column PCIe
    (r"\bH100 80GB HBM3\b", 989.0, 494.0),  # H100 data sheet, column SXM
    (r"\bG?H200\b", 989.0, 494.0),  # H200 data sheet, column SXM; GH200 data sheet
    (r"\bA100\b", 312.0, 156.0),  # A100 data sheet, the same for PCIe and SXM
    (r"\bV100-SXM[23]\b", 125.0, 15.7),  # V100 data sheet, column NVLink; float16; no TF32
    (r"\bV100-PCIE\b", 112.0, 14.0),  # V100 data sheet, column PCIe
)


@dataclass(frozen=True)
class Network:
    """One part of a model and the tokens that pass it.

    Args:
        reads: whose tokens.
        frozen, trained: entries of its matrices.
        layers, width: of its attention; none: 0 layers.
        carries: whether a gradient passes to what comes before it.
    """

    reads: Reads
    frozen: int
    trained: int
    layers: int = 0
    width: int = 0
    causal: bool = False
    carries: bool = True

    def flops(self, lengths: Sequence[int], *, causal_as_half: bool = True) -> float:
        """Forward and backward over sequences of these lengths."""
        weights = self.frozen + self.trained
        passes = 2 if self.carries else 1
        by_token = 2 * weights * passes + 2 * self.trained
        backward = 2 if self.carries or self.trained else 0
        share = 0.5 if self.causal and causal_as_half else 1.0
        by_square = 4 * self.layers * self.width * (1 + backward) * share
        return by_token * sum(lengths) + by_square * sum(length**2 for length in lengths)


def batch_flops(
    networks: Sequence[Network], lengths: Lengths, *, causal_as_half: bool = True
) -> float:
    """Operations of one batch, forward and backward."""
    return sum(
        network.flops(lengths[network.reads], causal_as_half=causal_as_half)
        for network in networks
        if network.reads in lengths
    )


def lengths_of(batch: Batch, patches: int) -> Lengths:
    """Tokens of each sequence of a batch, padding left out.

    Args:
        batch: padded (``attention_mask``), or laid end to end in one row (``position_ids`` that
            start anew).
        patches: tokens of an image; the tower sees one more, CLS.
    """
    lengths: Lengths = {"text": _text_lengths(batch)}
    if "pixel_values" in batch:
        images = len(batch["pixel_values"])
        lengths |= {"image": [patches + 1] * images, "patches": [patches] * images}
        lengths["pairs"] = [1] * images
    if "labels" in batch:
        lengths["supervised"] = [batch["labels"].numel()]
    return lengths


def _text_lengths(batch: Batch) -> list[int]:
    if "attention_mask" in batch:
        counts: list[int] = batch["attention_mask"].sum(dim=-1).tolist()
        return counts
    if "position_ids" in batch:
        starts = (batch["position_ids"].flatten() == 0).nonzero().flatten().tolist()
        ends = [*starts[1:], batch["position_ids"].numel()]
        return [end - start for start, end in zip(starts, ends, strict=True)]
    rows, tokens = batch["input_ids"].shape
    return [tokens] * rows


def networks_of(model: Any) -> list[Network]:
    """The parts of a dual encoder, a VLM (with or without adapters) or a language model."""
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    if hasattr(base, "text_projection"):
        return _dual_encoder(base)
    if hasattr(base.config, "vision_config"):
        return _vlm(base)
    return _language(base.model, base.lm_head, base.config)


def _dual_encoder(model: Any) -> list[Network]:
    text, config = model.text_model, model.config.text_config
    learns = _learns(text)
    return [
        *_tower(model.vision_model, model.config.vision_config, -1),
        Network("pairs", *_weights(model.visual_projection), carries=_learns(model.vision_model)),
        Network(
            "text",
            *_weights(text, leave_out=r"^pooler\."),
            config.num_hidden_layers,
            config.hidden_size,
            carries=learns,
        ),
        Network("pairs", *_weights(model.text_projection), carries=learns),
    ]


def _vlm(model: Any) -> list[Network]:
    parts, config = model.model, model.config
    tower = _tower(parts.vision_tower, config.vision_config, config.vision_feature_layer)
    first, *others = [
        module
        for name, module in parts.multi_modal_projector.named_modules()
        if isinstance(module, nn.Linear) and "original_module" not in name
    ]
    return [
        *tower,
        Network("patches", *_weights(first), carries=_learns(parts.vision_tower)),
        *(Network("patches", *_weights(each)) for each in others),
        *_language(parts.language_model, model.lm_head, config.text_config),
    ]


def _tower(tower: nn.Module, config: Any, feature_layer: int) -> list[Network]:
    """The vision tower's used layers; its patch embedding has nothing before it."""
    learns = _learns(tower)
    used = config.num_hidden_layers + 1 + feature_layer
    unused = "|".join(str(layer) for layer in range(used, config.num_hidden_layers))
    leave_out = r"^embeddings\." + (rf"|\blayers?\.({unused})\." if unused else "")
    return [
        Network("patches", *_weights(tower.get_submodule("embeddings")), carries=False),
        Network("image", *_weights(tower, leave_out), used, config.hidden_size, carries=learns),
    ]


def _language(decoder: nn.Module, head: nn.Module, config: Any) -> list[Network]:
    layers, width = config.num_hidden_layers, config.hidden_size
    return [
        Network("text", *_weights(decoder), layers, width, causal=True),
        Network("supervised", *_weights(head)),
    ]


def _weights(module: nn.Module, leave_out: str | None = None) -> tuple[int, int]:
    """Entries of frozen and of trained matrices; of those with adapters, both."""
    frozen = trained = 0
    for name, each in module.named_modules():
        if not isinstance(each, nn.Linear | nn.Conv2d):
            continue
        if leave_out is not None and re.search(leave_out, name):
            continue
        entries = _entries(each)
        if each.weight.requires_grad:
            trained += entries
        else:
            frozen += entries
    return frozen, trained


def _entries(layer: nn.Linear | nn.Conv2d) -> int:
    """From its shape, for a part-held or four-bit weight has another number of elements."""
    if isinstance(layer, nn.Linear):
        return layer.in_features * layer.out_features
    side_by_side = layer.kernel_size[0] * layer.kernel_size[1]
    return layer.in_channels * layer.out_channels * side_by_side


def _learns(module: nn.Module) -> bool:
    return any(each.requires_grad for each in module.parameters())


def peak_flops(device_name: str, *, float32: bool) -> float | None:
    """Operations per second that a device could do, None where the table does not know it."""
    for pattern, half, full in PEAK_TERAFLOPS:
        if re.search(pattern, device_name):
            peak = full if float32 else half
            return None if peak is None else peak * 1e12
    return None


def device_name(on_gpu: bool) -> str:
    """The GPU's name as CUDA tells it, or CPU."""
    return torch.cuda.get_device_name() if on_gpu else "CPU"

"""A vision tower's state dict, in timm's or CLIP's layout, → a Hugging Face folder.

What becomes of it: ``Dinov2Model`` for timm's Vision Transformers (DINOv2's own layout is the same;
without LayerScale, as BiomedCLIP's ViT-B/16, the scales are one), ``CLIPVisionModel`` for CLIP's.
"""

from __future__ import annotations

from functools import reduce
from math import isqrt

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel, PreTrainedModel
from transformers.models.dinov2 import Dinov2Model

from infra.errors import InputError
from infra.runs import ConvertRun
from models.convert.encoder import (
    HEAD_WIDTH,
    count_blocks,
    dinov2_shapes,
    fill_absent,
    require_tower,
)
from models.convert.files import read_checkpoint
from models.convert.layouts import clip_vit, timm_vit
from models.convert.pairs import State, require_shapes, rows, to_ours
from models.positions import resize_positions
from models.processor import save_image_processor

LEFT_OUT = ("mask_token", "proj", "head.", "fc_norm.")
"""Tensors behind or beside a tower: DINOv2's mask token, CLIP's projection, timm's classifier."""


def import_vision(run: ConvertRun) -> dict[str, object]:
    """Write the tower's folder; returns facts to report.

    Raises:
        InputError: the file is of neither layout, or its patches are not of the wanted size.
    """
    whole, _ = read_checkpoint(run.source)
    layout, state = tower_tensors(whole, run.source.name)
    left_out = sorted(name for name in state if name.startswith(LEFT_OUT))
    state = {name: value for name, value in state.items() if name not in left_out}
    tower = (timm_tower if layout == "timm" else clip_tower)(state, run)
    tower.save_pretrained(run.output)
    save_image_processor(tower.config.image_size, run.output)
    side = tower.config.image_size // tower.config.patch_size
    return {
        "model_type": tower.config.model_type,
        "image_px": tower.config.image_size,
        "patches": side * side,
        "left_out": left_out,
    }


def tower_tensors(state: State, where: str) -> tuple[str, dict[str, torch.Tensor]]:
    """(layout, its tensors without prefix); a text tower beside it is not looked at.

    Raises:
        InputError: neither layout's first convolution is there.
    """
    for layout, first in (("timm", "patch_embed.proj.weight"), ("clip", "conv1.weight")):
        for name in state:
            if name.endswith(first):
                prefix = name.removesuffix(first)
                kept = {n: value for n, value in state.items() if n.startswith(prefix)}
                return layout, {n.removeprefix(prefix): value for n, value in kept.items()}
    raise InputError(
        f"no patch embedding in {where}",
        "a Vision Transformer in timm's or CLIP's layout",
        "name the file of the weights",
    )


def timm_tower(state: dict[str, torch.Tensor], run: ConvertRun) -> PreTrainedModel:
    """timm's layout → ``Dinov2Model`` at the wanted image size."""
    where = run.source.name
    config = dinov2_shapes(state, where)
    require_patch(config.patch_size, run, where)
    require_heads(config.hidden_size, run, where)
    config.num_attention_heads = run.heads or config.num_attention_heads
    if run.image_px:
        config.image_size = run.image_px
        side = run.image_px // config.patch_size
        state["pos_embed"] = resize_positions(state["pos_embed"][0], side, special=1)[None]
    scaled = "blocks.0.ls1.gamma" in state
    ours = to_ours(timm_vit(config.num_hidden_layers, layer_scale=scaled), state, where)
    return filled(Dinov2Model(config), ours, where)


def clip_tower(state: dict[str, torch.Tensor], run: ConvertRun) -> PreTrainedModel:
    """CLIP's layout → ``CLIPVisionModel`` at the wanted image size."""
    where = run.source.name
    layers = count_blocks(state, r"transformer\.resblocks\.(\d+)\.")
    ours = to_ours(clip_vit(layers), state, where)
    name = "embeddings.position_embedding.weight"
    require_tower(state["conv1.weight"], ours[name], 2, layers, where)
    width, patch = state["conv1.weight"].shape[0], state["conv1.weight"].shape[-1]
    require_patch(patch, run, where)
    require_heads(width, run, where)
    side = run.image_px // patch if run.image_px else isqrt(max(len(ours[name]) - 1, 0))
    ours[name] = resize_positions(ours[name], side, special=1)
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=rows(ours["encoder.layers.0.mlp.fc1.weight"]),
        num_hidden_layers=layers,
        num_attention_heads=run.heads or max(1, width // HEAD_WIDTH),
        image_size=side * patch,
        patch_size=patch,
        hidden_act=run.activation,
    )
    return filled(CLIPVisionModel(config), ours, where)


def filled(tower: PreTrainedModel, ours: dict[str, torch.Tensor], where: str) -> PreTrainedModel:
    """The tower with those weights, in a type that holds all of theirs."""
    fill_absent(tower, ours)
    require_shapes(ours, tower.state_dict(), where)
    widest = reduce(torch.promote_types, (each.dtype for each in ours.values()))
    tower.to(widest).load_state_dict(ours)
    return tower


def require_heads(width: int, run: ConvertRun, where: str) -> None:
    """Heads share a tower's width in equal parts.

    Raises:
        InputError: the asked number does not divide it.
    """
    if run.heads and width % run.heads:
        raise InputError(
            f"{run.heads} heads for {where}, which is {width} wide",
            "a number that divides its width",
            "leave --heads out unless its publisher tells another number",
        )


def require_patch(patch_px: int, run: ConvertRun, where: str) -> None:
    """A tower's patches cannot be changed, and the image must hold whole ones.

    Raises:
        InputError: they differ from what is wanted.
    """
    if run.patch_px not in (None, patch_px):
        raise InputError(
            f"patches of {patch_px} px in {where}",
            f"{run.patch_px} px as asked for",
            "name a tower with such patches; only positions can be resized",
        )
    if run.image_px and run.image_px % patch_px:
        raise InputError(
            f"patches of {patch_px} px in {where}",
            f"a whole number of them in {run.image_px} px",
            f"choose a multiple of {patch_px}",
        )

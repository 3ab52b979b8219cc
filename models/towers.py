"""Vision towers: DINOv2, CLIP's and SigLIP's image encoders, in Hugging Face's classes.

A recipe swaps one for another by ``models.vision.architecture``. Published weights bring what the
settings do not tell (activation, norms) and are fitted to the recipe's image size.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from transformers import (
    AutoConfig,
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    PretrainedConfig,
    PreTrainedModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.models.dinov2 import Dinov2Model

from infra.errors import InputError
from infra.settings.stages import VisionSettings
from models.positions import resize_positions
from models.whole import load_whole

Architecture = Literal["dinov2", "clip", "siglip"]
FEED_FORWARD = 4  # hidden width of a block's MLP over its width: ViT, CLIP and SigLIP base alike


@dataclass(frozen=True)
class TowerKind:
    """One architecture: its classes, where positions lie, how many are no patches, where its blocks
    are, and what stands behind the last of them."""

    config: type[PretrainedConfig]
    model: type[PreTrainedModel]
    published_types: frozenset[str]
    positions: str
    special: int
    blocks: str
    pooling: tuple[str, ...]


TOWERS: dict[Architecture, TowerKind] = {
    "dinov2": TowerKind(
        Dinov2Config,
        Dinov2Model,
        frozenset({"dinov2"}),
        "embeddings.position_embeddings",
        1,
        "encoder.layer",
        ("layernorm",),
    ),
    "clip": TowerKind(
        CLIPVisionConfig,
        CLIPVisionModel,
        frozenset({"clip", "clip_vision_model"}),
        "embeddings.position_embedding.weight",
        1,
        "encoder.layers",
        ("post_layernorm",),
    ),
    "siglip": TowerKind(
        SiglipVisionConfig,
        SiglipVisionModel,
        frozenset({"siglip", "siglip_vision_model"}),
        "embeddings.position_embedding.weight",
        0,
        "encoder.layers",
        ("post_layernorm", "head"),
    ),
}


def initial_spread(width: int) -> float:
    """Standard deviation of random initial weights.

    0.02 at width 768 (BERT, ViT-B, GPT-2), and with the root of the width at others, so that a
    layer's output keeps its size: measured on replicas, a tower 128 wide then learns in a third of
    the steps.
    """
    return float(0.02 * (768 / width) ** 0.5)


def tower_config(vision: VisionSettings, published: Path | None = None) -> PretrainedConfig:
    """The vision tower's configuration, DINOv2's without its mask token.

    Args:
        published: the folder of the weights that the tower will start from.

    Raises:
        InputError: the published tower is of another architecture or shape.
    """
    if published is not None:
        return _published_config(vision, published)
    shapes = {
        "hidden_size": vision.width,
        "num_hidden_layers": vision.layers,
        "num_attention_heads": vision.heads,
        "image_size": vision.image_px,
        "patch_size": vision.patch_px,
    }
    if vision.architecture == "dinov2":
        spread = {"initializer_range": initial_spread(vision.width), "use_mask_token": False}
        return Dinov2Config(**shapes, **spread, mlp_ratio=FEED_FORWARD)
    # CLIP and SigLIP scale their random weights by the width themselves.
    kind = TOWERS[vision.architecture].config
    return kind(**shapes, intermediate_size=FEED_FORWARD * vision.width)


def feature_strategy(vision: VisionSettings) -> Literal["default", "full"]:
    """LLaVA's word for what is taken from a hidden state: all but CLS, or all where none is."""
    return "default" if TOWERS[vision.architecture].special else "full"


def train_tower(tower: PreTrainedModel, architecture: Architecture, feature_layer: int) -> None:
    """Train what a VLM's features come from; freeze the blocks after them, the last norm, the head.

    Those never get a gradient, for which DDP would wait at the second step.

    Args:
        feature_layer: the hidden state that is read, counted from the end; -1 is the last block's.
    """
    kind = TOWERS[architecture]
    tower.requires_grad_(True)
    blocks = tower.get_submodule(kind.blocks)
    assert isinstance(blocks, torch.nn.ModuleList), f"{kind.blocks} is no list of blocks"
    unread = blocks[len(blocks) + 1 + feature_layer :]
    for each in (*unread, *(tower.get_submodule(name) for name in kind.pooling)):
        each.requires_grad_(False)


def load_published_tower(tower: PreTrainedModel, vision: VisionSettings, folder: Path) -> None:
    """Load published weights into a tower made by ``tower_config`` for the same folder.

    DINOv2's mask token, of its own pretraining, is left out; positions are resized.
    """
    kind = TOWERS[vision.architecture]
    state = load_whole(kind.model, folder, dtype=torch.float32).state_dict()
    state.pop("embeddings.mask_token", None)
    table = state[kind.positions]
    side = vision.image_px // vision.patch_px
    flat = table.reshape(-1, table.shape[-1])
    resized = resize_positions(flat, side, kind.special)
    state[kind.positions] = resized.reshape(*table.shape[:-2], *resized.shape)
    tower.load_state_dict(state)


def _published_config(vision: VisionSettings, folder: Path) -> PretrainedConfig:
    kind = TOWERS[vision.architecture]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a whole CLIP's text configuration is not ours to mend
        found = str(AutoConfig.from_pretrained(folder).model_type)
    if found not in kind.published_types:
        raise InputError(
            f"a model of type '{found}' in {folder}",
            f"one of {', '.join(sorted(kind.published_types))}",
            "set models.vision.architecture or models.vision.weights",
        )
    config = kind.config.from_pretrained(folder)
    told = (vision.width, vision.layers, vision.heads, vision.patch_px)
    held = (
        config.hidden_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.patch_size,
    )
    if told != held:
        raise InputError(
            f"width, layers, heads, patch_px {held} in {folder}",
            f"the recipe's {told}",
            "set models.vision to the published tower's shapes",
        )
    config.image_size = vision.image_px
    if vision.architecture == "dinov2":
        config.use_mask_token = False
    return config

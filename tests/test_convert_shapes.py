"""The release at the paper's scale, on the meta device: every name and shape, nothing left over."""

from __future__ import annotations

from math import prod

import torch
from release_world import (
    PAPER_TEXT,
    PAPER_VISION,
    PREFIX,
    adapter_shapes,
    checkpoint_shapes,
    projector_shapes,
)
from transformers import LlamaConfig

from infra.settings import load_settings
from models.convert import adapter as adapters
from models.convert.layouts import lora, open_clip_dual, projector
from models.convert.pairs import Pair, State, to_ours, to_theirs
from models.dual_encoder import CxrDualEncoder, dual_encoder_config
from models.projector import VLM_OF_PROJECTOR, projector_of
from models.vlm import vlm_config

PAPER = load_settings("llava_rad", "paper").models
PAPER_LANGUAGE = {"width": 4096, "layers": 32, "feed_forward": 11008}


def shapes_of(state: State) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


def on_meta(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def parameters(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(prod(shape) for shape in shapes.values())


def covers(pairs: list[Pair], published: dict[str, tuple[int, ...]], ours: State) -> None:
    """The pairs lead from every published tensor to every one of ours and back, in shape."""
    assert shapes_of(to_theirs(pairs, ours)) == published
    assert shapes_of(to_ours(pairs, on_meta(published), "here")) == shapes_of(ours)


def test_every_tensor_of_the_encoders_checkpoint_has_its_place() -> None:
    with torch.device("meta"):
        dual = CxrDualEncoder(dual_encoder_config(PAPER, 30522))
    published = checkpoint_shapes(PAPER_VISION, PAPER_TEXT, hidden=640, embedding=512)
    assert parameters(published) == 197_274_369
    covers(open_clip_dual(12, 12, layer_scale=True, pooler=True), published, dual.state_dict())


def test_every_tensor_of_the_adapter_and_projector_has_its_place() -> None:
    text = LlamaConfig(
        vocab_size=32001,
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
    )
    with torch.device("meta"):
        vlm = VLM_OF_PROJECTOR["mlp2x_gelu"](vlm_config(PAPER, text, 32000))
    published = adapter_shapes(PAPER_LANGUAGE, rank=64)
    assert (len(published), parameters(published)) == (448, 159_907_840)
    covers(lora(32), published, adapters.adapter_shapes(vlm, rank=64))
    heads = projector_shapes(768, 4096)
    assert parameters(heads) == 19_931_136
    own = {
        f"base_model.model.model.multi_modal_projector.{name}": value
        for name, value in projector_of(vlm).state_dict().items()
    }
    covers(projector(PREFIX), heads, own)


def test_files_of_that_size_are_what_was_published() -> None:
    """Half precision makes the published files' bytes, but for a few kilobytes of names."""
    heads, low_rank = projector_shapes(768, 4096), adapter_shapes(PAPER_LANGUAGE, rank=64)
    assert 0 < 39_864_496 - 2 * parameters(heads) < 4_000
    assert 0 < 319_971_402 - 2 * parameters(low_rank) < 200_000

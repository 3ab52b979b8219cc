"""The blocks of a Llama, Qwen2 or Mistral over tokens laid end to end, attention by the caller.

The weights and norms are Hugging Face's own modules; what is ours is that tokens of many sequences
share one pass, that attention reads our cache, and how a CPU multiplies a few rows. Shapes: L
tokens, W width, H heads, G key-value heads, D width of a head, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import nn
from transformers import LlamaModel, MistralModel, Qwen2Model
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, apply_rotary_pos_emb
from transformers.models.mistral.modeling_mistral import MistralDecoderLayer
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer

LanguageModel: TypeAlias = LlamaModel | Qwen2Model | MistralModel
"""One structure: Qwen2 adds biases to queries, keys and values, Mistral and Qwen2 may limit how far
back a token sees, which is the caller's to heed (``seen_back``)."""

Block: TypeAlias = LlamaDecoderLayer | Qwen2DecoderLayer | MistralDecoderLayer

Attend: TypeAlias = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor | None]
"""(layer, queries [L, H, D], keys and values [L, G, D]) → [L, H, D]; None ends the pass."""

FEW_ROWS = range(3, 65)
"""Measured on one core (AVX-512, float32): a product of so few rows with weights of 512 columns is
1.3 to 2.8 times as fast the other way round; with 1, 2 or hundreds of rows it gains nothing."""


def seen_back(language: LanguageModel) -> int | None:
    """How many tokens a token sees, itself among them; None where it sees all before it."""
    window: int | None = getattr(language.config, "sliding_window", None)
    return window


def run_blocks(
    language: LanguageModel, hidden: torch.Tensor, positions: torch.Tensor, attend: Attend
) -> torch.Tensor | None:
    """Embedded tokens [L, W] at positions [L] → normed states [L, W]; None if ``attend`` ended."""
    cosine, sine = language.rotary_emb(hidden[None], position_ids=positions[None])
    for layer, block in enumerate(language.layers):
        mixed = _attention(block, layer, hidden, (cosine[0], sine[0]), attend)
        if mixed is None:
            return None
        hidden = hidden + mixed
        hidden = hidden + _feed_forward(block, block.post_attention_layernorm(hidden))
    normed: torch.Tensor = language.norm(hidden)
    return normed


def _attention(
    block: Block,
    layer: int,
    hidden: torch.Tensor,
    turn: tuple[torch.Tensor, torch.Tensor],
    attend: Attend,
) -> torch.Tensor | None:
    own = block.self_attn
    normed = block.input_layernorm(hidden)
    queries, keys, values = (
        times(linear, normed).view(len(normed), -1, own.head_dim)
        for linear in (own.q_proj, own.k_proj, own.v_proj)
    )
    queries, keys = apply_rotary_pos_emb(queries, keys, *turn, unsqueeze_dim=1)
    mixed = attend(layer, queries, keys, values)
    return None if mixed is None else times(own.o_proj, mixed.flatten(1))


def _feed_forward(block: Block, normed: torch.Tensor) -> torch.Tensor:
    mlp = block.mlp
    gated = mlp.act_fn(times(mlp.gate_proj, normed)) * times(mlp.up_proj, normed)
    return times(mlp.down_proj, gated)


def times(linear: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """A linear layer's output [L, out], one row after another in memory."""
    return product(linear, rows).contiguous()


def product(linear: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """A linear layer's output [L, out]; few rows on a CPU are multiplied the other way round.

    Those lie in memory column by column, as they were made: to turn 32,000 logits of each row costs
    more than to look for the greatest where they are.
    """
    few = rows.device.type == "cpu" and rows.dtype == torch.float32 and len(rows) in FEW_ROWS
    if few and type(linear) is nn.Linear:
        turned = torch.mm(linear.weight, rows.t().contiguous()).t()
        bias = linear._parameters["bias"]
        return turned if bias is None else turned + bias
    out: torch.Tensor = linear(rows)
    return out

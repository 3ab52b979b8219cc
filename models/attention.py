"""Attention from the tokens of a text to the image, kept small: only the rows that were asked for.

A function registered with transformers' AttentionInterface runs the usual fast attention and, for
the asked rows alone, works out the probabilities too. At paper scale one text of 100 tokens keeps
100 x 1,369 of 1,600 x 1,600 numbers per head. Rows are the places whose state writes a token: the
one before it. Shapes: L layers, H heads, T tokens, K asked rows, N image tokens, S sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch.nn import functional
from transformers import AttentionInterface, LlavaForConditionalGeneration

ROWS: Final = "cxr_rows"
"""The name under which the capturing attention is registered."""

_RECORDING: list[Recording] = []
"""What the attention function writes to; one at most."""


@dataclass
class Recording:
    """Rows of attention of one forward pass over one unpadded sequence.

    Args:
        rows: [K] places in the sequence; ``columns`` [N] the image's.
        with_rollout: also follow attention through all layers.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    with_rollout: bool = False
    layers: list[torch.Tensor] = field(default_factory=list)
    rollout: torch.Tensor | None = None

    def keep(self, probabilities: torch.Tensor) -> None:
        """One layer's [H, K, T]; where gradients are on, its own is kept. The first layer's are the
        graph's leaves, for no weight is trained here."""
        if torch.is_grad_enabled():
            probabilities.requires_grad_()
            probabilities.retain_grad()
        self.layers.append(probabilities)

    def follow(self, mean: torch.Tensor) -> None:
        """Rollout: the product over layers of half the mean attention [T, T] and half identity
        (Abnar and Zuidema 2020, Quantifying attention flow)."""
        eye = torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
        mixed = 0.5 * mean + 0.5 * eye
        self.rollout = mixed if self.rollout is None else mixed @ self.rollout

    def maps(self) -> torch.Tensor:
        """[L, H, K, N], float32, without gradients."""
        return torch.stack([layer.detach()[..., self.columns].float() for layer in self.layers])

    def weighted(self) -> torch.Tensor:
        """[K, N]: attention times its gradient, what is positive, mean over layers and heads."""
        kept = []
        for layer in self.layers:
            assert layer.grad is not None, "no gradient: call backward first"
            kept.append((layer.detach() * layer.grad).float()[..., self.columns].clamp(min=0))
        return torch.stack(kept).mean(dim=(0, 1))

    def rolled(self) -> torch.Tensor:
        """[K, N]: what reaches each row from each image token through all layers."""
        assert self.rollout is not None, "rollout was not asked for"
        return self.rollout[self.rows][:, self.columns]


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of one unpadded sequence, [1, H, T, D] → [1, T, H, D], recorded.

    The asked rows' outputs are made from the probabilities that are kept, so that gradients pass
    through them.
    """
    del module, attention_mask, dropout, others
    recording = _RECORDING[-1]
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    output = functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
    rows = recording.rows
    probabilities = _probabilities(query[0, :, rows], key[0], rows, scale)
    recording.keep(probabilities)
    own = torch.einsum("hkt,htd->hkd", probabilities.to(value.dtype), value[0])
    output = output.index_copy(2, rows, own[None])
    if recording.with_rollout:
        recording.follow(_mean_attention(query[0].detach(), key[0].detach(), scale))
    return output.transpose(1, 2).contiguous(), None


def _probabilities(
    query: torch.Tensor, key: torch.Tensor, rows: torch.Tensor, scale: float
) -> torch.Tensor:
    """[H, K, T] in float32 from queries [H, K, D] at ``rows`` and keys [H, T, D]."""
    logits = torch.einsum("hkd,htd->hkt", query.float(), key.float()) * scale
    places = torch.arange(key.shape[1], device=key.device)
    return logits.masked_fill(places[None, None] > rows[None, :, None], -torch.inf).softmax(-1)


def _mean_attention(query: torch.Tensor, key: torch.Tensor, scale: float) -> torch.Tensor:
    """[T, T]: the mean over heads, head by head, so that one head's square is held at a time."""
    rows = torch.arange(query.shape[1], device=query.device)
    total = torch.zeros(len(rows), len(rows), device=query.device)
    for head in range(query.shape[0]):
        one = slice(head, head + 1)
        total += _probabilities(query[one], key[one], rows, scale)[0]
    return total / query.shape[0]


AttentionInterface.register(ROWS, attend)


@contextmanager
def recorded(model: LlavaForConditionalGeneration, recording: Recording) -> Iterator[Recording]:
    """Within the block the language model's attention is written to ``recording``."""
    language = model.model.language_model
    usual = language.config._attn_implementation
    language.set_attn_implementation(ROWS)
    _RECORDING.append(recording)
    try:
        yield recording
    finally:
        _RECORDING.pop()
        language.set_attn_implementation(usual)


def mean_of_rows(values: torch.Tensor, sentences: Sequence[Sequence[int]]) -> torch.Tensor:
    """[…, K, N] → [S, …, N]: the mean over each sentence's rows, given by their place in K."""
    return torch.stack([values[..., list(rows), :].mean(dim=-2) for rows in sentences])

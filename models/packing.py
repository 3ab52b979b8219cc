"""Examples laid end to end in one row without padding, or padded; attention that keeps them apart.

Shapes: B examples, T tokens of a row, K supervised tokens, H heads, G key heads, D a head's width.

Both layouts supervise the same tokens in the same order: ``logits_to_keep`` marks the places that
predict them, so that the head computes logits there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import torch
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

Batch: TypeAlias = dict[str, torch.Tensor]

PACKED = "cxr_packed"
"""The name under which transformers finds the attention of this module."""

_AMPERE = 8
"""First compute capability (major) that PyTorch's variable-length kernel runs on."""


@dataclass(frozen=True)
class Encoded:
    """One example's token ids: what is given, and the answer that is learned.

    Args:
        also: ascending places of the prompt, the first excepted, that are learned too.
    """

    prompt: list[int]
    answer: list[int]
    also: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def lay_end_to_end(examples: Sequence[Encoded]) -> Batch:
    """One row of all tokens, none of them padding.

    Returns:
        input_ids and position_ids [1, T], the positions starting anew with each example;
        sequence_starts int32 [B + 1], where each begins and, last, T; what ``_supervised`` adds.
    """
    ids = [token for each in examples for token in (*each.prompt, *each.answer)]
    positions = [place for each in examples for place in range(len(each))]
    lengths = torch.tensor([0, *(len(each) for each in examples)], dtype=torch.int32)
    kept = torch.cat([_predicting(each, len(each)) for each in examples])
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "sequence_starts": lengths.cumsum(0, dtype=torch.int32),
        **_supervised(examples, kept[None]),
    }


def pad_right(examples: Sequence[Encoded], pad_id: int) -> Batch:
    """A row per example, as long as the longest.

    Returns:
        input_ids and attention_mask [B, T], and what ``_supervised`` adds.
    """
    longest = max(len(each) for each in examples)
    ids = torch.full((len(examples), longest), pad_id)
    mask = torch.zeros_like(ids)
    for row, each in enumerate(examples):
        ids[row, : len(each)] = torch.tensor(each.prompt + each.answer)
        mask[row, : len(each)] = 1
    kept = torch.stack([_predicting(each, longest) for each in examples])
    return {"input_ids": ids, "attention_mask": mask, **_supervised(examples, kept)}


def _predicting(example: Encoded, length: int) -> torch.Tensor:
    """Bool [length]: the places whose next token is learned."""
    kept = torch.zeros(length, dtype=torch.bool)
    kept[[place - 1 for place in example.also]] = True
    kept[len(example.prompt) - 1 : len(example) - 1] = True
    return kept


def _supervised(examples: Sequence[Encoded], kept: torch.Tensor) -> Batch:
    """logits_to_keep bool like the ids; labels and shift_labels [K], the tokens to predict there.

    The labels are given twice: transformers computes a loss where it finds ``labels``, and takes
    ``shift_labels`` as they stand instead of moving labels by one.
    """
    answers = torch.tensor(
        [
            token
            for each in examples
            for token in (*(each.prompt[place] for place in each.also), *each.answer)
        ]
    )
    return {"logits_to_keep": kept, "labels": answers, "shift_labels": answers}


def attend_within_examples(model: PreTrainedModel) -> None:
    """Let a Llama, or the Llama in a VLM, attend within each example of a packed row.

    Rows without ``sequence_starts`` are attended to as by transformers' own ``sdpa``. A saved model
    does not remember it.
    """
    parts = dict.fromkeys(model.config.sub_configs, model.config._attn_implementation)
    chosen = {**parts, "text_config": PACKED} if "text_config" in parts else PACKED
    model.set_attn_implementation(chosen)


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sequence_starts: torch.Tensor | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each example.

    Args:
        query: [1, H, T, D]; key and value [1, G, T, D].
        sequence_starts: int32 [B + 1]; None: the rows are examples.

    Returns:
        [1, T, H, D], and no attention weights.
    """
    if sequence_starts is None:
        attended: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **others
        )
        return attended
    assert attention_mask is None, "a packed row has no padding to mask"
    if query.dtype != value.dtype:  # autocast leaves rotated queries and keys in float32
        query, key = query.to(value.dtype), key.to(value.dtype)
    if dropout == 0.0 and _has_kernel(query):
        return _by_kernel(query, key, value, sequence_starts, scaling), None
    return _one_by_one(query, key, value, sequence_starts, dropout, scaling), None


def _one_by_one(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: torch.Tensor,
    dropout: float,
    scaling: float | None,
) -> torch.Tensor:
    """Each example by a call of its own; arguments and result as ``packed_attention``'s.

    Rows are cut by one ``split``: the gradient of a slice would be as long as the whole row.
    """
    lengths = lengths_of(starts)
    queries, keys, values = (torch.split(each, lengths, dim=2) for each in (query, key, value))
    attended = [
        scaled_dot_product_attention(
            queries[row],
            keys[row],
            values[row],
            dropout_p=dropout,
            scale=scaling,
            is_causal=True,
            enable_gqa=query.shape[1] != key.shape[1],
        ).transpose(1, 2)
        for row in range(len(lengths))
    ]
    return torch.cat(attended, dim=1)


def _by_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: torch.Tensor,
    scaling: float | None,
) -> torch.Tensor:
    """All examples by one call of PyTorch's variable-length flash attention, on a GPU."""
    longest = max(lengths_of(starts))
    attended = varlen_attn(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        starts,
        starts,
        longest,
        longest,
        scale=scaling,
        window_size=(-1, 0),  # causal
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(attended, torch.Tensor)
    return attended[None]


def _has_kernel(query: torch.Tensor) -> bool:
    return (
        query.is_cuda
        and query.dtype in (torch.bfloat16, torch.float16)
        and torch.cuda.get_device_capability(query.device)[0] >= _AMPERE
    )


@lru_cache(maxsize=1)
def lengths_of(starts: torch.Tensor) -> list[int]:
    """The examples' lengths, on the host.

    Kept for the tensor last asked about, since every layer asks and a GPU would be waited for.
    """
    lengths: list[int] = starts.diff().tolist()
    return lengths


def packed_mask(
    *, attention_mask: torch.Tensor | None = None, q_length: int, kv_length: int, **others: Any
) -> torch.Tensor | None:
    """No mask where causal order is all there is to say; else the one of ``sdpa``."""
    if attention_mask is None and q_length == kv_length:
        return None
    mask: torch.Tensor | None = sdpa_mask(
        attention_mask=attention_mask, q_length=q_length, kv_length=kv_length, **others
    )
    return mask


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, packed_mask)

"""Training objectives. Shapes: B pairs of this process, G of all processes, E embedding width."""

from __future__ import annotations

import torch
from torch.distributed import nn as distributed_functions
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

LOGITS_AT_ONCE = 2**24
"""Entries of the similarity matrix held at a time: 64 MiB (our choice). A batch of 32,768 pairs has
2^30 of them; rows beyond are computed again in the backward pass."""


def contrastive_loss(
    images: torch.Tensor,
    texts: torch.Tensor,
    scale: torch.Tensor,
    group_keys: torch.Tensor,
    text_keys: torch.Tensor,
) -> torch.Tensor:
    """Symmetric image-text cross entropy of this process's pairs against all processes' pairs.

    A pair of the same group, or with the same text, is no negative: it leaves the softmax. The mean
    over processes is the loss of the whole batch, and the mean of their gradients its gradient:
    what reaches another process's embedding goes back to that process. Float32 whatever the
    autocast: in bfloat16 a logit of 100 is rounded to a multiple of 0.5.

    Args:
        images, texts: [B, E] unit embeddings; every process has as many.
        scale: scalar, the inverse temperature.
        group_keys, text_keys: [B] integers; the group is the study or the subject.

    Returns:
        Scalar: the mean over this process's pairs and both directions.
    """
    keys = torch.stack([group_keys, text_keys])
    with torch.autocast(images.device.type, enabled=False):
        images, texts, scale = images.float(), texts.float(), scale.float()
        ranks = _distributed()
        first = torch.distributed.get_rank() * len(images) if ranks else 0
        all_keys = _gather_keys(keys) if ranks else keys
        all_images = _gather(images) if ranks else images
        all_texts = _gather(texts) if ranks else texts
        by_image = _rows_loss(images, all_texts, scale, all_keys, first)
        by_text = _rows_loss(texts, all_images, scale, all_keys, first)
    return (by_image + by_text) / 2


def _rows_loss(
    rows: torch.Tensor, columns: torch.Tensor, scale: torch.Tensor, keys: torch.Tensor, first: int
) -> torch.Tensor:
    """Mean cross entropy of [B, E] rows against [G, E] columns; row i's pair is ``first`` + i."""
    height = max(1, LOGITS_AT_ONCE // len(columns))
    total = torch.zeros((), device=rows.device)
    for start in range(0, len(rows), height):
        block = rows[start : start + height]
        arguments = (block, columns, scale, keys, first + start)
        if height >= len(rows):
            total = total + _block_loss(*arguments)
        else:
            total = total + checkpoint(_block_loss, *arguments, use_reentrant=False)
    return total / len(rows)


def _block_loss(
    rows: torch.Tensor, columns: torch.Tensor, scale: torch.Tensor, keys: torch.Tensor, first: int
) -> torch.Tensor:
    """Summed cross entropy of some rows [b, E]; ``keys`` is [2, G]."""
    own = torch.arange(first, first + len(rows), device=rows.device)
    alike = (keys[:, own, None] == keys[:, None, :]).any(dim=0)
    alike[torch.arange(len(rows), device=rows.device), own] = False
    logits = scale * rows @ columns.t()
    logits = logits.masked_fill(alike, torch.finfo(logits.dtype).min)
    return functional.cross_entropy(logits, own, reduction="sum")


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _gather(rows: torch.Tensor) -> torch.Tensor:
    """[B, E] of this process → [G, E] of all, gradients included."""
    return torch.cat(distributed_functions.all_gather(rows))  # type: ignore[no-untyped-call]


def _gather_keys(keys: torch.Tensor) -> torch.Tensor:
    """[2, B] → [2, G]."""
    every = [torch.empty_like(keys) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(every, keys)
    return torch.cat(every, dim=1)

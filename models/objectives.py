"""Training objectives. Shapes: B pairs of this process, G of all processes, E embedding width."""

from __future__ import annotations

import torch
from torch.distributed import nn as distributed_functions
from torch.nn import functional


def contrastive_loss(
    images: torch.Tensor,
    texts: torch.Tensor,
    scale: torch.Tensor,
    study_keys: torch.Tensor,
    text_keys: torch.Tensor,
) -> torch.Tensor:
    """Symmetric image-text cross entropy over all processes' pairs.

    A pair of the same study, or with the same text, is no negative: it leaves the softmax.

    Args:
        images, texts: [B, E] unit embeddings.
        scale: scalar, the inverse temperature.
        study_keys, text_keys: [B] integers.
    """
    all_images, all_texts = _gather(images), _gather(texts)
    studies, same_texts = _gather_keys(study_keys), _gather_keys(text_keys)
    logits = scale * all_images @ all_texts.t()
    alike = (studies[:, None] == studies) | (same_texts[:, None] == same_texts)
    itself = torch.eye(len(alike), dtype=torch.bool, device=alike.device)
    logits = logits.masked_fill(alike & ~itself, torch.finfo(logits.dtype).min)
    pairs = torch.arange(len(logits), device=logits.device)
    by_image = functional.cross_entropy(logits, pairs)
    return (by_image + functional.cross_entropy(logits.t(), pairs)) / 2


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _gather(rows: torch.Tensor) -> torch.Tensor:
    """[B, E] of this process → [G, E] of all, gradients included."""
    if not _distributed():
        return rows
    return torch.cat(distributed_functions.all_gather(rows))  # type: ignore[no-untyped-call]


def _gather_keys(keys: torch.Tensor) -> torch.Tensor:
    """[B] → [G]."""
    if not _distributed():
        return keys
    every = [torch.empty_like(keys) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(every, keys)
    return torch.cat(every)

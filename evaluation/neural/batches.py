"""Texts in batches of like length, and back in their own order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluation.neural.weights import Tokenizer


@dataclass(frozen=True)
class TokenBatch:
    """Some texts as tokens: ``places`` in the given order, ``ids`` and ``mask`` (B, L), int64."""

    places: list[int]
    ids: Tensor
    mask: Tensor


def token_ids(tokenizer: Tokenizer, texts: Sequence[str], longest: int) -> list[list[int]]:
    """Ids of each text with its special tokens, cut at ``longest``."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]
    return ids


def batches_of(
    rows: Sequence[list[int]], batch_size: int, padding: int, device: torch.device
) -> Iterator[TokenBatch]:
    """Batches of like length, shortest first; texts of one length keep their order."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        longest = max(len(rows[place]) for place in places)
        ids = torch.full((len(places), longest), padding, dtype=torch.long)
        mask = torch.zeros((len(places), longest), dtype=torch.long)
        for at, place in enumerate(places):
            ids[at, : len(rows[place])] = torch.tensor(rows[place])
            mask[at, : len(rows[place])] = 1
        yield TokenBatch(places, ids.to(device), mask.to(device))

"""The loss on held-out examples, the ranks sharing the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from infra.errors import InputError
from models.data import ExampleShards, Sample
from models.packing import Batch
from models.ranks import rank_and_ranks, sum_over_ranks

LARGEST_ROWS = 512
"""Validation examples looked at (our choice: the standard error of their mean is 1/sqrt(512), 4.4 %
of the spread of one example's loss, and a look costs 512 forward passes)."""
_SEED = 0  # our choice: the same rows at every look of every stage


@dataclass(frozen=True)
class Validation:
    """What a stage is validated on, and in what portions.

    Args:
        batch_size: rows of a global batch; each rank takes a contiguous part of it.
        device_rows: rows that one forward pass sees of that part.
    """

    collate: Callable[[list[Sample]], Batch]
    examples: ExampleShards
    batch_size: int
    device_rows: int


@torch.no_grad()
def validate_loss(
    model: torch.nn.Module,
    validation: Validation,
    place: Callable[[Batch], Mapping[str, Any]],
) -> float:
    """Mean loss over chosen rows: per supervised token, or per pair without labels.

    All ranks call and get the same. So that each makes as many passes as any other, up to
    ranks - 1 rows at the end are left out.

    Args:
        place: puts a batch on the model's device, in the type that the model takes.

    Raises:
        InputError: there are fewer rows than ranks.
    """
    was_training = model.training
    model.eval()
    total, weight = 0.0, 0.0
    for rows in _passes(validation):
        batch = validation.collate([validation.examples[row] for row in rows])
        counted = batch["labels"].numel() if "labels" in batch else len(rows)
        total += float(model(**place(batch)).loss) * counted
        weight += counted
    model.train(was_training)
    total, weight = sum_over_ranks((total, weight))
    return total / weight


def chosen_rows(count: int) -> list[int]:
    """All rows, or LARGEST_ROWS drawn from all shards alike, in the shards' order.

    Shards follow each other by source, so the first rows would speak for the first source alone.
    """
    if count <= LARGEST_ROWS:
        return list(range(count))
    drawn = np.random.default_rng(_SEED).choice(count, LARGEST_ROWS, replace=False)
    rows: list[int] = np.sort(drawn).tolist()
    return rows


def _passes(validation: Validation) -> list[list[int]]:
    """This rank's rows, pass by pass."""
    rank, ranks = rank_and_ranks()
    chosen = chosen_rows(len(validation.examples))
    rows = len(chosen) - len(chosen) % ranks
    if not rows:
        raise InputError(
            f"{len(validation.examples)} examples to validate on {ranks} ranks",
            "at least one for each rank",
            "train on fewer ranks or give more validate examples",
        )
    passes: list[list[int]] = []
    for start in range(0, rows, validation.batch_size):
        share = (min(start + validation.batch_size, rows) - start) // ranks
        own = chosen[start + rank * share : start + (rank + 1) * share]
        step = validation.device_rows
        passes += [own[first : first + step] for first in range(0, share, step)]
    return passes

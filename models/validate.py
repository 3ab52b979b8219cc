"""The loss on held-out examples."""

from __future__ import annotations

from collections.abc import Callable

import torch

from models.data import ExampleShards, Sample
from models.packing import Batch

LARGEST_ROWS = 512
"""Validation examples looked at (our choice: the mean's error is then a few percent)."""


@torch.no_grad()
def validate_loss(
    model: torch.nn.Module,
    collate: Callable[[list[Sample]], Batch],
    examples: ExampleShards,
    batch_size: int,
) -> float:
    """Mean loss over the first rows: per supervised token, or per pair without labels."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    total, weight = 0.0, 0
    rows = min(len(examples), LARGEST_ROWS)
    for start in range(0, rows, batch_size):
        indices = range(start, min(start + batch_size, rows))
        batch = {
            name: each.to(device)
            for name, each in collate([examples[index] for index in indices]).items()
        }
        counted = batch["labels"].numel() if "labels" in batch else len(indices)
        with torch.autocast(device.type, torch.bfloat16, enabled=_mixed(model)):
            total += float(model(**batch).loss) * counted
        weight += counted
    model.train(was_training)
    return total / weight


def _mixed(model: torch.nn.Module) -> bool:
    """Whether frozen weights are bfloat16 beside float32 ones."""
    return len({each.dtype for each in model.parameters()}) > 1

"""A stage that is ready to train, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch

from models.canvas import Canvas
from models.data import Sample
from models.packing import Batch
from models.throughput import Meter
from models.trainer import StageTrainer

ReadTexts: TypeAlias = Callable[[], Iterable[Sample]]


@dataclass(frozen=True)
class Prepared:
    """A stage ready to train.

    ``save`` writes the trained model into a folder; it may change the model, so it comes last.
    ``with_pixels`` says whether examples' images are read at all, ``canvas`` how they are shown if
    not as the vision tower's. ``trainer`` and ``meter`` train it and measure that.
    """

    model: torch.nn.Module
    collate: Callable[[list[Sample]], Batch]
    save: Callable[[Path], None]
    with_pixels: bool = True
    canvas: Canvas | None = None
    trainer: Callable[..., StageTrainer] = StageTrainer
    meter: type[Meter] = Meter

"""A running mean of a stage's weights over its steps, which draws better films than any one step's.

mean.safetensors     in a checkpoint, beside the weights themselves
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from models.named_state import trainable_parameters

MEAN = "mean.safetensors"


class RunningMean:
    """The mean of a model's trainable weights, on their device, in float32.

    Args:
        decay: the share of the mean that a step leaves, once there have been many.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = trainable_parameters(model)
        self.values = {name: each.detach().clone() for name, each in self.parameters.items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take the weights of a step that has just been made, counted from 1.

        The first steps' weights are left sooner, or the mean would long hold the untrained ones;
        the rule is the usual one, of TensorFlow's moving averages.
        """
        decay = min(self.decay, step / (9.0 + step))
        values = [self.values[name] for name in self.parameters]
        if values[0].device != next(iter(self.parameters.values())).device:
            self._follow_to_the_device()
            values = [self.values[name] for name in self.parameters]
        torch._foreach_lerp_(values, list(self.parameters.values()), 1.0 - decay)

    def _follow_to_the_device(self) -> None:
        for name, each in self.parameters.items():
            self.values[name] = self.values[name].to(each.device)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the model has the mean for its weights."""
        own = {name: each.data for name, each in self.parameters.items()}
        for name, each in self.parameters.items():
            each.data = self.values[name].to(each.device)
        try:
            yield
        finally:
            for name, each in self.parameters.items():
                each.data = own[name]

    def write(self, folder: Path) -> None:
        """Into a checkpoint's folder."""
        state = {name: each.cpu().contiguous() for name, each in self.values.items()}
        save_file(state, folder / MEAN)

    def read(self, folder: Path) -> None:
        """Back from there."""
        saved = load_file(folder / MEAN)
        self.values = {name: saved[name].to(each.device) for name, each in self.parameters.items()}

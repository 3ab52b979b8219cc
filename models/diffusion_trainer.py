"""The trainer of CXR-SD's stages: noise by example and step, and a running mean of the weights.

What its frozen parts read of the examples is read once, where it is no more than a device holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from models.diffusion_networks import LatentDiffusion
from models.frozen_readings import read_all
from models.running_mean import RunningMean
from models.trainer import StageTrainer


class DiffusionTrainer(StageTrainer):
    """A StageTrainer whose model is told the step, and whose kept weights are a running mean's.

    Args:
        ema: decay of the mean; None keeps the weights themselves.
    """

    def __init__(self, *args: Any, ema: float | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mean = None if ema is None else RunningMean(self.model, ema)
        if self.mean is not None:
            self.add_callback(_FollowMean(self.mean))

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        """As every stage's; then what is frozen reads all examples, unless ranks share them."""
        prepared = super()._prepare_for_training(*args, **kwargs)
        model = self.model
        if isinstance(model, LatentDiffusion) and self.args.world_size == 1:
            assert self.train_dataset is not None, "a stage has examples"
            each = (self._prepare_inputs(self.data_collator([row])) for row in self.train_dataset)
            model.readings = read_all(each, model.read)
        return prepared

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """One forward and backward pass, its noise that of the step."""
        self.model.step = self.state.global_step
        return super().training_step(model, inputs, num_items_in_batch)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Validate and keep the mean, where there is one."""
        if self.mean is None:
            return super().evaluate(*args, **kwargs)
        with self.mean.in_place():
            return super().evaluate(*args, **kwargs)

    def write_more(self, folder: Path) -> None:
        """The mean, which a resumed stage goes on with."""
        if self.mean is not None:
            self.mean.write(folder)

    def read_more(self, folder: Path) -> None:
        if self.mean is not None:
            self.mean.read(folder)


class _FollowMean(TrainerCallback):  # type: ignore[misc]
    """Takes each step's weights into the mean."""

    def __init__(self, mean: RunningMean) -> None:
        self.mean = mean

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        self.mean.follow(state.global_step)

"""``transformers.Trainer`` with our data order, checkpoints by parameter name and JSON progress."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from infra.child import report
from infra.settings.stages import StageSettings
from infra.stopping import is_asked_to_stop
from models.checkpoint import TRAINABLE, read_training, write_training
from models.collate import with_films
from models.data import TrainingOrder
from models.dealing import DealtOrder
from models.divergence import LossWatch
from models.gradient_cache import cached_backward
from models.kept import Kept, is_better, keep, kept_at, kept_on_all_ranks
from models.loading import whole_batches
from models.mixture import MixedOrder
from models.named_state import gathered_weights, give_scalars_an_axis, load_weights
from models.ranks import on_any_rank, rank_and_ranks, require_alike, seed_step
from models.sealed import CHECKPOINT, remove_folders_but, seal
from models.throughput import Meter, Pace
from models.validate import Validation, validate_loss

TRAINER_STATE = "trainer_state.json"  # the Trainer's own name, which it looks for
_CHECKPOINTS = 2  # the last whole one outlives a kill while the next is written
_REPORT_SECONDS = 0.5  # our choice: a dashboard needs no more


class StageTrainer(Trainer):  # type: ignore[misc]
    """A Trainer whose checkpoints any number of ranks reads, and that keeps the best weights.

    Args:
        order: the stage's examples over all its steps.
        watch: is told of losses that are no number.
        validation: what the kept weights are the best on; None keeps the last.
        apart: whether ranks hold weights apart (ZeRO-3).
        meter: measures its steps.
        contrastive_piece: pairs that a device embeds at once; None embeds its share whole.
    """

    def __init__(
        self,
        *args: Any,
        order: TrainingOrder | MixedOrder,
        watch: LossWatch,
        meter: Meter,
        validation: Validation | None = None,
        apart: bool = False,
        contrastive_piece: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.order, self.watch, self.meter = order, watch, meter
        self.validation, self.apart = validation, apart
        self.contrastive_piece = contrastive_piece
        self.root = Path(str(self.args.output_dir))
        self.kept: Kept | None = kept_on_all_ranks(self.root)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        del train_dataset
        args = self.args
        passes = args.gradient_accumulation_steps
        return DealtOrder(self.order, args.world_size, args.per_device_train_batch_size, passes)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> Any:
        """A step's batches, the time that they are waited for measured."""
        batches = self.meter.waiting(whole_batches(epoch_iterator))
        return super().get_batch_samples(batches, num_batches, device)

    def _prepare_inputs(self, inputs: Any) -> Any:
        """A batch on the device, its films made what the model takes there."""
        placed = super()._prepare_inputs(inputs)
        return super()._prepare_inputs(with_films(placed))  # in the type that DeepSpeed trains in

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """One forward and backward pass."""
        if self.apart:
            require_alike(inputs, self.state.global_step + 1)
        piece = self.contrastive_piece
        if piece is None or piece >= len(inputs["input_ids"]):
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        apart = model.no_sync if isinstance(model, DistributedDataParallel) else nullcontext
        batch = super()._prepare_inputs(inputs)  # films stay bytes until their piece is embedded

        def embed(**pairs: torch.Tensor) -> Any:
            return model(**self._prepare_inputs(pairs))

        return cached_backward(embed, batch, piece, self._backward_piece, apart)

    def _backward_piece(self, loss: torch.Tensor, last: bool) -> None:
        """DeepSpeed steps within the backward pass that is said to be the last."""
        self.accelerator.gradient_state._set_sync_gradients(last)
        self.accelerator.backward(loss)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """No gain is decayed, as in CLIP: neither the temperature nor layer scales."""
        decayed: list[str] = super().get_decay_parameter_names(model)
        axes = {name: each.dim() for name, each in model.named_parameters()}
        return [name for name in decayed if axes.get(name, 0) > 1]  # some are declared, not there

    def evaluate(self, *_args: Any, **_kwargs: Any) -> dict[str, float]:
        """Validate, and keep the weights if they are the best so far; all ranks agree.

        Each remembers what is kept: the disk is read when a stage starts, by the first rank.
        """
        loss, step = None, self.state.global_step
        if self.validation is not None:
            loss = validate_loss(self.model_wrapped, self.validation, self._prepare_inputs)
            self.watch.require_number("loss on validate", loss, step)
            self.log({"validate_loss": loss})
        if is_better(loss, self.kept):
            weights = gathered_weights(self.model, here=self.args.should_save)
            if self.args.should_save:
                keep(self.root, step, loss, weights)
            self.kept = kept_at(self.root, step, loss)
        if loss is not None and self.kept is not None:
            told = {"validate_loss": round(loss, 5), "best_step": self.kept.step}
            report("validated", stage=self.watch.stage, step=step, **told)
        self.control.should_evaluate = False  # the Trainer asks once more after the last step
        return {} if loss is None else {"validate_loss": loss}

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        del model, trial
        folder, here = self.root / f"{CHECKPOINT}-{self.state.global_step}", self.args.should_save
        write_training(folder, self.model, self._optimizer(), self.lr_scheduler, here=here)
        if here:
            self.state.save_to_json(str(folder / TRAINER_STATE))
            self.write_more(folder)
            seal(folder)
            remove_folders_but(self.root, CHECKPOINT, _CHECKPOINTS)
        self.control.should_save = False  # the Trainer asks once more after the last step

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Nothing: ``_prepare_for_training`` does it, with DeepSpeed or without."""

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Nothing: each step seeds itself."""

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None
    ) -> Any:
        """Weights before ranks cut them up, Adam's state after."""
        if resume_from_checkpoint is not None:
            load_weights(self.model, Path(resume_from_checkpoint) / TRAINABLE)
        if self.is_deepspeed_enabled:
            give_scalars_an_axis(self.model)
        prepared = super()._prepare_for_training(max_steps, train_dataloader, None)
        if resume_from_checkpoint is not None:
            folder = Path(resume_from_checkpoint)
            read_training(folder, self.model, self._optimizer(), self.lr_scheduler)
            self.read_more(folder)
        return prepared

    def write_more(self, folder: Path) -> None:
        """What a kind of trainer keeps beside weights and moments, on the rank that writes."""

    def read_more(self, folder: Path) -> None:
        """Back from a checkpoint, on every rank."""

    def _optimizer(self) -> Any:
        """Torch's own optimizer, or DeepSpeed's."""
        if self.is_deepspeed_enabled:
            return self.model_wrapped.optimizer
        return getattr(self.optimizer, "optimizer", self.optimizer)


class StageCallback(TrainerCallback):  # type: ignore[misc]
    """Progress lines, a stop at a loss that has left, and a checkpoint when asked to leave.

    Args:
        meter: is told when a step has ended; ``pace`` is what it measured of all ranks.
        validates: whether there is anything to validate on; without, the last weights are kept.
        asked_at: the folder where a request to stop may come to lie.
    """

    def __init__(
        self, stage: StageSettings, meter: Meter, asked_at: Path, *, validates: bool
    ) -> None:
        self.stage, self.meter, self.asked_at = stage, meter, asked_at
        self.pace: Pace | None = None
        self.validate_steps = stage.validate_steps if validates else None
        self.watch = LossWatch(stage.name, stage.learning_rate)
        self.terminated = False
        self.started = self._reported = time.monotonic()
        self._held: list[tuple[int, float]] = []
        self.first_step = 0

    def stop_at_sigterm(self) -> None:
        """From now on SIGTERM ends training after the step, with a checkpoint."""
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, _signal: int, _frame: FrameType | None) -> None:
        self.terminated = True

    def is_asked_to_leave(self) -> bool:
        """By SIGTERM, or by a request beside the stage, which the first rank looks for; all ranks
        meet here and agree."""
        first = rank_and_ranks()[0] == 0
        asked = self.terminated or (first and is_asked_to_stop(self.asked_at))
        self.terminated = on_any_rank(asked)
        return self.terminated

    def on_train_begin(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        self.started, self.first_step = time.monotonic(), state.global_step
        for entry in state.log_history:  # a resumed stage: what its former processes saw
            if "loss" in entry:
                self.watch.follow(int(entry["step"]), entry["loss"])

    def on_step_begin(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        seed_step(self.stage.seed, state.global_step)

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self.is_asked_to_leave():
            control.should_save = control.should_training_stop = True
        every = self.validate_steps or state.max_steps
        if state.global_step == state.max_steps or state.global_step % every == 0:
            control.should_evaluate = True

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        loss = (logs or {}).get("loss")
        if logs is None or loss is None:
            return
        self.meter.end_step()
        self.watch.follow(state.global_step, loss, logs.get("grad_norm", 0.0))
        self._held.append((state.global_step, round(loss, 5)))
        last = state.global_step == state.max_steps
        if last or time.monotonic() - self._reported >= _REPORT_SECONDS:
            self._report(state)

    def _report(self, state: TrainerState) -> None:
        """One line from the first rank, with the loss of every step since the line before."""
        now, held = time.monotonic(), self._held
        self._reported, self._held = now, []
        if not state.is_world_process_zero:
            return
        done = max(1, state.global_step - self.first_step)
        pace = self.meter.so_far()
        report(
            "progress",
            stage=self.stage.name,
            step=state.global_step,
            steps=state.max_steps,
            loss=held[-1][1],
            losses=held,
            seconds_per_step=round((now - self.started) / done, 4),
            **(pace.figures() if pace is not None else {}),
        )

    def on_train_end(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        if self._held:  # asked to leave between two lines
            self._report(state)
        self.pace = self.meter.of_all_ranks()

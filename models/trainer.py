"""``transformers.Trainer`` with our data order, small whole checkpoints and JSON progress."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import time
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import distributed, nn
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from infra.errors import CxrError
from infra.fingerprint import file_digest
from models.data import TrainingOrder
from models.gradient_cache import cached_backward
from models.process import report

TRAINABLE = "trainable.safetensors"
WHOLE = "whole.json"
_REPORT_SECONDS = 0.5  # our choice: a dashboard needs no more


class Diverged(CxrError):
    """The loss is no longer a number."""


class StageTrainer(Trainer):  # type: ignore[misc]
    """A Trainer whose checkpoints hold the trainable parameters alone.

    Args:
        contrastive_piece: pairs that a device embeds at once; None embeds its share whole.
    """

    def __init__(
        self,
        *args: Any,
        order: TrainingOrder,
        contrastive_piece: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.order, self.contrastive_piece = order, contrastive_piece

    def training_step(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        piece = self.contrastive_piece
        if piece is None or piece >= len(inputs["input_ids"]):
            loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
            return loss
        model.train()
        no_sync = getattr(model, "no_sync", None) if not self.is_deepspeed_enabled else None
        return cached_backward(
            model, self._prepare_inputs(inputs), piece, self._backward_piece, no_sync or nullcontext
        )

    def _backward_piece(self, loss: torch.Tensor, last: bool) -> None:
        """DeepSpeed steps within the backward pass that is said to be the last."""
        self.accelerator.gradient_state._set_sync_gradients(last)
        self.accelerator.backward(loss)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """No gain is decayed, as in CLIP: neither the temperature nor layer scales."""
        decayed: list[str] = super().get_decay_parameter_names(model)
        sizes = {name: each.dim() for name, each in model.named_parameters()}
        return [name for name in decayed if sizes[name] > 1]

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        del train_dataset
        return self.order

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        del state_dict
        if not self.args.should_save:
            return
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(trainable_state(self.model), folder / TRAINABLE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_trainable_state(model or self.model, Path(resume_from_checkpoint) / TRAINABLE)


def trainable_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Trainable parameters by name, contiguous, on the CPU."""
    return {
        name: each.detach().cpu().contiguous()
        for name, each in model.named_parameters()
        if each.requires_grad
    }


def load_trainable_state(model: nn.Module, file: Path) -> None:
    """Put saved trainable parameters back; the names must be exactly the model's."""
    saved = load_file(file)
    parameters = {name: each for name, each in model.named_parameters() if each.requires_grad}
    if saved.keys() != parameters.keys():
        different = sorted(saved.keys() ^ parameters.keys())
        raise CxrError(f"{file} holds other parameters than the stage trains: {different[0]}, …")
    with torch.no_grad():
        for name, each in parameters.items():
            each.copy_(saved[name])


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written whole and still is, byte by byte.

    The first rank removes the others: torn ones and those whose bytes have changed.
    """
    whole: dict[int, Path] = {}
    for checkpoint in folder.glob("checkpoint-*"):
        if _is_whole(checkpoint):
            whole[int(checkpoint.name.rpartition("-")[2])] = checkpoint
        elif os.environ.get("RANK", "0") == "0":
            shutil.rmtree(checkpoint, ignore_errors=True)
    return whole[max(whole)] if whole else None


def seal_checkpoint(checkpoint: Path) -> None:
    """Write the digest of every file, last: a checkpoint without is torn."""
    digests = {
        path.relative_to(checkpoint).as_posix(): file_digest(path)
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file()
    }
    partial = checkpoint.with_name(f".{checkpoint.name}.seal")
    partial.write_text(json.dumps(digests, indent=1) + "\n")
    partial.replace(checkpoint / WHOLE)


def _is_whole(checkpoint: Path) -> bool:
    try:
        digests = json.loads((checkpoint / WHOLE).read_text())
        return all(file_digest(checkpoint / name) == told for name, told in digests.items())
    except (FileNotFoundError, ValueError):
        return False


def _on_any_rank(flag: bool) -> bool:
    """Whether any process of the training says so; all meet here. One process: its own answer.

    The launcher's SIGTERM reaches ranks in different steps, and they must stop after the same one.
    """
    if not distributed.is_initialized():
        return flag
    answer = torch.tensor(float(flag), device=_rank_device())
    distributed.all_reduce(answer, op=distributed.ReduceOp.MAX)
    return bool(answer.item())


def part_ranks() -> None:
    """Leave the group of processes together; one process: nothing.

    A rank that ends while its connections are still open may be aborted by the threads that hold
    them, and the launcher then calls the finished stage failed.
    """
    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def _rank_device() -> torch.device:
    on_gpu = distributed.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")


class StageCallback(TrainerCallback):  # type: ignore[misc]
    """Progress lines, a stop at a loss that is no number, and a checkpoint at SIGTERM."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.terminated = False
        self.started = self._reported = time.monotonic()
        self.first_step = 0

    def stop_at_sigterm(self) -> None:
        """From now on SIGTERM ends training after the step, with a checkpoint."""
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, _signal: int, _frame: FrameType | None) -> None:
        self.terminated = True

    def on_train_begin(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        self.started, self.first_step = time.monotonic(), state.global_step

    def on_step_end(
        self, _args: TrainingArguments, _state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.terminated = _on_any_rank(self.terminated)
        if self.terminated:
            control.should_save = control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(loss):
            raise Diverged(
                f"stage {self.stage}: the loss is {loss} at step {state.global_step}; "
                f"lower the stage's learning_rate ({args.learning_rate:g}) or lengthen its warmup"
            )
        now = time.monotonic()
        last = state.global_step == state.max_steps
        if state.is_world_process_zero and (last or now - self._reported >= _REPORT_SECONDS):
            self._reported = now
            self._report(state, loss, now)

    def _report(self, state: TrainerState, loss: float, now: float) -> None:
        done = max(1, state.global_step - self.first_step)
        report(
            "progress",
            stage=self.stage,
            step=state.global_step,
            steps=state.max_steps,
            loss=round(loss, 5),
            seconds_per_step=round((now - self.started) / done, 4),
        )

    def on_save(
        self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        if distributed.is_initialized():
            distributed.barrier()  # each rank writes a file of its own: none may follow the seal
        if state.is_world_process_zero:
            seal_checkpoint(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")

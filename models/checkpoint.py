"""What a stage's checkpoint holds, and how a stage goes on from it on any number of ranks.

    trainable.safetensors     trainable weights by parameter name, float32
    exp_avg.safetensors       Adam's two moments, by the same names
    exp_avg_sq.safetensors
    training.json             Adam's step count, and the schedule's state
    trainer_state.json        the step, and the losses so far
    whole.json                the digest of the others, last

Nothing belongs to a rank: random numbers follow from seed, step and rank (``models.ranks``), and
the place in the data order from the step. Nothing is pickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from infra.child import write_json
from models.named_state import (
    MOMENTS,
    gathered_moments,
    gathered_weights,
    load_training,
    optimizer_steps,
)

TRAINABLE = "trainable.safetensors"
TRAINING = "training.json"


def write_training(
    folder: Path, model: nn.Module, optimizer: Any, schedule: Any, *, here: bool
) -> None:
    """Gather and write weights, moments and the schedule; all ranks call, one writes.

    Each file is written before the next is gathered: the writer holds one float32 copy at a time.

    Args:
        optimizer: torch's, or DeepSpeed's around it.
        schedule: torch's LambdaLR, or a wrapper around it.
        here: whether this rank is the one that writes.
    """
    if here:
        folder.mkdir(parents=True, exist_ok=True)
    weights = gathered_weights(model, here=here)
    if here:
        save_file(weights, folder / TRAINABLE)
    del weights
    for moment in MOMENTS:
        values = gathered_moments(model, optimizer, moment, here=here)
        if here:
            save_file(values, folder / _file_of(moment))
        del values
    if here:
        state = _plain(schedule).state_dict()
        state.pop("lr_lambdas")  # functions of the step, made again from the settings
        training = {"optimizer_steps": optimizer_steps(optimizer), "schedule": state}
        write_json(folder / TRAINING, training)


def read_training(folder: Path, model: nn.Module, optimizer: Any, schedule: Any) -> None:
    """Go on from a checkpoint: all that ``write_training`` wrote, on however many ranks."""
    training = json.loads((folder / TRAINING).read_text())
    files = {moment: folder / _file_of(moment) for moment in MOMENTS}
    load_training(model, optimizer, folder / TRAINABLE, files, training["optimizer_steps"])
    plain = _plain(schedule)
    plain.load_state_dict({**training["schedule"], "lr_lambdas": [None] * len(plain.lr_lambdas)})
    for group, rate in zip(optimizer.param_groups, plain.get_last_lr(), strict=True):
        group["lr"] = rate


def _plain(schedule: Any) -> Any:
    """The schedule itself, out of the wrapper that DeepSpeed's runs have around it."""
    return getattr(schedule, "scheduler", schedule)


def _file_of(moment: str) -> str:
    return f"{moment}.safetensors"

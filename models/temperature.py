"""The learned temperature of contrastive training, with CLIP's clip; always in float32."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

LARGEST_LOGIT_SCALE = 100.0  # CLIP's clip of the inverse temperature, which keeps training stable
LARGEST_LOG_SCALE = math.log(LARGEST_LOGIT_SCALE)


def inverse_temperature(log_scale: torch.Tensor) -> torch.Tensor:
    """Scalar that multiplies cosines, at most 100, in float32.

    The logarithm is clipped, not its exponential, which at ln 100 may round to more than 100: the
    clip would then pass no gradient, and a temperature that has come there could never leave.
    """
    return log_scale.float().clamp(max=LARGEST_LOG_SCALE).exp()


class TemperatureClip(TrainerCallback):  # type: ignore[misc]
    """After each step the temperature is put back to CLIP's limit, in the optimizer's copy too.

    Without it the parameter, whose gradient is nothing beyond the limit, would drift on by momentum
    and be saved as a value that nobody else's code clips.
    """

    def on_step_end(
        self,
        _args: TrainingArguments,
        _state: TrainerState,
        _control: TrainerControl,
        model: nn.Module,
        **_: Any,
    ) -> None:
        log_scale = model.logit_scale
        assert isinstance(log_scale, nn.Parameter)
        clip_temperature(log_scale)


@torch.no_grad()
def clip_temperature(log_scale: nn.Parameter) -> None:
    """At most ln 100; under ZeRO the float32 master copy is clipped, on every rank alike."""
    if hasattr(log_scale, "_hp_mapping") or hasattr(log_scale, "ds_id"):
        from deepspeed.utils import safe_get_full_fp32_param, safe_set_full_fp32_param

        master = safe_get_full_fp32_param(log_scale)
        if master is not None and float(master) > LARGEST_LOG_SCALE:
            safe_set_full_fp32_param(log_scale, master.clamp(max=LARGEST_LOG_SCALE))
    log_scale.clamp_(max=LARGEST_LOG_SCALE)

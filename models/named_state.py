"""Trainable weights and Adam's moments by parameter name, whoever holds which part of them.

Without DeepSpeed each rank has all of it. Under ZeRO-2 and ZeRO-3 a rank holds a slice of one long
vector in which parameters lie end to end; here they are gathered by name, one at a time, and given
back to whatever number of ranks asks. Every function is called by all ranks together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from infra.errors import CxrError

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Adam's running means of the gradient and of its square, by torch's names."""
_ZERO_2 = "single_partition_of_fp32_groups"  # an attribute of DeepSpeed's optimizer for it alone
Tensors = dict[str, torch.Tensor]


def trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Trainable parameters by name; under ZeRO-3 their data may lie elsewhere."""
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


def give_scalars_an_axis(model: nn.Module) -> None:
    """[] → [1] for every parameter without axes (a temperature).

    DeepSpeed 0.19.8 cannot send one to the other ranks. Its file may have either shape.
    """
    for each in model.parameters():
        if each.dim() == 0:
            each.data = each.data.reshape(1)


def gathered_weights(model: nn.Module, *, here: bool = True) -> Tensors:
    """Trainable parameters in float32 on the CPU; empty where they are not wanted ``here``."""
    gathered: Tensors = {}
    for name, each in trainable_parameters(model).items():
        full = _whole(each, None) if _is_partitioned(each) else each
        if here:
            gathered[name] = _own_copy(full)
    return gathered


def gathered_moments(
    model: nn.Module, optimizer: torch.optim.Optimizer, moment: str, *, here: bool = True
) -> Tensors:
    """One of Adam's moments by parameter name, float32 on the CPU.

    Parameters that no step has reached have none and are left out.
    """
    gathered: Tensors = {}
    _show_moments(optimizer)
    for name, each in trainable_parameters(model).items():
        if _is_partitioned(each):
            full = _whole(each, moment)
        else:
            full = optimizer.state.get(each, {}).get(moment)
        if here and full is not None:
            gathered[name] = _own_copy(full)
    return gathered


def optimizer_steps(optimizer: Any) -> int:
    """Steps that Adam has made, for its bias correction; the same for every parameter."""
    state = getattr(optimizer, "optimizer", optimizer).state
    return int(max((each["step"] for each in state.values() if "step" in each), default=0))


def load_weights(model: nn.Module, file: Path) -> None:
    """Put saved trainable parameters into a model that is not yet spread over ranks.

    Raises:
        CxrError: the names are not exactly those that the stage trains.
    """
    parameters = trainable_parameters(model)
    with safe_open(file, framework="pt") as saved, torch.no_grad():
        _require_names(file, set(saved.keys()), parameters)
        for name, each in parameters.items():
            each.copy_(saved.get_tensor(name).reshape(each.shape))


def load_training(
    model: nn.Module,
    optimizer: Any,
    weights: Path,
    moments: Mapping[str, Path],
    steps: int,
) -> None:
    """Give the exact weights and Adam's state back to a model that is ready to train.

    Args:
        model: the stage's own model, its parameters plain or partitioned by DeepSpeed.
        optimizer: torch's Adam, or DeepSpeed's optimizer around it.
        weights: file of all trainable parameters; DeepSpeed's bfloat16 keeps them rounded in the
            model and exact in the optimizer.
        moments: file of each moment.
        steps: Adam's steps so far.
    """
    parameters = trainable_parameters(model)
    if not any(_is_partitioned(each) for each in parameters.values()):
        _load_plain(parameters, optimizer, moments, steps)
        return
    _make_room(optimizer, steps)
    files: list[tuple[str | None, Path]] = [(None, weights), *moments.items()]
    for key, file in files:
        with safe_open(file, framework="pt") as saved:
            names = set(saved.keys())
            for name, each in parameters.items():
                if name in names:
                    _give(each, saved.get_tensor(name), key)


def _load_plain(
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    moments: Mapping[str, Path],
    steps: int,
) -> None:
    names = {id(each): name for name, each in parameters.items()}
    order = [names[id(each)] for group in optimizer.param_groups for each in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, file in moments.items():
        with safe_open(file, framework="pt") as saved:
            held = set(saved.keys())
            for place, name in enumerate(order):
                if name in held:
                    own = state.setdefault(place, {"step": torch.tensor(float(steps))})
                    own[key] = saved.get_tensor(name).reshape(parameters[name].shape)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _make_room(zero: Any, steps: int) -> None:
    """Adam's state of a fresh DeepSpeed optimizer, all zero, and known to the parameters."""
    two = hasattr(zero, _ZERO_2)
    flats = getattr(zero, _ZERO_2) if two else zero.fp32_partitioned_groups_flat
    for flat in flats:
        zeros = {key: torch.zeros_like(flat) for key in MOMENTS}
        zero.optimizer.state[flat] = {"step": torch.tensor(float(steps)), **zeros}
    _show_moments(zero)


def _show_moments(optimizer: Any) -> None:
    """Make parameters know where their moments lie under ZeRO-2.

    DeepSpeed 0.19.8 does it once, after the first group of parameters has been stepped, when those
    of the other groups (biases and norms, without weight decay) have no moments yet.
    """
    if hasattr(optimizer, _ZERO_2):
        optimizer._hp_optimizer_states_linked = False
        optimizer._lazy_init_hp_params_optimizer_state()


def _whole(parameter: Any, key: str | None) -> Any:
    """The float32 weights of a partitioned parameter, or one of their moments, from all ranks."""
    if hasattr(parameter, "ds_tensor"):  # ZeRO-3
        return parameter._z3_optimizer.get_full_hp_param(parameter, key)
    return parameter.get_full_hp_param(key)


def _give(parameter: Any, value: torch.Tensor, key: str | None) -> None:
    """Write this rank's part of a float32 tensor: the weights themselves, or a moment."""
    if not hasattr(parameter, "ds_tensor"):  # ZeRO-2
        parameter.set_full_hp_param(value.to(parameter.device), key)
        return
    from deepspeed import comm

    size = parameter.ds_tensor.numel()  # every rank's part is as long, the last one padded
    start = size * comm.get_rank(group=parameter.ds_process_group)
    part = torch.zeros(size)
    own = value.flatten()[start : start + size]
    part[: len(own)] = own
    parameter._z3_optimizer.set_local_hp_param(part, parameter, key)


def _is_partitioned(parameter: nn.Parameter) -> bool:
    return hasattr(parameter, "ds_tensor") or hasattr(parameter, "_hp_mapping")


def _own_copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()


def _require_names(file: Path, saved: set[str], trained: Mapping[str, object]) -> None:
    if saved != trained.keys():
        different = sorted(saved ^ trained.keys())
        raise CxrError(f"{file} holds other parameters than the stage trains: {different[0]}, …")

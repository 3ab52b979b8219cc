"""Where a stage's starting weights lie: earlier stages' outputs and published weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from infra.errors import InputError
from infra.runs import TrainRun
from infra.weights import weights_folder


def model_type(folder: Path) -> str:
    """The ``model_type`` of a Hugging Face folder.

    Raises:
        InputError: there is no readable config.json.
    """
    try:
        return str(json.loads((folder / "config.json").read_text())["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"no readable config.json in {folder}", "a model's folder", "run the stage before it"
        ) from error


def input_of_type(run: TrainRun, wanted: str) -> Path:
    """The input folder whose model is of that type.

    Raises:
        InputError: no input is.
    """
    types = {name: model_type(folder) for name, folder in run.inputs.items()}
    for name, found in types.items():
        if found == wanted:
            return run.inputs[name]
    listed = ", ".join(f"{name}: {found}" for name, found in types.items()) or "none"
    raise InputError(
        f"inputs of stage '{run.stage.name}' ({listed})",
        f"a model of type {wanted}",
        "name the stage that makes it in starts_from",
    )


def has_input_of_type(run: TrainRun, wanted: str) -> bool:
    """Whether an input folder's model is of that type."""
    return wanted in {model_type(folder) for folder in run.inputs.values()}


def language_folder(run: TrainRun) -> Path:
    """The language model: published weights if the recipe names some, else an input stage's.

    Raises:
        InputError: it is of another architecture than the recipe's.
        Unavailable: the published weights are not there.
    """
    name = run.models.language.weights
    architecture = run.models.language.architecture
    folder = weights_folder(run.weights_root, name) if name else input_of_type(run, architecture)
    if model_type(folder) != architecture:
        raise InputError(
            f"a model of type '{model_type(folder)}' in {folder}",
            f"the recipe's {architecture}",
            "set models.language.architecture or models.language.weights",
        )
    return folder


def cast_parameters(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Hold every parameter in that type and leave the buffers as they are.

    A whole module's ``to`` would round RoPE's frequencies too: in bfloat16 the angles of a token at
    position 1,400 are off by up to a third of a turn, though every later load would make them anew
    in float32.
    """
    for each in model.parameters():
        each.data = each.data.to(dtype)


def frozen_type(run: TrainRun) -> torch.dtype:
    """The type that frozen weights are held in; trainable ones are float32 always."""
    return torch.bfloat16 if run.stage.precision == "bfloat16" else torch.float32

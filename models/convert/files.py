"""Reads checkpoint files. Nothing in them is ever run: tensors and plain values only."""

from __future__ import annotations

import json
import pickle
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from infra.errors import InputError
from models.convert.pairs import State

_DAMAGE = (
    *(RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError),
    *(AssertionError, OverflowError, MemoryError, struct.error, SafetensorError),
)
"""What the readers raise on bytes that are no checkpoint: torch's takes them for pickle's opcodes
before it knows better."""
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that weights are computed in; those of 8 bits mean nothing without their scales."""
NESTED = ("state_dict", "model", "module")
"""Keys under which training checkpoints keep the weights: open_clip and timm, DINOv2, DeepSpeed."""


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights of a checkpoint file, without a ``module.`` prefix, and its other plain values.

    Optimizer state is read past: the file is mapped, so that it takes no memory.

    Raises:
        InputError: no such file, not a checkpoint, or one that holds more than plain values.
    """
    loaded = _load(path)
    rest: dict[str, Any] = {}
    for key in NESTED:
        if isinstance(loaded.get(key), dict):
            rest = {name: value for name, value in loaded.items() if name != key}
            loaded = loaded[key]
            break
    if not loaded or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise InputError(
            f"no dictionary of tensors in {path}",
            f"weights, at the top or under {', '.join(NESTED)}",
            "name the file of the weights",
        )
    _require_numbers(loaded, path)
    return without_prefix(loaded, "module."), rest


def _require_numbers(state: State, path: Path) -> None:
    """Weights that are no numbers would turn all that follows into none, without a word.

    Raises:
        InputError: a tensor holds none, is sparse or empty of data, or of a type for storage.
    """
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_meta:
            raise InputError(
                f"'{name}' of {path} without values", "a dense tensor", "save it whole"
            )
        if tensor.is_complex() or (tensor.is_floating_point() and tensor.dtype not in _FLOATS):
            raise InputError(
                f"'{name}' of {path} as {str(tensor.dtype).removeprefix('torch.')}",
                "float32, float16 or bfloat16",
                "save its weights in one of these",
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(
                f"values of '{name}' in {path} that are no finite numbers",
                "trained weights",
                "get the file again, or an earlier checkpoint of its training",
            )


def without_prefix(state: State, prefix: str) -> dict[str, torch.Tensor]:
    """The same tensors with the prefix taken off where all of them have it."""
    if not all(name.startswith(prefix) for name in state):
        return dict(state)
    return {name.removeprefix(prefix): value for name, value in state.items()}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: no such file, or it holds none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"no readable JSON in {path}", "a JSON object", "check that the folder is whole"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"no object at the top of {path}", "a JSON object", "check the file")
    return value


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"no file {path}", "a checkpoint", "check that the folder is whole")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        # A file of the format before PyTorch 1.6 is no zip and cannot be mapped.
        mapped = zipfile.is_zipfile(path)
        if mapped:
            _require_checksums(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles of other protocols: they load or do not
            value = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise _no_checkpoint(path, _refused(error)) from None
    except _DAMAGE as error:
        raise _no_checkpoint(path, "it cannot be read") from error
    if not isinstance(value, dict):
        raise _no_checkpoint(path, f"it holds a {type(value).__name__}")
    return {str(name): each for name, each in value.items()}


def _require_checksums(path: Path) -> None:
    """PyTorch writes the checksum of each part and does not look at it: a flipped bit would pass as
    another weight.

    Raises:
        InputError: a part's bytes are not those that were written.
    """
    with zipfile.ZipFile(path) as parts:
        broken = parts.testzip()
    if broken is not None:
        raise _no_checkpoint(path, f"the checksum of '{broken}' is another")


def _refused(error: pickle.UnpicklingError) -> str:
    """The class that a file wanted to make, in torch's words the one after GLOBAL."""
    words = str(error).split()
    name = words[words.index("GLOBAL") + 1] if "GLOBAL" in words[:-1] else ""
    return f"it wants '{name}', which is no plain value" if name else "it is no plain pickle"


def _no_checkpoint(path: Path, why: str) -> InputError:
    return InputError(
        f"{path}: {why}",
        "a checkpoint of tensors and plain values",
        "get the file again, or save its weights alone as safetensors",
    )

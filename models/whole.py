"""Models and adapters that are loaded whole or refused.

transformers draws what a folder lacks at random and says so in a warning: the model then answers,
and every number about it is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file

from infra.errors import InputError

ADVICE = "run again the stage that makes it, or get it again from its publisher"
UNREADABLE = (
    *(RuntimeError, OSError, ValueError, LookupError, TypeError, AttributeError),
    *(SafetensorError, StrictDataclassError),
)
"""What transformers and safetensors raise on files and configurations that are none."""
_UNUSED = ("pooler", "mask_token", "position_ids")
"""Parts that published files may lack and nothing here reads."""


def load_whole(kind: Any, folder: Path, **options: Any) -> Any:
    """``kind.from_pretrained(folder, **options)`` with every weight from the folder.

    Args:
        kind: a class of transformers' models, an ``Auto`` class too.

    Raises:
        InputError: the folder cannot be read, lacks a tensor or has one of another shape, or its
            weights are no finite numbers.
    """
    try:
        model, told = kind.from_pretrained(
            folder,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told below, by name
            local_files_only=True,
            **options,
        )
    except torch.OutOfMemoryError:
        raise
    except UNREADABLE as error:
        raise unreadable(folder, error) from error
    for name, held, wanted in sorted(told["mismatched_keys"]):
        raise InputError(f"shape {tuple(held)} of '{name}' in {folder}", f"{tuple(wanted)}", ADVICE)
    missing = sorted(name for name in told["missing_keys"] if not any(p in name for p in _UNUSED))
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(f"no tensor '{missing[0]}'{more} in {folder}", "a whole model", ADVICE)
    require_finite(model.state_dict(), folder)
    return model


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file.

    Raises:
        InputError: it cannot be read, or holds other values than finite floating point.
    """
    try:
        state = load_file(path)
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            raise InputError(
                f"'{name}' of {path} as {str(tensor.dtype).removeprefix('torch.')}",
                "floating point",
                ADVICE,
            )
    require_finite(state, path)
    return state


def require_finite(state: Mapping[str, torch.Tensor], where: Path) -> None:
    """Weights that are no numbers would make every answer none, without a word.

    Raises:
        InputError: a tensor holds some.
    """
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(
                f"values of '{name}' in {where} that are no finite numbers",
                "trained weights",
                ADVICE,
            )


def unreadable(place: Path, error: BaseException) -> InputError:
    """An error of a library that met a damaged file or configuration, in one line."""
    said = (str(error).strip().splitlines() or [""])[-1].strip()[:200]
    return InputError(
        f"{place}, which cannot be read ({type(error).__name__}: {said})",
        "a whole model in Hugging Face's layout",
        ADVICE,
    )

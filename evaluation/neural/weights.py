"""Published weights from local files, loaded whole or not at all.

A network that keeps a random head because the checkpoint was another one gives numbers that look
like scores; so every tensor must be there, in its shape, and none may be left over.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from infra.errors import InputError

Tokenizer: TypeAlias = PreTrainedTokenizerBase
State: TypeAlias = Mapping[str, Tensor]

_HARMLESS = "position_ids"
"""A buffer of numbers in order that older versions of transformers saved and newer ones do not."""

_ADVICE = "put the published file there, or name the right folder in [score.encoders]"


def pick_device(device: str) -> torch.device:
    """The GPU if there is one and ``device`` is ``auto``, else the CPU."""
    return torch.device("cuda" if device == "auto" and torch.cuda.is_available() else "cpu")


def sha256_of(path: Path) -> str:
    """The digest that ``sha256sum`` prints."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def weights_digest(folder: Path) -> str:
    """sha256 of a Hugging Face folder's weights; of several files, of their digests in order."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    digests = [sha256_of(path) for path in files]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def read_state(path: Path) -> dict[str, Any]:
    """A checkpoint's content; nothing of it is run.

    Raises:
        InputError: the file is no checkpoint of plain tensors.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path.name}, which torch cannot read ({type(error).__name__})",
            "a checkpoint of plain tensors",
            _ADVICE,
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"a {type(content).__name__} in {path.name}", "named tensors", _ADVICE)
    return content


def load_strictly(network: nn.Module, state: Mapping[str, Any], source: str) -> None:
    """Fill every tensor of ``network`` from ``state``.

    Raises:
        InputError: a tensor is missing, left over or of another shape.
    """
    own = network.state_dict()
    given = {name: tensor for name, tensor in state.items() if not name.endswith(_HARMLESS)}
    missing = [name for name in own if name not in given and not name.endswith(_HARMLESS)]
    extra = [name for name in given if name not in own]
    shapes = [
        name for name in own.keys() & given.keys() if _shape(own[name]) != _shape(given[name])
    ]
    if missing or extra or shapes:
        named = (("missing", missing), ("unknown", extra), ("of another shape", sorted(shapes)))
        told = [f"{len(names)} tensors {how} (first {names[0]})" for how, names in named if names]
        raise InputError(
            f"{source} with {', '.join(told)}", f"all {len(own)} tensors of its network", _ADVICE
        )
    network.load_state_dict(given, strict=False)


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None


def load_config(folder: Path) -> Any:
    """The ``config.json`` of a local folder; code that a publisher put beside it is never run.

    Raises:
        InputError: there is none that this version of transformers knows.
    """
    return _load(AutoConfig.from_pretrained, folder, "a config.json of a known model")


def load_tokenizer(folder: Path, **options: Any) -> Tokenizer:
    """The tokenizer of a local folder.

    Raises:
        InputError: there is none.
    """
    return _load(AutoTokenizer.from_pretrained, folder, "a tokenizer", **options)


def load_network(kind: Any, folder: Path, may_lack: tuple[str, ...] = ()) -> nn.Module:
    """A published network of a transformers class, in float32, for inference.

    Args:
        may_lack: prefixes of tensors that the checkpoint need not hold, since nothing reads them.

    Raises:
        InputError: it cannot be read, or lacks a tensor that would stay random.
    """
    loaded = _load(
        kind.from_pretrained,
        folder,
        "a published model",
        dtype=torch.float32,
        output_loading_info=True,
    )
    network, info = loaded
    lacking = sorted(name for name in info["missing_keys"] if not name.startswith(may_lack))
    if lacking:
        raise InputError(
            f"weights in {folder.name} without {len(lacking)} tensors (first {lacking[0]})",
            "all of the network's",
            _ADVICE,
        )
    return network.eval()  # type: ignore[no-any-return]


def _load(loader: Callable[..., Any], folder: Path, expected: str, **options: Any) -> Any:
    try:
        return loader(folder, local_files_only=True, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"a folder {folder.name} that transformers cannot read ({type(error).__name__})",
            expected,
            _ADVICE,
        ) from error

"""Networks that turn films into features, for distances between sets of films.

Each takes films at its own size in its own grey levels. Shapes: B films, P side in px, W width.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.models.dinov2 import Dinov2Model

from infra.errors import InputError
from infra.film_runs import ExtractorKind
from models.collate import normalised
from models.densenet import load_densenet
from models.dual_encoder import DUAL_ENCODER_TYPE, CxrDualEncoder, patches_of
from models.vlm import load_vlm
from models.weights import model_type
from models.whole import load_whole

XRV_PX = 224  # the size that torchxrayvision's res224 weights were trained at


@dataclass(frozen=True)
class Extractor:
    """``embed`` takes uint8 [B, P, P] of that ``side_px`` to float32 [B, W]."""

    side_px: int
    embed: Callable[[torch.Tensor], torch.Tensor]
    network: torch.nn.Module


def load_extractor(kind: ExtractorKind, folder: Path, device: torch.device) -> Extractor:
    """The extractor of a local folder, on the device.

    Raises:
        InputError: the folder is not one of that kind, or not whole.
    """
    loaders = {"in-house": _in_house, "xrv-densenet121": _densenet, "rad-dino": _rad_dino}
    found = loaders[kind](folder)
    found.network.eval().to(device)
    return found


def _in_house(folder: Path) -> Extractor:
    """The recipe's own vision tower: the mean of its patches after the last norm (our choice: its
    CLS token is trained by few recipes, and the whole grid is wider than there are films)."""
    if model_type(folder) == DUAL_ENCODER_TYPE:
        tower: Any = load_whole(CxrDualEncoder, folder).vision_model
    else:
        tower = load_vlm(folder).model.vision_tower
    patches = patches_of(tower.config)

    def embed(grey: torch.Tensor) -> torch.Tensor:
        states = tower(pixel_values=normalised(grey)).last_hidden_state
        means: torch.Tensor = states[:, -patches:].float().mean(dim=1)
        return means

    return Extractor(int(tower.config.image_size), embed, tower)


def _densenet(folder: Path) -> Extractor:
    network = load_densenet(folder)
    return Extractor(XRV_PX, network.embed, network)


def _rad_dino(folder: Path) -> Extractor:
    """RAD-DINO's CLS token, with the grey levels that its folder tells."""
    if model_type(folder) != "dinov2":
        raise InputError(f"a model of type '{model_type(folder)}' in {folder}", "dinov2", _ADVICE)
    network = load_whole(Dinov2Model, folder)
    mean, deviation = _levels(folder)

    def embed(grey: torch.Tensor) -> torch.Tensor:
        levels = (grey.to(torch.float32) / 255.0 - mean) / deviation
        pixels = levels.unsqueeze(1).expand(-1, 3, -1, -1)
        pooled: torch.Tensor = network(pixel_values=pixels).pooler_output
        return pooled

    return Extractor(int(network.config.image_size), embed, network)


_ADVICE = "put the published folder there"


def _levels(folder: Path) -> tuple[float, float]:
    """Mean and deviation of grey levels; those of three channels must be one."""
    try:
        told = json.loads((folder / "preprocessor_config.json").read_text())
        [mean], [deviation] = ({float(v) for v in told[n]} for n in ("image_mean", "image_std"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"preprocessor_config.json of {folder} ({type(error).__name__})",
            "image_mean and image_std of grey films",
            _ADVICE,
        ) from error
    return mean, deviation

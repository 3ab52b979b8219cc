"""A small network that tells what is on a film, and on which side: the judge of drawn films.

Four strided convolutions and one linear layer over the whole grid, so that left and right are
different places to it. Shapes: B films, P side in px, T targets.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from infra.errors import InputError
from models.whole import load_tensors

_LAYERS = 4
_GROUPS = 4
"""Of GroupNorm (our choice: no statistics of a batch, so that a film's probability is its own)."""


class FindingClassifier(nn.Module):
    """Logits of findings; ``targets`` names them."""

    def __init__(self, targets: tuple[str, ...], side_px: int, width: int) -> None:
        super().__init__()
        self.targets, self.side_px, self.width = targets, side_px, width
        channels = [1, *(min(2**layer, 4) * width for layer in range(_LAYERS))]
        blocks: list[nn.Module] = []
        for inner, outer in pairwise(channels):
            blocks += [
                nn.Conv2d(inner, outer, 3, stride=2, padding=1),
                nn.GroupNorm(_GROUPS, outer),
                nn.GELU(),
            ]
        self.blocks = nn.Sequential(*blocks)
        cells = (side_px // 2**_LAYERS) ** 2
        self.head = nn.Linear(channels[-1] * cells, len(targets))

    def forward(self, levels: torch.Tensor) -> torch.Tensor:
        """[B, P, P] of about -1 to 1 → logits [B, T]."""
        logits: torch.Tensor = self.head(self.blocks(levels.unsqueeze(1)).flatten(1))
        return logits

    def features(self, grey: torch.Tensor) -> torch.Tensor:
        """uint8 [B, P, P] → [B, C], the mean over the grid of what the probabilities are read
        off."""
        read: torch.Tensor = self.blocks(as_levels(grey).unsqueeze(1))
        return read.mean(dim=(2, 3))

    def probabilities(self, grey: torch.Tensor) -> torch.Tensor:
        """uint8 [B, P, P] → [B, T]."""
        return torch.sigmoid(self(as_levels(grey)))


def as_levels(grey: torch.Tensor) -> torch.Tensor:
    """uint8 → float32 from -1 to 1."""
    return grey.to(torch.float32) / 127.5 - 1.0


def save_classifier(model: FindingClassifier, folder: Path) -> None:
    """``config.json`` and ``model.safetensors``."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"targets": list(model.targets), "side_px": model.side_px, "width": model.width}
    (folder / "config.json").write_text(json.dumps(told, indent=1) + "\n")
    save_file(model.state_dict(), folder / "model.safetensors")


def load_classifier(folder: Path) -> FindingClassifier:
    """What ``save_classifier`` wrote.

    Raises:
        InputError: it is absent, damaged, or of other shapes than its configuration.
    """
    try:
        told = json.loads((folder / "config.json").read_text())
        model = FindingClassifier(tuple(told["targets"]), told["side_px"], told["width"])
        model.load_state_dict(load_tensors(folder / "model.safetensors"))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{folder}, which holds no finding classifier ({type(error).__name__})",
            "what 'python -m models.classify' wrote",
            "train it again",
        ) from error
    return model.eval()

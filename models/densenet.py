"""DenseNet as torchxrayvision builds it, to read its weights without that package or torchvision.

Names of tensors are the published checkpoint's (``features.denseblock1.denselayer1.conv1.weight``);
its shapes say how many layers each block has. Shapes: B films, W features.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from infra.errors import InputError
from models.whole import UNREADABLE, require_finite, unreadable

_UNREAD = "op_threshs"
"""Thresholds of its classifier, saved by some versions; features need none."""
_BLOCKS = 4
_REACH = 1024.0
"""torchxrayvision takes grey levels from -1024 to 1024."""


class DenseLayer(nn.Sequential):
    """Norm, ReLU, 1×1 convolution, norm, ReLU, 3×3 convolution; its input goes on beside it."""

    def __init__(self, width: int, bottleneck: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(width, bottleneck, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bottleneck)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(bottleneck, growth, 3, padding=1, bias=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[B, width, H, W] → [B, width + growth, H, W]."""
        new: torch.Tensor = super().forward(states)  # type: ignore[no-untyped-call]
        return torch.cat([states, new], dim=1)


class XrvDenseNet(nn.Module):
    """Features and classifier in the published names.

    Args:
        stem: channels of the first convolution.
        growth: channels that each layer adds.
        bottleneck: channels between a layer's two convolutions.
        layers: of each block.
        classes: outputs of the classifier.
    """

    def __init__(
        self, stem: int, growth: int, bottleneck: int, layers: tuple[int, ...], classes: int
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(1, stem, 7, stride=2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(stem))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, stride=2, padding=1))
        width = stem
        for number, count in enumerate(layers, 1):
            block = nn.Sequential()
            for place in range(count):
                layer = DenseLayer(width + place * growth, bottleneck, growth)
                block.add_module(f"denselayer{place + 1}", layer)
            self.features.add_module(f"denseblock{number}", block)
            width += count * growth
            if number < len(layers):
                self.features.add_module(f"transition{number}", _transition(width))
                width //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, classes)

    def embed(self, grey: torch.Tensor) -> torch.Tensor:
        """uint8 [B, P, P] → [B, W]: what the classifier reads."""
        scaled = (2.0 * grey.to(torch.float32) / 255.0 - 1.0) * _REACH
        states = functional.relu(self.features(scaled.unsqueeze(1)))
        return states.mean(dim=(2, 3))


def _transition(width: int) -> nn.Sequential:
    module = nn.Sequential()
    module.add_module("norm", nn.BatchNorm2d(width))
    module.add_module("relu", nn.ReLU())
    module.add_module("conv", nn.Conv2d(width, width // 2, 1, bias=False))
    module.add_module("pool", nn.AvgPool2d(2, stride=2))
    return module


def load_densenet(folder: Path) -> XrvDenseNet:
    """The network of a folder's ``model.safetensors``, whole.

    Raises:
        InputError: a tensor is missing, left over or of another shape.
    """
    path = folder / "model.safetensors"
    counted = ("num_batches_tracked", _UNREAD)  # whole numbers, or nothing that is read here
    state = {name: each for name, each in _state(path).items() if not name.endswith(counted)}
    network = _network_of(state, path)
    own = {n: e for n, e in network.state_dict().items() if not n.endswith("num_batches_tracked")}
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = sorted(n for n in own.keys() & state.keys() if own[n].shape != state[n].shape)
    for kind, names in (("no", missing), ("an unknown", extra), ("another shape of", shapes)):
        if names:
            raise InputError(
                f"{kind} tensor '{names[0]}' (of {len(names)}) in {path}",
                "all of DenseNet's, in torchxrayvision's names",
                "save the model's state_dict again",
            )
    network.load_state_dict(state, strict=False)
    return network.eval()


def _state(path: Path) -> dict[str, torch.Tensor]:
    """All of its tensors; batch counters are whole numbers, which ``load_tensors`` would refuse."""
    try:
        state = load_file(path)
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    require_finite(state, path)
    return state


def _network_of(state: Mapping[str, torch.Tensor], path: Path) -> XrvDenseNet:
    """A network of the checkpoint's shapes."""
    first = "features.denseblock1.denselayer1"
    try:
        stem = state["features.conv0.weight"].shape[0]
        bottleneck = state[f"{first}.conv1.weight"].shape[0]
        growth = state[f"{first}.conv2.weight"].shape[0]
        classes = state["classifier.weight"].shape[0]
    except (KeyError, IndexError) as error:
        raise InputError(
            f"no tensor {error} in {path}",
            "DenseNet's, in torchxrayvision's names",
            "save the model's state_dict again",
        ) from error
    layers = tuple(_layers(state, number) for number in range(1, _BLOCKS + 1))
    return XrvDenseNet(stem, growth, bottleneck, layers, classes)


def _layers(state: Mapping[str, torch.Tensor], block: int) -> int:
    """How many layers of a block the checkpoint has."""
    start = f"features.denseblock{block}."
    return len({name.split(".")[2] for name in state if name.startswith(start)})

"""DenseNet in torchxrayvision's layout: its published size, its arithmetic, and strict loading."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from infra.errors import InputError
from models.densenet import XrvDenseNet, load_densenet
from tests.films_world import densenet_checkpoint


def test_densenet121_has_its_published_size_and_names() -> None:
    """Of torchvision's 7,978,856 parameters: one input channel for three (less 2 x 3,136), 18
    classes for 1,000 (less 982 x 1,025)."""
    with torch.device("meta"):
        network = XrvDenseNet(64, 32, 128, (6, 12, 24, 16), 18)
    assert sum(each.numel() for each in network.parameters()) == 7978856 - 2 * 3136 - 982 * 1025
    names = set(network.state_dict())
    assert network.classifier.in_features == 1024, "the width of RoentGen's Fréchet distance"
    assert {
        "features.conv0.weight",
        "features.norm0.running_mean",
        "features.denseblock1.denselayer6.norm1.weight",
        "features.denseblock4.denselayer16.conv2.weight",
        "features.transition3.conv.weight",
        "features.norm5.bias",
        "classifier.bias",
    } <= names


def test_features_are_worked_out_step_by_step(tmp_path: Path) -> None:
    """The published wiring by plain functions: norm, ReLU, convolution, what came before."""
    densenet_checkpoint(tmp_path)
    state = load_file(tmp_path / "model.safetensors")

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        part = [state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return functional.relu(functional.batch_norm(x, *part))

    grey = torch.randint(0, 256, (2, 64, 64), dtype=torch.uint8)
    x = ((2 * grey.float() / 255) - 1)[:, None] * 1024
    x = functional.conv2d(x, state["features.conv0.weight"], stride=2, padding=3)
    x = functional.max_pool2d(normed(x, "features.norm0"), 3, 2, 1)
    for block, layers in enumerate((1, 2, 1, 2), 1):
        for layer in range(1, layers + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            new = functional.conv2d(normed(x, f"{name}.norm1"), state[f"{name}.conv1.weight"])
            new = normed(new, f"{name}.norm2")
            x = torch.cat([x, functional.conv2d(new, state[f"{name}.conv2.weight"], padding=1)], 1)
        if block < 4:
            name = f"features.transition{block}"
            x = functional.conv2d(normed(x, f"{name}.norm"), state[f"{name}.conv.weight"])
            x = functional.avg_pool2d(x, 2)
    expected = normed(x, "features.norm5").mean(dim=(2, 3))
    with torch.inference_mode():
        found = load_densenet(tmp_path).embed(grey)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("thresholds", [True, False])
def test_a_checkpoint_of_either_version_is_loaded(tmp_path: Path, thresholds: bool) -> None:
    written = densenet_checkpoint(tmp_path, thresholds=thresholds)
    loaded = load_densenet(tmp_path)
    for name, each in written.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(loaded.state_dict()[name], each), name


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("features.norm5.bias", None, r"no tensor 'features\.norm5\.bias'"),
        ("features.conv0.weight", None, "in torchxrayvision's names"),
        ("features.norm5.bias", torch.zeros(3), "another shape of tensor"),
        ("features.extra.weight", torch.zeros(3), "an unknown tensor 'features.extra.weight'"),
        ("classifier.bias", torch.full((18,), float("nan")), "no finite numbers"),
    ],
)
def test_another_networks_weights_are_refused(
    tmp_path: Path, name: str, value: torch.Tensor | None, message: str
) -> None:
    densenet_checkpoint(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state.pop(name, None)
    if value is not None:
        state[name] = value
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=message):
        load_densenet(tmp_path)


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which cannot be read"):
        load_densenet(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"a pickled module")
    with pytest.raises(InputError, match="which cannot be read"):
        load_densenet(tmp_path)

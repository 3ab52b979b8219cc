"""The running mean of a stage's weights: arithmetic, places, and going on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from models.running_mean import RunningMean


def one_weight(value: float = 0.0) -> nn.Linear:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, value)
    layer.bias.requires_grad_(False)
    return layer


def moved(layer: nn.Linear, value: float) -> None:
    with torch.no_grad():
        layer.weight.fill_(value)


def test_early_steps_are_left_sooner_than_late_ones() -> None:
    layer = one_weight()
    mean = RunningMean(layer, 0.5)
    moved(layer, 1.0)
    mean.follow(1)
    assert float(mean.values["weight"]) == pytest.approx(0.9), "a tenth of the untrained weight"
    moved(layer, 2.0)
    mean.follow(1000)
    assert float(mean.values["weight"]) == pytest.approx(0.5 * 0.9 + 0.5 * 2.0)


def test_only_what_is_trained_has_a_mean() -> None:
    assert RunningMean(one_weight(), 0.5).values.keys() == {"weight"}


def test_the_mean_takes_the_weights_place_and_gives_it_back() -> None:
    layer = one_weight(4.0)
    mean = RunningMean(layer, 0.9)
    moved(layer, 8.0)
    with mean.in_place():
        assert layer.weight.item() == 4.0
    assert layer.weight.item() == 8.0
    with pytest.raises(KeyError), mean.in_place():
        raise KeyError
    assert layer.weight.item() == 8.0


def test_a_mean_goes_on_from_its_file(tmp_path: Path) -> None:
    layer = one_weight()
    mean = RunningMean(layer, 0.9)
    moved(layer, 1.0)
    mean.follow(3)
    mean.write(tmp_path)
    other = RunningMean(one_weight(), 0.9)
    other.read(tmp_path)
    for each in (mean, other):
        each.follow(4)
    expected = 3 / 4 * 0 + 1.0 * (1 - 3 / 12)
    after = expected + (1.0 - expected) * (1 - 4 / 13)
    assert float(mean.values["weight"]) == pytest.approx(after)
    assert float(other.values["weight"]) == pytest.approx(float(torch.lerp(
        torch.tensor(expected), torch.tensor(0.0), 1 - 4 / 13)))  # fmt: skip

"""When a stage is stopped: no number, or a loss that has left for good; never for noise."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.divergence import FAR, HORIZON, PATIENCE, Diverged, LossWatch

RECORDED: dict[str, list[float]] = json.loads(
    (Path(__file__).parent / "recorded" / "losses.json").read_text()
)
"""Losses of the demo's four stages, step by step, as one run left them."""


def follow(losses: list[float]) -> LossWatch:
    watch = LossWatch("finetune", 1e-3)
    for step, loss in enumerate(losses, start=1):
        watch.follow(step, loss)
    return watch


def fallen(steps: int = 200, low: float = 1.0) -> list[float]:
    """A curve that falls from 7 to ``low`` and stays there, with a tenth of noise."""
    noise = np.random.default_rng(0).normal(1.0, 0.1, steps)
    fall = low + (7 - low) * np.exp(-np.arange(steps) / 20)
    return list(fall * noise)


@pytest.mark.parametrize("stage", list(RECORDED))
def test_recorded_curves_are_left_alone(stage: str) -> None:
    watch = follow(RECORDED[stage])
    assert watch.count == len(RECORDED[stage]) >= 60
    assert watch.far_for == 0


@pytest.mark.parametrize("stage", list(RECORDED))
def test_the_running_mean_of_recorded_curves_stays_near_its_best(stage: str) -> None:
    """What FAR was chosen by."""
    watch, farthest = LossWatch(stage, 1.0), 0.0
    for step, loss in enumerate(RECORDED[stage], start=1):
        watch.follow(step, loss)
        if step > HORIZON:
            farthest = max(farthest, watch.mean / watch.best)
    assert farthest < 1.06 < FAR


def test_a_curve_that_leaves_for_good_is_stopped_with_advice() -> None:
    away = fallen() + [8.0] * (2 * PATIENCE)
    with pytest.raises(Diverged) as error:
        follow(away)
    told = str(error.value)
    assert told.startswith("stage finetune: the loss has diverged: 7.9")
    assert told.endswith("lower the stage's learning_rate (0.001) or lengthen its warmup")
    assert "\n" not in told


def test_it_is_stopped_after_patience_and_not_long_after() -> None:
    watch, away = LossWatch("s", 1.0), fallen() + [20.0] * 1000
    with pytest.raises(Diverged):
        for step, loss in enumerate(away, start=1):
            watch.follow(step, loss)
    assert 200 + PATIENCE <= watch.count <= 200 + PATIENCE + HORIZON


@pytest.mark.parametrize(
    "spike", [[50.0] * 3, [8.0] * (PATIENCE // 2), [8.0] * (PATIENCE - 2 * HORIZON)]
)
def test_a_spike_that_heals_is_waited_for(spike: list[float]) -> None:
    watch = follow(fallen() + spike + fallen(300)[100:])
    assert watch.far_for == 0


def test_a_small_loss_may_scatter_in_proportion() -> None:
    """From 0.02 to 0.2 is tenfold, and a fit that goes on."""
    follow([0.3] * HORIZON + [0.02] * 200 + [0.2] * 400)


def test_a_loss_that_climbs_from_the_first_step_is_stopped() -> None:
    with pytest.raises(Diverged):
        follow([4.0 + 0.02 * step for step in range(400)])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_or_a_gradient_that_is_no_number_is_stopped_at_once(value: float) -> None:
    watch = LossWatch("align", 2e-3)
    watch.follow(1, 3.0, 1.0)
    with pytest.raises(Diverged) as error:
        watch.follow(2, value, 1.0)
    assert str(error.value) == (
        f"stage align: the loss is {value} at step 2; lower the stage's learning_rate (0.002) "
        "or lengthen its warmup"
    )
    with pytest.raises(Diverged, match=r"stage align: the gradient's norm is .* at step 2; lower"):
        watch.follow(2, 3.0, value)


@given(st.lists(st.floats(0.5, 1.4), min_size=1, max_size=400))
@settings(max_examples=50, deadline=None)
def test_no_order_of_losses_within_reach_of_each_other_is_stopped(losses: list[float]) -> None:
    """Losses between 0.8 and 1.1: no mean of them is 0.5 above another, or half again as high."""
    follow([1.0] * HORIZON + [0.95 + 0.3 * (loss - 0.95) for loss in losses])

"""A stage measures itself: tokens, waiting for data, memory, and its verdict against the bars."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from contrast_world import batch as pairs
from contrast_world import encoder
from models_world import stage, train_run, trained_world

from infra.bars import FIGURES, Bar
from infra.log import LOGGER
from models import throughput
from models.data import ExampleShards
from models.flops import networks_of
from models.throughput import Meter, told
from models.train import train

PAIR_TOKENS = 8 * 17 + sum((4, 7, 10, 4, 7, 10, 4, 7))
"""Eight images of 16 patches and CLS; texts without their padding."""


class Clock:
    """Seconds that pass only when it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def meter(clock: Clock, peak: float | None = None) -> Meter:
    networks = networks_of(encoder())
    return Meter(networks, 16, True, 49_409, "CPU" if peak is None else "NVIDIA X", peak, clock)


def slow(clock: Clock, waits: list[float]) -> Iterator[dict[str, torch.Tensor]]:
    for seconds in waits:
        clock.now += seconds
        yield pairs()


def run_steps(measured: Meter, clock: Clock, waits: list[float], work: float) -> None:
    for _ in measured.waiting(slow(clock, waits)):
        clock.now += work
        measured.end_step()
        clock.now += 100.0  # a checkpoint, which no step's clock sees


def test_the_first_step_and_what_lies_between_steps_are_left_out() -> None:
    clock = Clock()
    measured = meter(clock)
    assert measured.so_far() is None
    run_steps(measured, clock, [50.0, 1.0, 3.0], work=4.0)
    pace = measured.so_far()
    assert pace is not None
    assert pace.steps == 2
    assert pace.data_wait_share == pytest.approx((1 + 3) / (1 + 3 + 2 * 4))
    assert pace.useful_tokens_per_second == pytest.approx(2 * PAIR_TOKENS / 12)
    assert pace.images_per_second == pace.examples_per_second == pytest.approx(2 * 8 / 12)
    alone = measured.of_all_ranks()  # this process may have grown since
    assert alone is not None
    assert alone == replace(pace, peak_memory_gib=alone.peak_memory_gib)


def test_a_single_step_is_better_than_nothing() -> None:
    clock = Clock()
    measured = meter(clock)
    run_steps(measured, clock, [1.0], work=3.0)
    pace = measured.so_far()
    assert pace is not None and (pace.steps, pace.data_wait_share) == (1, 0.25)


def test_passes_of_one_step_are_one_step() -> None:
    clock = Clock()
    measured = meter(clock)
    batches = slow(clock, [1.0, 1.0, 1.0, 1.0])
    for _ in range(2):
        taken = measured.waiting(batches)
        next(taken), next(taken)
        clock.now += 2.0
        measured.end_step()
    pace = measured.so_far()
    assert pace is not None
    assert pace.useful_tokens_per_second == pytest.approx(2 * PAIR_TOKENS / 4)
    assert pace.data_wait_share == pytest.approx(0.5)


def test_mfu_is_work_over_what_the_device_could_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "_peak_memory_gib", lambda device: 1.0)
    clock = Clock()
    measured = meter(clock, peak=1e9)
    run_steps(measured, clock, [0.0, 0.0], work=2.0)
    pace = measured.so_far()
    assert pace is not None and pace.mfu_unavailable is None
    assert pace.mfu == pytest.approx(measured.later.flops / 2.0 / 1e9)


def test_mfu_of_an_unknown_device_is_unavailable() -> None:
    clock = Clock()
    measured = meter(clock)
    run_steps(measured, clock, [0.0, 0.0], work=2.0)
    pace = measured.so_far()
    assert pace is not None and pace.mfu is None
    assert pace.mfu_unavailable == "the peak of 'CPU' is not known"
    assert "mfu" not in pace.figures()


def events_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    lines = capsys.readouterr().out.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_a_stage_tells_its_pace_in_events_and_not_in_its_payload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = stage("finetune", steps=3)
    run = train_run(tmp_path, settings, inputs={"align": trained_world() / "align"})
    assert train(run) == 0
    events = events_of(capsys)
    found = events[-1]["throughput"]
    assert "throughput" not in json.loads((run.output / "result.json").read_text())
    last = [event for event in events if event["event"] == "progress"][-1]
    assert {*FIGURES} - {"mfu"} <= last.keys()
    assert found["useful_tokens_per_second"] > 16 * found["images_per_second"] > 0
    assert found["peak_memory_of"] == "process"
    assert 0.05 < found["peak_memory_gib"] < 50
    assert found["steps"] == 2
    assert found["bar"] == {"held": {}, "missed": [], "verdict": "no bar for this device"}


@pytest.mark.slow
def test_waiting_for_slow_data_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(train_run(tmp_path / "quick", stage("pretrain", steps=4))) == 0
    quick = events_of(capsys)[-1]["throughput"]
    reading = ExampleShards.__getitem__

    def slow_reading(shards: ExampleShards, index: int) -> Any:
        time.sleep(0.1)
        return reading(shards, index)

    monkeypatch.setattr(ExampleShards, "__getitem__", slow_reading)
    assert train(train_run(tmp_path / "slow", stage("pretrain", steps=4))) == 0
    slow = events_of(capsys)[-1]["throughput"]
    assert slow["data_wait_share"] > max(0.5, quick["data_wait_share"])


def test_a_missed_bar_is_warned_of_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bar = Bar(device="CPU", origin="a test", useful_tokens_per_second=1e12)
    monkeypatch.setattr(throughput, "load_bars", lambda: (bar,))
    monkeypatch.setattr(LOGGER, "propagate", True)
    caplog.set_level(logging.WARNING)
    clock = Clock()
    measured = meter(clock)
    run_steps(measured, clock, [0.0, 0.0], work=2.0)
    told_pace = told(measured.of_all_ranks(), train_run(tmp_path, stage("pretrain")), measured)
    assert told_pace is not None
    rate = PAIR_TOKENS / 2
    line = f"{rate:.6g}, missed: at least 1e+12 (a test)"
    assert told_pace["bar"] == {
        "verdict": "missed",
        "held": {"useful_tokens_per_second": line},
        "missed": ("useful_tokens_per_second",),
    }
    assert set(caplog.messages) == {f"stage pretrain: useful_tokens_per_second {line}"}


def test_no_step_no_pace(tmp_path: Path) -> None:
    assert told(None, train_run(tmp_path, stage("pretrain")), meter(Clock())) is None

"""A stage that is stopped on request goes on to the very bytes of one that was left alone."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest
from models_world import stage, trained_world
from ranks_world import run_of

from infra.launch import Event, run_module
from infra.runs import TrainRun, write_run
from infra.settings.stages import StageSettings
from infra.stopping import STOP_FILE
from models.sealed import last_whole_checkpoint

pytestmark = pytest.mark.slow
STEPS = 12


def train(run: TrainRun, ranks: int, stop_at: int | None = None) -> None:
    """As a flow does; at a step something interrupts it."""
    file = run.resume.parent / "run.json"
    write_run(run, file)

    def follow(event: Event) -> None:
        if stop_at is not None and event["event"] == "progress" and event["step"] >= stop_at:
            raise KeyboardInterrupt

    launched = ranks > 1
    run_module("models.train", file, follow, processes=ranks, launched=launched, saves=True)


def of_tree(run: TrainRun) -> list[psutil.Process]:
    """Launcher, ranks and loaders all have the run file on their command line."""
    file = str(run.resume.parent / "run.json")
    found = []
    for each in psutil.process_iter():
        try:
            if file in each.cmdline() and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
        except psutil.Error:
            continue
    return found


def settings() -> StageSettings:
    return stage("finetune", steps=STEPS, save_steps=STEPS - 1, validate_steps=4)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_stopped_stage_goes_on_to_the_same_bytes(tmp_path: Path, ranks: int) -> None:
    trained_world()
    left_alone = run_of(tmp_path / "a", settings(), workers=1)
    train(left_alone, ranks)
    run = run_of(tmp_path / "b", settings(), workers=1)
    with pytest.raises(KeyboardInterrupt):
        train(run, ranks, stop_at=2)
    until = time.monotonic() + 20
    while of_tree(run) and time.monotonic() < until:
        time.sleep(0.1)
    assert not of_tree(run)
    assert not (run.output / "result.json").exists()
    assert (run.resume.parent / STOP_FILE).exists()
    checkpoint = last_whole_checkpoint(run.resume)
    assert checkpoint is not None
    assert 2 <= int(checkpoint.name.removeprefix("checkpoint-")) < STEPS
    train(run, ranks)
    for name in ("model.safetensors", "losses.jsonl"):
        assert (run.output / name).read_bytes() == (left_alone.output / name).read_bytes(), name

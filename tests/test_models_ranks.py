"""A stage on two ranks: the losses of one rank, checkpoints of both, and one common last step."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from models_world import stage, train_run

from infra.launch import ChildFailed, run_module
from infra.runs import TrainRun, write_run
from models.train import train
from models.sealed import WHOLE, last_whole_checkpoint


def train_on_two_ranks(run: TrainRun, file: Path, on_event: Any = lambda event: None) -> None:
    write_run(run, file)
    run_module("models.train", file, on_event, processes=2)


def losses(run: TrainRun) -> list[float]:
    lines = (run.output / "losses.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def sealed_files(checkpoint: Path) -> set[str]:
    return set(json.loads((checkpoint / WHOLE).read_text()))


def is_second_rank(process: psutil.Process, file: Path) -> bool:
    try:
        return str(file) in process.cmdline() and process.environ().get("RANK") == "1"
    except psutil.Error:
        return False


def test_two_ranks_repeat_the_losses_of_one_and_seal_the_files_of_both(tmp_path: Path) -> None:
    settings = stage("language", steps=4, save_steps=2)
    alone = train_run(tmp_path / "alone", settings)
    assert train(alone) == 0
    run = train_run(tmp_path / "ranks", settings)
    train_on_two_ranks(run, tmp_path / "run.json")
    assert losses(run) == pytest.approx(losses(alone), rel=1e-4)
    checkpoint = last_whole_checkpoint(run.resume)
    assert checkpoint is not None
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= sealed_files(checkpoint)


@pytest.mark.slow
def test_sigterm_at_one_rank_stops_both_after_the_same_step(tmp_path: Path) -> None:
    run = train_run(tmp_path, stage("language", steps=3000, save_steps=2999))

    def end_the_second_rank(event: Any) -> None:
        if event["event"] == "progress" and event["step"] < 2999:
            for process in psutil.process_iter():
                if is_second_rank(process, tmp_path / "run.json"):
                    process.send_signal(signal.SIGTERM)

    with pytest.raises(ChildFailed):
        train_on_two_ranks(run, tmp_path / "run.json", end_the_second_rank)
    checkpoint = last_whole_checkpoint(run.resume)
    assert checkpoint is not None
    assert 0 < int(checkpoint.name.removeprefix("checkpoint-")) < 2999
    assert not run.output.exists(), "a stage that was stopped half way has no output"
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= sealed_files(checkpoint)

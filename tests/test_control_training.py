"""A stage that is stopped on request goes on to the very bytes of one that was left alone."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import psutil
import pytest
from models_world import stage, trained_world
from ranks_world import run_of

from infra.launch import HERE, Event, Nodes, run_module
from infra.runs import TrainRun, write_run
from infra.settings.stages import StageSettings
from infra.stopping import STOP_FILE
from models.sealed import last_whole_checkpoint

pytestmark = pytest.mark.slow
STEPS = 12
STARTER = """
import subprocess, sys
nodes = [subprocess.Popen(sys.argv[1:], start_new_session=True) for _ in range(2)]
sys.exit(max(node.wait() for node in nodes))
"""
"""What Slurm's ``srun`` is on a cluster: the command on each of two nodes, each with a launcher of
its own, in sessions of their own. It says nothing to them when it is asked to end."""


def two_nodes() -> Nodes:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return Nodes(2, f"127.0.0.1:{port}", (sys.executable, "-c", STARTER))


def train(run: TrainRun, ranks: int, stop_at: int | None = None, nodes: Nodes = HERE) -> None:
    """As a flow does; at a step something interrupts it."""
    file = run.resume.parent / "run.json"
    write_run(run, file)

    def follow(event: Event) -> None:
        if stop_at is not None and event["event"] == "progress" and event["step"] >= stop_at:
            raise KeyboardInterrupt

    launched = ranks > 1
    run_module(
        "models.train", file, follow, processes=ranks, nodes=nodes, launched=launched, saves=True
    )


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


@pytest.mark.parametrize(("ranks", "nodes"), [(1, 1), (2, 1), (1, 2)])
def test_a_stopped_stage_goes_on_to_the_same_bytes(tmp_path: Path, ranks: int, nodes: int) -> None:
    trained_world()
    left_alone = run_of(tmp_path / "a", settings(), workers=1)
    train(left_alone, ranks, nodes=two_nodes() if nodes == 2 else HERE)
    run = run_of(tmp_path / "b", settings(), workers=1)
    with pytest.raises(KeyboardInterrupt):
        train(run, ranks, stop_at=2, nodes=two_nodes() if nodes == 2 else HERE)
    until = time.monotonic() + 20
    while of_tree(run) and time.monotonic() < until:
        time.sleep(0.1)
    assert not of_tree(run)
    assert not (run.output / "result.json").exists()
    assert (run.resume.parent / STOP_FILE).exists()
    checkpoint = last_whole_checkpoint(run.resume)
    assert checkpoint is not None
    assert 2 <= int(checkpoint.name.removeprefix("checkpoint-")) < STEPS
    train(run, ranks, nodes=two_nodes() if nodes == 2 else HERE)
    for name in ("model.safetensors", "losses.jsonl"):
        assert (run.output / name).read_bytes() == (left_alone.output / name).read_bytes(), name

"""On a real stack: a training run is paused, backed up under, resumed, killed and cancelled."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.small_world import HOUSE, SMALL, cxr_environment
from tests.stack_world import CXR, StackWorld, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]
PATIENCE_SECONDS = 1800.0
LONG = "stages.language.steps=5000"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackWorld]:
    world = StackWorld(tmp_path_factory.mktemp("control") / "stack")
    done = world.command("up", "--patience", str(PATIENCE_SECONDS))
    assert done.returncode == 0, done.stderr[-3000:]
    yield world
    world.command("stop")


@pytest.fixture(scope="module")
def run(world: StackWorld) -> str:
    """A run whose first stage trains for long."""
    told: dict[str, Any] = {"recipe": "llava_rad", "scale": "tiny", "replicas": True}
    told["overrides"] = [*SMALL, LONG]
    return world.schedule("pipeline/llava-rad", {"order": told, "until": "train"})


def cxr(world: StackWorld, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CXR, *words],
        cwd=HOUSE,
        env={**cxr_environment(), **world.variables()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def of_stack(world: StackWorld, *words: str) -> list[psutil.Process]:
    """Living processes of the stack with all of these words on their command line."""
    found = []
    for each in psutil.process_iter():
        try:
            line, environment = " ".join(each.cmdline()), each.environ()
            ours = str(world.folder) in environment.get("CXR_STATE_DIR", "")
            alive = each.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
        if ours and alive and all(word in line for word in words):
            found.append(each)
    return found


def trainers(world: StackWorld) -> list[psutil.Process]:
    return of_stack(world, "models.train")


def checkpoints(world: StackWorld) -> list[str]:
    stages = world.folder / "state" / "stages"
    return sorted(path.name for path in stages.glob("language-*/checkpoints/checkpoint-*"))


def steps_told(world: StackWorld) -> int:
    """Optimizer steps of the first stage that MLflow knows of."""
    found = world.mlflow("/experiments/get-by-name?experiment_name=llava_rad")["experiment"]
    asked = {"experiment_ids": [found["experiment_id"]]}
    runs = world.mlflow("/runs/search", asked).get("runs", [])
    steps = [
        int(metric["step"])
        for each in runs
        for metric in each["data"].get("metrics", ())
        if metric["key"] == "loss"
    ]
    return max(steps, default=0)


def slots(world: StackWorld) -> int:
    found = world.prefect("/deployments/name/pipeline/llava-rad")
    return int(found["global_concurrency_limit"]["active_slots"])


def in_training(world: StackWorld, beyond: int = 0) -> None:
    wait_until(
        lambda: bool(trainers(world)) and has_stepped(world, beyond), PATIENCE_SECONDS, "training"
    )


def has_stepped(world: StackWorld, beyond: int) -> bool:
    try:
        return steps_told(world) > beyond
    except OSError:  # no experiment yet
        return False


def test_a_paused_run_leaves_its_checkpoint_and_its_slot(world: StackWorld, run: str) -> None:
    in_training(world)
    assert slots(world) == 1
    target = world.folder.parent / "backup"
    done = world.command("backup", str(target))
    assert done.returncode == 0, done.stderr[-2000:]
    assert trainers(world), "a backup disturbs no run"
    assert cxr(world, "pause", run[:13]).startswith("Suspended: ")
    assert trainers(world) == []
    assert checkpoints(world)
    wait_until(lambda: not of_stack(world, "prefect.engine"), 120, "the run's process gone")
    assert world.state(run) == "Suspended"
    assert slots(world) == 0


def test_a_resumed_run_goes_on_and_a_kill_leaves_no_orphan(world: StackWorld, run: str) -> None:
    before = steps_told(world)
    assert before > 0
    assert cxr(world, "resume", run).startswith("Resuming: ")
    in_training(world, before)
    old = trainers(world)
    for each in of_stack(world, "prefect.engine"):
        each.send_signal(signal.SIGKILL)
    wait_until(lambda: not [each for each in old if each in trainers(world)], 60, "no orphan")
    wait_until(lambda: world.state(run) != "Running", 300, "a worker that notices")


def test_a_cancelled_run_ends_and_the_next_goes_on(world: StackWorld, run: str) -> None:
    if world.state(run) == "Crashed":
        cxr(world, "resume", run)
    in_training(world)
    assert cxr(world, "cancel", run).startswith("Cancelled: ")
    wait_until(lambda: not of_stack(world, "prefect.engine"), 120, "the run's process gone")
    assert trainers(world) == []
    kept = max(int(name.rpartition("-")[2]) for name in checkpoints(world))
    order = world.prefect(f"/flow_runs/{run}")["parameters"]
    again = world.schedule("pipeline/llava-rad", order)
    in_training(world, kept)
    assert min(int(name.rpartition("-")[2]) for name in checkpoints(world)) >= min(kept, 1)
    assert cxr(world, "cancel", again).startswith("Cancelled: ")


def test_the_backup_makes_a_stack_with_the_same_runs(world: StackWorld, run: str) -> None:
    assert world.command("stop").returncode == 0
    other = StackWorld(world.folder.parent / "stack2")
    backup = str(world.folder.parent / "backup")
    done = other.command("restore", backup)
    assert done.returncode == 0, done.stderr[-2000:]
    up = other.command("up", "--patience", str(PATIENCE_SECONDS))
    try:
        assert up.returncode == 0, up.stderr[-3000:]
        # silent since the backup: it is 'attend' that starts it again, or has done so by now
        assert other.state(run) in ("Running", "Crashed", "AwaitingRetry", "Pending", "Submitting")
        assert steps_told(other) > 0
        assert other.manifests("studies/chexpert") == 1
        assert list((other.folder / "state").iterdir())
    finally:
        other.command("stop")

"""Reading ahead in processes beside the trainer: the same training, errors, ends and silence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import psutil
import pyarrow.parquet as pq
import pytest
import torch
from models_world import SIDE_PX, stage, train_run, trained_world
from safetensors.torch import load_file

from infra.errors import ArtifactError, InputError
from infra.fingerprint import HOUSE
from infra.runs import TrainRun, write_run
from models.canvas import Canvas
from models.data import ExampleShards, Sample
from models.loading import BatchReader, Failed, whole_batches
from models.packing import Batch
from models.sealed import last_whole_checkpoint
from models.train import train


def losses(run: TrainRun) -> list[float]:
    lines = (run.output / "losses.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize("piece", [None, 3])
def test_workers_change_neither_losses_nor_weights(tmp_path: Path, piece: int | None) -> None:
    """To the bit, also where a contrastive batch is cut on its device."""
    runs = [
        train_run(
            tmp_path / str(workers),
            stage("pretrain", steps=3, device_batch_size=piece),
            workers=workers,
        )
        for workers in (0, 2)
    ]
    for run in runs:
        assert train(run) == 0
    assert losses(runs[0]) == losses(runs[1])
    alone, ahead = (load_file(run.output / "model.safetensors") for run in runs)
    assert all(torch.equal(alone[name], ahead[name]) for name in alone)


@pytest.mark.slow
def test_a_worker_leaves_the_trainers_last_calls_to_the_trainer(tmp_path: Path) -> None:
    """Some that libraries make when their threads end fail in a fork, as those of Prefect do."""
    program = """
        import os, sys, threading
        from pathlib import Path
        from infra.runs import read_run, TrainRun
        from models.train import train
        trainer = os.getpid()
        def last_call():
            if os.getpid() != trainer:
                raise RuntimeError("this thread was not forked")
            print("the trainer's last call")
        threading._register_atexit(last_call)
        sys.exit(train(read_run(TrainRun, Path(sys.argv[1]))))
    """
    run = train_run(tmp_path, stage("pretrain", steps=3), workers=2)
    write_run(run, tmp_path / "run.json")
    command = [sys.executable, "-c", dedent(program), str(tmp_path / "run.json")]
    child = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout.splitlines()[-1] == "the trainer's last call"


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_shard_is_the_same_line_from_a_worker(tmp_path: Path, workers: int) -> None:
    run = train_run(
        tmp_path, stage("finetune"), workers=workers, inputs={"align": trained_world() / "align"}
    )
    for path in run.train_examples:
        data, shard = bytearray(path.read_bytes()), pq.ParquetFile(path).metadata
        for group in range(shard.num_row_groups):
            columns = (shard.row_group(group).column(n) for n in range(shard.num_columns))
            (targets,) = (each for each in columns if each.path_in_schema == "target")
            start = targets.dictionary_page_offset or targets.data_page_offset
            data[start : start + 16] = b"\xff" * 16
        path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError) as error:
        train(run)
    assert "\n" not in str(error.value)
    assert "train-" in str(error.value)
    assert "Traceback" not in str(error.value)


def test_what_a_reader_met_is_raised_where_the_batch_is_asked_for() -> None:
    error = InputError("this", "that", "do it")
    batches: Iterator[Batch | Failed] = iter([{"a": torch.zeros(1)}, Failed(error)])
    read = whole_batches(batches)
    assert next(read).keys() == {"a"}
    with pytest.raises(InputError) as raised:
        next(read)
    assert raised.value is error


def test_in_the_trainer_itself_an_error_is_raised_as_it_is(tmp_path: Path) -> None:
    examples = ExampleShards(train_run(tmp_path, stage("pretrain")).train_examples, Canvas(SIDE_PX))

    def refuse(samples: list[Sample]) -> Batch:
        raise InputError(f"{len(samples)} samples", "none", "give none")

    with pytest.raises(InputError, match="found 2 samples; expected none"):
        BatchReader(examples, refuse)([0, 5])


@contextmanager
def training(root: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process], TrainRun]]:
    """A long stage with two workers as a child of its own group, once it has made a step."""
    run = train_run(root, stage("pretrain", steps=3000, save_steps=2999), workers=2)
    write_run(run, root / "run.json")
    child = subprocess.Popen(
        [sys.executable, "-m", "models.train", str(root / "run.json")],
        cwd=HOUSE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        start_new_session=True,
    )
    assert child.stdout is not None
    try:
        next(line for line in child.stdout if '"progress"' in line)
        yield child, psutil.Process(child.pid).children(), run
    finally:
        child.kill()
        child.communicate()


@pytest.mark.slow
def test_sigterm_to_the_whole_group_still_leaves_a_checkpoint(tmp_path: Path) -> None:
    """As ``stop_tree`` sends it: a worker that ended at once would fail the trainer's step."""
    with training(tmp_path) as (child, workers, run):
        assert len(workers) == 2
        os.killpg(child.pid, signal.SIGTERM)
        _, said = child.communicate(timeout=120)
        assert child.returncode == 143
        assert said == "", "nothing is warned of"
        assert last_whole_checkpoint(run.resume) is not None
        assert not any(worker.is_running() for worker in workers)


@pytest.mark.slow
def test_workers_end_with_a_killed_trainer(tmp_path: Path) -> None:
    with training(tmp_path) as (child, workers, _):
        child.kill()
        gone, alive = psutil.wait_procs(workers, timeout=60)
        assert (len(gone), alive) == (2, [])


@pytest.mark.slow
def test_a_killed_worker_ends_the_stage(tmp_path: Path) -> None:
    with training(tmp_path) as (child, workers, run):
        workers[0].kill()
        _, said = child.communicate(timeout=120)
        assert child.returncode == 1
        lost = "RuntimeError: DataLoader worker (pid"
        # not the last line: Python may yet say that it has no stderr, as the other worker ends
        assert any(line.startswith(lost) for line in said.splitlines())
        assert not run.output.exists()

"""Predictions over several ranks and over kills: the file of an undisturbed run, byte by byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from models_world import trained_world

from infra.child import STOPPED_BY_SIGTERM
from infra.fingerprint import HOUSE
from infra.launch import Event, run_module
from infra.runs import GenerateRun, write_run
from infra.settings.sections import GenerateSettings
from models.answer_parts import AnswerParts, Rank, run_key
from models.generate import generate
from models.writer import FindingsWriter

ROWS = 36


def run_in(folder: Path, **changes: object) -> GenerateRun:
    root = trained_world()
    values = {
        "model": root / "finetune",
        "generate": GenerateSettings(batch_size=2, max_new_tokens=24),
        "examples": (root / "shards" / "test.parquet",),
        "controls": ("none", "shuffled", "blank"),
        "output": folder / "out",
        "scratch": folder / "parts",
        "device": "cpu",
    }
    return GenerateRun.model_validate({**values, **changes})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    run = run_in(tmp_path_factory.mktemp("undisturbed"))
    assert generate(run) == 0
    return predictions(run)


def predictions(run: GenerateRun) -> bytes:
    return (run.output / "predictions.parquet").read_bytes()


def kept(run: GenerateRun) -> dict[int, tuple[int, ...]]:
    assert run.scratch is not None
    return AnswerParts(run.scratch / run_key(run), Rank(), 1).read()


def test_texts_are_decoded_from_the_kept_ids(undisturbed: bytes, tmp_path: Path) -> None:
    (tmp_path / "some.parquet").write_bytes(undisturbed)
    rows = pq.read_table(tmp_path / "some.parquet").to_pylist()
    writer = FindingsWriter.load(trained_world() / "finetune", GenerateSettings(), "cpu")
    end = writer.tokenizer.eos_token_id
    for row in rows:
        ids = row["generated_ids"]
        assert (ids[-1] == end) == (row["finish_reason"] == "stop")
        assert row["tokens"] == len(ids) - (ids[-1] == end)
        text = writer.tokenizer.decode(ids, skip_special_tokens=True)
        assert " ".join(text.split()) == row["prediction"]


def test_ranks_one_after_another_write_the_same(
    tmp_path: Path, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first rank last: it finds the others' answers and merges all."""
    run = run_in(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "here")
    for rank in (2, 1, 0):
        assert not (run.output / "predictions.parquet").exists()
        monkeypatch.setenv("RANK", str(rank))
        assert generate(run) == 0
    assert predictions(run) == undisturbed
    result = json.loads((run.output / "result.json").read_text())
    assert result["predictions"] == ROWS
    assert "tokens_per_second" not in result  # a payload that differed from run to run


def test_a_run_goes_on_from_another_number_of_ranks(
    tmp_path: Path,
    undisturbed: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = run_in(tmp_path)
    with monkeypatch.context() as place:
        place.setenv("WORLD_SIZE", "2")
        place.setenv("RANK", "1")
        assert generate(run) == 0
    done = kept(run)
    assert 0 < len(done) < ROWS
    capsys.readouterr()
    assert generate(run) == 0
    assert predictions(run) == undisturbed
    assert run.scratch is not None and not run.scratch.exists()


def test_kept_answers_are_taken_as_they_are(tmp_path: Path) -> None:
    """Were they made again, the planted one would be gone."""
    run = run_in(tmp_path)
    assert run.scratch is not None
    parts = AnswerParts(run.scratch / run_key(run), Rank(), 1)
    parts.add(7, [5, 2])
    assert generate(run) == 0
    row = pq.read_table(run.output / "predictions.parquet").to_pylist()[7]
    assert row["generated_ids"] == [5, 2]


def test_answers_of_other_settings_are_left_alone(tmp_path: Path, undisturbed: bytes) -> None:
    other = run_in(tmp_path, generate=GenerateSettings(batch_size=2, max_new_tokens=3))
    assert other.scratch is not None
    AnswerParts(other.scratch / run_key(other), Rank(), 1).add(7, [5, 2])
    run = run_in(tmp_path)
    assert generate(run) == 0
    assert predictions(run) == undisturbed
    assert kept(other) == {7: (5, 2)}


def started(run: GenerateRun, file: Path) -> subprocess.Popen[str]:
    """The run as a child, once it has kept an answer."""
    write_run(run, file)
    child = subprocess.Popen(
        [sys.executable, "-m", "models.generate", str(file)],
        cwd=HOUSE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert run.scratch is not None
    while not list(run.scratch.glob("*/*.parquet")) and child.poll() is None:
        time.sleep(0.002)
    return child


def end(child: subprocess.Popen[str], how: signal.Signals) -> int:
    child.send_signal(how)
    assert child.stdout is not None
    child.stdout.close()
    return child.wait(timeout=60)


SLOWLY = GenerateSettings(batch_size=1, max_new_tokens=40)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_file(tmp_path: Path) -> None:
    calm = run_in(tmp_path / "calm", generate=SLOWLY)
    assert generate(calm) == 0
    run = run_in(tmp_path / "killed", generate=SLOWLY)
    assert end(started(run, tmp_path / "run.json"), signal.SIGKILL) == -signal.SIGKILL
    done = kept(run)
    assert 0 < len(done) < ROWS
    assert not (run.output / "predictions.parquet").exists()
    assert generate(run) == 0
    assert predictions(run) == predictions(calm)


@pytest.mark.slow
def test_sigterm_keeps_what_is_finished(tmp_path: Path) -> None:
    run = run_in(tmp_path, generate=SLOWLY)
    assert end(started(run, tmp_path / "run.json"), signal.SIGTERM) == STOPPED_BY_SIGTERM
    assert 0 < len(kept(run)) < ROWS
    assert not (run.output / "result.json").exists()


@pytest.mark.slow
def test_two_ranks_under_the_launcher_write_the_same(tmp_path: Path, undisturbed: bytes) -> None:
    run = run_in(tmp_path)
    write_run(run, tmp_path / "run.json")
    events: list[Event] = []
    run_module("models.generate", tmp_path / "run.json", events.append, processes=2)
    assert predictions(run) == undisturbed
    assert events[0]["event"] == "start"
    assert events[-1]["event"] == "done"
    assert events[-1]["tokens_per_second"] > 0

"""The weights that a stage keeps: the best on validate, through kills, or else the last."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from models_world import stage, train_run, trained_world
from safetensors.torch import load_file

from infra.errors import InputError
from infra.runs import TrainRun
from models.checkpoint import TRAINABLE
from models.data import ExampleShards
from models.kept import is_better, keep, read_kept
from models.sealed import WHOLE
from models.stages import prepare
from models.train import train
from models.validate import LARGEST_ROWS, Validation, chosen_rows, validate_loss

# So high a rate that the loss on validate rises after the first steps.
WILD = {"learning_rate": 1.0, "schedule": "constant", "steps": 6, "validate_steps": 1}


def result(run: TrainRun) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.output / "result.json").read_text())
    return found


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((2,), value)}


def loss_of_output(run: TrainRun) -> float:
    """The loss on validate of what a language stage wrote."""
    from transformers import AutoModelForCausalLM

    prepared = prepare(run, lambda: ExampleShards(run.train_examples, None))
    model = AutoModelForCausalLM.from_pretrained(run.output)
    rows = ExampleShards(run.validate_examples, None)
    return validate_loss(model, Validation(prepared.collate, rows, 8, 8), lambda batch: batch)


def test_the_best_on_validate_is_what_a_stage_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train_run(tmp_path, stage("language", **WILD))
    assert train(run) == 0
    found = result(run)
    losses: dict[int, float] = dict(found["validate_losses"])
    assert list(losses) == [1, 2, 3, 4, 5, 6]
    best = min(losses, key=lambda step: losses[step])
    assert best < 6, "this rate is meant to be too high"
    assert (found["kept"], found["kept_step"]) == ("best on validate", best)
    assert found["validate_loss"] == losses[best]
    assert loss_of_output(run) == pytest.approx(losses[best], rel=1e-5)
    lines = capsys.readouterr().out.splitlines()  # DeepSpeed may say that there is no GPU
    events = [json.loads(line) for line in lines if line.startswith("{")]
    told = [each for each in events if each["event"] == "validated"]
    assert [each["step"] for each in told] == list(losses)
    assert told[-1]["best_step"] == best
    assert events[-1]["kept_step"] == best


def test_without_validate_the_last_is_kept_and_said(tmp_path: Path) -> None:
    run = train_run(tmp_path, stage("language", **WILD), validate_examples=())
    assert train(run) == 0
    found = result(run)
    assert (found["kept"], found["kept_step"]) == ("last", 6)
    assert (found["validate_loss"], found["validate_losses"]) == (None, [])
    saved = load_file(run.output / "model.safetensors")
    last = load_file(run.resume / "checkpoint-6" / TRAINABLE)
    assert last.keys() == saved.keys()
    assert all(torch.equal(last[name], saved[name]) for name in last)


def test_without_validate_steps_only_the_end_is_validated(tmp_path: Path) -> None:
    run = train_run(tmp_path, stage("language", steps=3))
    assert train(run) == 0
    assert [step for step, _ in result(run)["validate_losses"]] == [3]


def test_the_best_outlives_a_kill(tmp_path: Path) -> None:
    """A process that was killed has kept a step; the one that goes on has not seen it."""
    settings = stage("language", **WILD, save_steps=4)
    whole = train_run(tmp_path / "a", settings)
    assert train(whole) == 0
    run = train_run(tmp_path / "b", settings)
    shutil.copytree(whole.resume / "checkpoint-4", run.resume / "checkpoint-4")
    kept = read_kept(whole.resume)
    assert kept is not None
    shutil.copytree(kept.folder, run.resume / kept.folder.name)
    assert train(run) == 0
    assert result(run) == result(whole)
    ours, theirs = (load_file(each.output / "model.safetensors") for each in (run, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_a_stage_killed_after_its_last_step_only_writes(tmp_path: Path) -> None:
    run = train_run(
        tmp_path, stage("finetune", steps=2), inputs={"align": trained_world() / "align"}
    )
    assert train(run) == 0
    before = result(run)
    shutil.rmtree(run.output)
    assert train(run) == 0
    assert result(run) == before


@pytest.mark.slow
def test_a_stage_whose_kept_weights_are_damaged_after_its_last_step_finishes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train_run(tmp_path, stage("language", steps=2))
    assert train(run) == 0
    before = load_file(run.output / "model.safetensors")
    kept = read_kept(run.resume)
    assert kept is not None
    data = bytearray(kept.weights.read_bytes())
    data[-1] ^= 1
    kept.weights.write_bytes(bytes(data))
    shutil.rmtree(run.output)
    with caplog.at_level("WARNING", logger="cxrflow"):
        assert train(run) == 0
    assert "no weights that it kept are whole" in caplog.text
    assert result(run)["kept_step"] == 2
    after = load_file(run.output / "model.safetensors")
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("count", [3, LARGEST_ROWS, 5_000])
def test_rows_to_validate_on_are_drawn_from_all_shards(count: int) -> None:
    rows = chosen_rows(count)
    assert rows == sorted(set(rows)) == chosen_rows(count)
    assert len(rows) == min(count, LARGEST_ROWS)
    assert 0 <= rows[0] <= rows[-1] < count
    fifths = [sum(count * n // 5 <= row < count * (n + 1) // 5 for row in rows) for n in range(5)]
    assert max(fifths) - min(fifths) <= max(1, 40)  # four standard deviations of a binomial


def test_kept_weights_give_way_to_better_ones_alone(tmp_path: Path) -> None:
    keep(tmp_path, 3, 2.0, weights(3.0))
    keep(tmp_path, 5, 1.0, weights(5.0))
    kept = read_kept(tmp_path)
    assert kept is not None
    assert (kept.step, kept.validate_loss) == (5, 1.0)
    assert float(load_file(kept.weights)["w"][0]) == 5.0
    assert [path.name for path in tmp_path.iterdir()] == ["kept-5"]
    assert is_better(0.9, kept)
    assert not is_better(1.0, kept)


def test_where_nothing_validates_any_later_weights_are_better(tmp_path: Path) -> None:
    assert is_better(None, None)
    keep(tmp_path, 3, None, weights(3.0))
    assert is_better(None, read_kept(tmp_path))


def test_of_two_whole_ones_the_better_counts_and_a_torn_one_never(tmp_path: Path) -> None:
    """A kill can fall between writing the new one and removing the old."""
    for step, loss in ((3, 2.0), (5, 1.0), (7, 0.5)):
        keep(tmp_path / str(step), step, loss, weights(loss))
        (tmp_path / str(step) / f"kept-{step}").rename(tmp_path / f"kept-{step}")
        (tmp_path / str(step)).rmdir()
    (tmp_path / "kept-7" / WHOLE).unlink()
    kept = read_kept(tmp_path)
    assert kept is not None
    assert kept.step == 5
    assert not (tmp_path / "kept-7").exists()
    assert read_kept(tmp_path / "none") is None


def test_fewer_rows_than_ranks_cannot_be_validated_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train_run(tmp_path, stage("language"))
    rows = ExampleShards(run.validate_examples, None)
    monkeypatch.setattr("models.validate.rank_and_ranks", lambda: (0, 9))
    with pytest.raises(InputError) as error:
        validate_loss(torch.nn.Linear(1, 1), Validation(list, rows, 9, 1), dict)  # type: ignore[arg-type]
    assert str(error.value) == (
        "found 8 examples to validate on 9 ranks; expected at least one for each rank; train on "
        "fewer ranks or give more validate examples"
    )

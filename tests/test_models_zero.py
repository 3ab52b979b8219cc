"""Two ranks under DeepSpeed give one rank's curve, and each goes on where the other was killed.

Fifty steps in float32 within 1e-3 of each loss; what is saved is compared too.
"""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
import torch
from models_world import trained_world
from ranks_world import (
    kill_after,
    losses,
    result,
    run_of,
    same_on_all_ranks,
    train_on_ranks,
    with_zero,
)
from safetensors.torch import load_file

from infra.launch import ChildFailed
from infra.runs import TrainRun
from models.sealed import last_whole_checkpoint
from models.train import train
from models.vlm import load_vlm

pytestmark = pytest.mark.slow

STEPS, EVERY = 50, 20
WHOLE_FINETUNE = {"trainable": ["vision", "projector", "language"], "lora": None}


@cache
def alone(name: str) -> TrainRun:
    """The undisturbed stage on one rank, without DeepSpeed."""
    run = fresh(name)
    assert train(run) == 0
    return run


def fresh(name: str, **changes: object) -> TrainRun:
    usual = {"steps": STEPS, "save_steps": EVERY, "validate_steps": 10}
    settings = same_on_all_ranks(name, **{**usual, **changes})
    root = Path(mkdtemp(prefix="cxrflow-zero-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return run_of(root, settings)


def weights(run: TrainRun) -> Mapping[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = load_file(run.output / "model.safetensors")
    return saved


def assert_same_curve(run: TrainRun, expected: TrainRun) -> None:
    assert len(losses(expected)) == STEPS
    assert losses(run) == pytest.approx(losses(expected), rel=1e-3)
    ours, theirs = (dict(result(each)["validate_losses"]) for each in (run, expected))
    assert ours == pytest.approx(theirs, rel=1e-3)


def assert_same_weights(run: TrainRun, expected: TrainRun, atol: float) -> None:
    ours, theirs = weights(run), weights(expected)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, atol=atol, rtol=1e-2, msg=name)


@pytest.mark.parametrize("zero", [2, 3])
def test_two_ranks_of_zero_repeat_one_rank_and_save_its_model(zero: int) -> None:
    run = fresh("finetune", deepspeed_zero=zero)
    train_on_ranks(run, 2)
    assert_same_curve(run, alone("finetune"))
    assert_same_weights(run, alone("finetune"), atol=2e-3)
    load_vlm(run.output)
    assert (run.output / "adapter" / "adapter_model.safetensors").is_file()


def test_accumulated_passes_and_checkpointed_activations_change_nothing() -> None:
    run = fresh("finetune", deepspeed_zero=2, device_batch_size=2, gradient_checkpointing=True)
    train_on_ranks(run, 2)
    assert_same_curve(run, alone("finetune"))


@pytest.mark.parametrize("zero", [0, 2])
def test_a_contrastive_stage_sees_the_pairs_of_both_ranks(zero: int) -> None:
    run = fresh("pretrain", deepspeed_zero=zero)
    train_on_ranks(run, 2)
    assert_same_curve(run, alone("pretrain"))


def test_two_ranks_killed_under_zero_2_go_on_as_one_without_and_as_two_under_zero_3() -> None:
    run = fresh("finetune", deepspeed_zero=2)
    with pytest.raises(ChildFailed):
        train_on_ranks(run, 2, kill_after(run, EVERY))
    assert last_whole_checkpoint(run.resume) is not None
    assert not run.output.exists()
    other = with_zero(fresh("finetune"), 3)
    shutil.copytree(run.resume, other.resume)
    one = with_zero(run, 0)
    assert train(one) == 0
    assert_same_curve(one, alone("finetune"))
    train_on_ranks(other, 2)
    assert_same_curve(other, alone("finetune"))


def test_one_rank_killed_goes_on_as_two() -> None:
    run = fresh("finetune")
    with pytest.raises(ChildFailed):
        train_on_ranks(run, 1, kill_after(run, EVERY))
    two = with_zero(run, 2)
    train_on_ranks(two, 2)
    assert_same_curve(two, alone("finetune"))


@pytest.mark.parametrize("zero", [2, 3])
def test_all_weights_train_in_bfloat16_and_are_saved_whole(zero: int) -> None:
    """Frozen ones, vision tower and all, are spread too under ZeRO-3; none may be missing."""
    changes = {**WHOLE_FINETUNE, "precision": "bfloat16", "gradient_checkpointing": True}
    run = fresh("finetune", deepspeed_zero=zero, steps=12, save_steps=6, **changes)
    train_on_ranks(run, 2)
    found = losses(run)
    assert found[-1] < found[0] - 0.5
    shapes = {name: value.shape for name, value in weights(run).items()}
    aligned = load_file(trained_world() / "align" / "model.safetensors")
    assert shapes == {name: value.shape for name, value in aligned.items()}
    again = run.model_copy(update={"output": run.output.with_name("again")})
    shutil.rmtree(run.resume / "checkpoint-12")
    train_on_ranks(again, 2)
    assert losses(again) == pytest.approx(found, rel=1e-3)


def test_an_infinite_gradient_under_bfloat16_stops_the_stage(tmp_path: Path) -> None:
    """DeepSpeed alone would skip such steps without a word, one after the other."""
    settings = same_on_all_ranks(
        "finetune", learning_rate=1e20, warmup_share=0.0, precision="bfloat16", deepspeed_zero=2
    )
    run = run_of(tmp_path, settings)
    with pytest.raises(
        ChildFailed, match=r"stage finetune: the (loss|gradient's norm) is (nan|inf)"
    ):
        train_on_ranks(run, 1)
    assert not run.output.exists()

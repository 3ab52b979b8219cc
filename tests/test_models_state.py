"""Weights and moments by name: what a checkpoint holds, and what it is read back into."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from models_world import stage, train_run, trained_world
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from infra.errors import CxrError
from models.checkpoint import TRAINABLE, TRAINING, read_training, write_training
from models.named_state import (
    gathered_weights,
    give_scalars_an_axis,
    load_weights,
    optimizer_steps,
)
from models.ranks import require_alike, seed_step
from models.sealed import WHOLE, last_whole_checkpoint
from models.train import train


class Training:
    """A small net with decayed and plain parameters, one of them frozen and one never reached."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.net = nn.Sequential()
        for name in ("one", "two", "far"):
            self.net.add_module(name, nn.Linear(3, 3))
        self.weight("two.bias").requires_grad_(False)
        named = [(name, each) for name, each in self.net.named_parameters() if each.requires_grad]
        plain = [each for name, each in named if "bias" in name]
        decayed = [each for name, each in named if "bias" not in name]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.1)
        self.schedule = LambdaLR(self.optimizer, lambda step: 1 / (1 + step))

    def weight(self, name: str) -> nn.Parameter:
        return self.net.get_parameter(name)

    def step(self, number: int) -> float:
        generator = torch.Generator().manual_seed(number)
        rows = torch.randn(4, 3, generator=generator)
        loss = self.net[1](self.net[0](rows).tanh()).pow(2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return float(loss.detach())

    def write(self, folder: Path, *, here: bool = True) -> None:
        write_training(folder, self.net, self.optimizer, self.schedule, here=here)


def test_a_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    undisturbed = Training(0)
    expected = [undisturbed.step(number) for number in range(8)]
    stopped, resumed = Training(0), Training(1)
    assert [stopped.step(number) for number in range(4)] == expected[:4]
    stopped.write(tmp_path)
    with torch.no_grad():  # frozen weights come with the model, not with the checkpoint
        resumed.weight("two.bias").copy_(stopped.weight("two.bias"))
    load_weights(resumed.net, tmp_path / TRAINABLE)
    read_training(tmp_path, resumed.net, resumed.optimizer, resumed.schedule)
    assert [resumed.step(number) for number in range(4, 8)] == expected[4:]
    assert resumed.schedule.get_last_lr() == undisturbed.schedule.get_last_lr()


def test_every_file_is_by_parameter_name_and_none_is_pickled(tmp_path: Path) -> None:
    training = Training(0)
    training.step(0)
    training.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        TRAINABLE,
        "exp_avg.safetensors",
        "exp_avg_sq.safetensors",
        TRAINING,
    }
    reached = {"one.weight", "one.bias", "two.weight"}
    assert load_file(tmp_path / TRAINABLE).keys() == reached | {"far.weight", "far.bias"}
    for name in ("exp_avg", "exp_avg_sq"):
        moments = load_file(tmp_path / f"{name}.safetensors")
        assert moments.keys() == reached
        for parameter, value in moments.items():
            held = training.optimizer.state[training.weight(parameter)][name]
            assert torch.equal(value, held)
            assert value.dtype == torch.float32
    told = json.loads((tmp_path / TRAINING).read_text())
    assert told["optimizer_steps"] == 1 == optimizer_steps(training.optimizer)
    assert told["schedule"]["last_epoch"] == 1


def test_weights_in_another_precision_are_kept_in_float32(tmp_path: Path) -> None:
    training = Training(0)
    training.net.to(torch.bfloat16)
    training.write(tmp_path)
    for value in load_file(tmp_path / TRAINABLE).values():
        assert value.dtype == torch.float32
    other = Training(1)
    other.net.to(torch.bfloat16)
    load_weights(other.net, tmp_path / TRAINABLE)
    assert torch.equal(other.weight("one.weight"), training.weight("one.weight"))


def test_a_temperature_is_read_back_with_and_without_an_axis(tmp_path: Path) -> None:
    """Under DeepSpeed it has one, elsewhere none."""
    plain, lifted = nn.Linear(1, 1), nn.Linear(1, 1)
    for net, value in ((plain, 2.5), (lifted, 0.0)):
        net.register_parameter("scale", nn.Parameter(torch.tensor(value)))
    give_scalars_an_axis(lifted)
    assert (plain.scale.shape, lifted.scale.shape) == ((), (1,))
    save_file(gathered_weights(plain), tmp_path / TRAINABLE)
    load_weights(lifted, tmp_path / TRAINABLE)
    assert lifted.scale.tolist() == [2.5]
    save_file(gathered_weights(lifted), tmp_path / TRAINABLE)
    load_weights(plain, tmp_path / TRAINABLE)
    assert plain.scale.tolist() == 2.5


def test_a_rank_that_does_not_write_leaves_nothing(tmp_path: Path) -> None:
    Training(0).write(tmp_path / "none", here=False)
    assert not (tmp_path / "none").exists()


def test_weights_of_another_stage_are_refused(tmp_path: Path) -> None:
    Training(0).write(tmp_path)
    with pytest.raises(CxrError, match=r"holds other parameters than the stage trains: bias, …"):
        load_weights(nn.Linear(3, 3), tmp_path / TRAINABLE)


def test_a_stages_checkpoint_holds_no_pickle_and_nothing_of_a_rank(tmp_path: Path) -> None:
    run = train_run(tmp_path, stage("pretrain", steps=2))
    assert train(run) == 0
    checkpoint = last_whole_checkpoint(run.resume)
    assert checkpoint is not None
    sealed = set(json.loads((checkpoint / WHOLE).read_text()))
    assert sealed == {
        TRAINABLE,
        "exp_avg.safetensors",
        "exp_avg_sq.safetensors",
        TRAINING,
        "trainer_state.json",
    }
    assert {path.name for path in checkpoint.iterdir()} == sealed | {WHOLE}


def test_a_resumed_stage_draws_the_dropout_of_an_undisturbed_one(tmp_path: Path) -> None:
    settings = stage("finetune", lora={"rank": 4, "alpha": 8, "dropout": 0.3}, save_steps=3)
    inputs = {"align": trained_world() / "align"}
    whole = train_run(tmp_path / "a", settings, inputs=inputs)
    assert train(whole) == 0
    run = train_run(tmp_path / "b", settings, inputs=inputs)
    shutil.copytree(whole.resume / "checkpoint-3", run.resume / "checkpoint-3")
    assert train(run) == 0
    ours, theirs = ((each.output / "losses.jsonl").read_text() for each in (run, whole))
    assert ours == theirs


def test_steps_and_seeds_draw_different_numbers_and_the_same_again() -> None:
    drawn = {}
    for seed, step in ((0, 0), (0, 1), (1, 0), (1, 1)):
        seed_step(seed, step)
        drawn[seed, step] = float(torch.rand(1))
    assert len(set(drawn.values())) == 4
    seed_step(0, 1)
    assert float(torch.rand(1)) == drawn[0, 1]


def test_a_batch_with_images_on_some_ranks_only_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = {"input_ids": torch.zeros(1), "pixel_values": torch.zeros(1)}
    require_alike(batch, 3)
    require_alike({"input_ids": torch.zeros(1)}, 3)
    monkeypatch.setattr("models.ranks.rank_and_ranks", lambda: (1, 4))
    with pytest.raises(CxrError) as error:
        require_alike(batch, 3)
    assert str(error.value) == (
        "found images on 1 of 4 ranks at step 3 (rank 1: input_ids, pixel_values); expected them "
        "on all or none; make batches of one kind or train without deepspeed_zero 3"
    )

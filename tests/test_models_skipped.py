"""Stages that start without one that the recipe leaves out, and prompts without the indication."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from models_world import MODELS, example, stage, train_run, trained_world
from safetensors.torch import load_file

from infra.errors import InputError
from infra.settings.stages import StageSettings
from models.data import ExampleShards
from models.train import train
from models.vlm import load_vlm
from models.weights import has_input_of_type
from sources.example import Task, request_turn


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A root whose language and pretrain stages are the trained world's."""
    for name in ("shards", "language", "pretrain", "align"):
        (tmp_path / name).symlink_to(trained_world() / name)
    return tmp_path


def named(kind: str, name: str, **changes: object) -> StageSettings:
    """A quick stage under another name."""
    return stage(kind, **changes).model_copy(update={"name": name})


def vision_weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        name.partition("vision_tower.")[2]: each
        for name, each in load_file(folder / "model.safetensors").items()
        if "vision_tower." in name
    }


@pytest.mark.slow
def test_finetuning_without_alignment_starts_from_the_parts(world: Path) -> None:
    direct = named("finetune", "direct", starts_from=["language", "pretrain"])
    run = train_run(world, direct)
    assert not has_input_of_type(run, "llava")
    assert train(run) == 0
    own, aligned = vision_weights(world / "direct"), vision_weights(world / "align")
    assert own.keys() == aligned.keys()
    assert all(torch.equal(own[name], aligned[name]) for name in own)  # the pretrained tower
    assert load_vlm(world / "direct").config.image_seq_length == MODELS.vision.patches


def test_alignment_without_pretraining_has_a_tower_that_has_seen_nothing(world: Path) -> None:
    bare = named("align", "bare", starts_from=["language"])
    assert train(train_run(world, bare)) == 0
    own, trained = vision_weights(world / "bare"), vision_weights(world / "align")
    assert own.keys() == trained.keys()
    assert any(not torch.equal(own[name], trained[name]) for name in own)


@pytest.mark.slow
def test_the_untrained_tower_is_the_same_each_time(world: Path) -> None:
    for name in ("one", "two"):
        assert train(train_run(world, named("align", name, starts_from=["language"]))) == 0
    one, two = vision_weights(world / "one"), vision_weights(world / "two")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_without_a_language_model_the_input_that_is_missing_is_named(world: Path) -> None:
    alone = named("finetune", "alone", starts_from=["pretrain"])
    with pytest.raises(InputError, match="a model of type llama"):
        train(train_run(world, alone))


def test_a_stage_tells_how_many_examples_it_trained_on(world: Path) -> None:
    half = named("align", "half", share=0.5)
    assert train(train_run(world, half)) == 0
    told = json.loads((world / "half" / "result.json").read_text())["examples"]
    assert 12 <= told <= 28


def test_requests_without_indication_are_the_short_one() -> None:
    shard = trained_world() / "shards" / "test.parquet"
    short = request_turn(Task.FINDINGS, None)
    asked = ExampleShards([shard], None, plain_request=short.text)
    assert {sample.turns for sample in asked} == {(short,)}
    plain = ExampleShards([shard], None)
    assert {sample.indication for sample in plain} == {None, "Cough."}
    assert {len(sample.turns) for sample in plain} == {1}
    assert len({sample.turns for sample in plain}) == 2


@pytest.mark.slow
def test_a_stage_without_indication_trains_on_other_prompts(world: Path) -> None:
    short = request_turn(Task.FINDINGS, None).text
    for prompt, request in (("turns", None), ("no-indication", short)):
        settings = named("finetune", prompt, prompt=prompt)
        assert train(train_run(world, settings, plain_request=request)) == 0
    rows = [
        (world / prompt / "losses.jsonl").read_text().splitlines()
        for prompt in ("turns", "no-indication")
    ]
    first = [json.loads(lines[0])["loss"] for lines in rows]
    assert first[0] != first[1]
    assert example(0).indication == "Cough."

"""Stages that start without one that the recipe leaves out, and prompts without the indication."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from models_world import MODELS, example, stage, train_run, trained_world
from safetensors.torch import load_file

from infra.errors import InputError
from infra.settings.sections import GenerateSettings
from infra.settings.stages import StageSettings
from models.collate import prompt_ids
from models.data import ExampleShards
from models.train import train
from models.vlm import load_vlm
from models.weights import has_input_of_type
from models.writer import FindingsWriter
from sources.example import Task, request_turn, without_indication
from sources.record import Turn


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


def test_the_request_without_indication_is_the_short_one() -> None:
    for indication in (None, "Cough.", "Fever,\n  since Monday"):
        turns = (request_turn(Task.FINDINGS, indication),)
        assert without_indication(turns, indication) == (request_turn(Task.FINDINGS, None),)
    answer = Turn("assistant", "It is. Indication: Cough.")
    assert without_indication((answer,), "Cough.") == (answer,)


def test_prompts_differ_by_the_indication_alone() -> None:
    examples = ExampleShards([trained_world() / "shards" / "test.parquet"], None)
    writer = FindingsWriter.load(
        trained_world() / "finetune", GenerateSettings(prompt="no-indication"), "cpu"
    )
    seen = set()
    for sample in examples:
        long = prompt_ids(sample, writer.tokenizer, "turns", 4)
        short = prompt_ids(sample, writer.tokenizer, "no-indication", 4)
        assert (len(short) < len(long)) == (sample.indication is not None)
        assert len(writer.prompt(sample)) == len(short) - 4 + MODELS.vision.patches
        seen.add(sample.indication)
    assert seen == {None, "Cough."}


def test_a_stage_without_indication_trains_on_other_prompts(world: Path) -> None:
    for prompt in ("turns", "no-indication"):
        assert train(train_run(world, named("finetune", prompt, prompt=prompt))) == 0
    rows = [
        (world / prompt / "losses.jsonl").read_text().splitlines()
        for prompt in ("turns", "no-indication")
    ]
    first = [json.loads(lines[0])["loss"] for lines in rows]
    assert first[0] != first[1]
    assert example(0).indication == "Cough."

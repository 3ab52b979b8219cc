"""Weights are loaded whole or refused: nothing is drawn at random in place of what lacks."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from release_world import write_language
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from infra.errors import InputError
from models.tokenizers import load_tokenizer
from models.vlm import read_vlm_config
from models.whole import load_tensors, load_whole

WEIGHTS = "model.safetensors"
HEAD = "lm_head.weight"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_language(tmp_path_factory.mktemp("language") / "llama")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "llama"))


def weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})


def settle(folder: Path, **values: object) -> None:
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | values))


def load(folder: Path) -> torch.nn.Module:
    model: torch.nn.Module = load_whole(AutoModelForCausalLM, folder, dtype="auto")
    return model


def test_a_whole_model_has_the_folders_weights(folder: Path) -> None:
    weights(folder, lambda state: state.update(beside=torch.ones(2)))  # what nothing reads
    held = load(folder).state_dict()
    assert torch.equal(held[HEAD], load_file(folder / WEIGHTS)[HEAD])


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a tensor too few": (
        lambda folder: weights(folder, lambda state: state.pop(HEAD)),
        rf"found no tensor '{HEAD}' in .*; expected a whole model; run again the stage",
    ),
    "several too few": (
        lambda folder: weights(folder, dict.clear),
        r"found no tensor 'lm_head\.weight' \(and \d+ more\) in",
    ),
    "another shape": (
        lambda folder: weights(folder, lambda state: state.update({HEAD: torch.ones(3, 3)})),
        rf"found shape \(3, 3\) of '{HEAD}' in .*; expected \(260, 48\)",
    ),
    "no number": (
        lambda folder: weights(folder, lambda state: state[HEAD].view(-1)[5:6].fill_(math.nan)),
        rf"found values of '{HEAD}' in .* that are no finite numbers",
    ),
    "cut short": (
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-40]),
        r"which cannot be read \(SafetensorError: .*\); expected a whole model",
    ),
    "no weights": (
        lambda folder: (folder / WEIGHTS).unlink(),
        r"which cannot be read \(OSError: .*\); expected a whole model",
    ),
    "an odd configuration": (
        lambda folder: settle(folder, num_hidden_layers="two"),
        "which cannot be read",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_model_is_one_line(folder: Path, harm: str) -> None:
    hurt, words = HARMS[harm]
    hurt(folder)
    with pytest.raises(InputError, match=words) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}'])
def test_a_damaged_tokenizer_is_one_line(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=r"found a tokenizer in .* that cannot be read"):
        load_tokenizer(folder)


def test_a_vlm_with_an_odd_configuration_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llava", "text_config": 3}')
    with pytest.raises(InputError, match=r"config\.json, which cannot be read"):
        read_vlm_config(tmp_path)


def test_tensors_are_floating_point_and_finite(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    save_file({"a": torch.ones(2)}, path)
    assert load_tensors(path)["a"].tolist() == [1.0, 1.0]
    save_file({"a": torch.ones(2, dtype=torch.int32)}, path)
    with pytest.raises(InputError, match=r"found 'a' of .* as int32; expected floating point"):
        load_tensors(path)
    save_file({"a": torch.tensor([math.inf])}, path)
    with pytest.raises(InputError, match="no finite numbers"):
        load_tensors(path)
    path.write_bytes(b"short")
    with pytest.raises(InputError, match="which cannot be read"):
        load_tensors(path)

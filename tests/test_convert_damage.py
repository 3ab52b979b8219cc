"""Bad releases and checkpoints: one line that says what was found, expected and to be done."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from models_world import trained_world
from release_world import (
    HIDDEN,
    RANK,
    TEXT,
    VISION,
    adapter_shapes,
    checkpoint_shapes,
    drawn,
    encoder_tensors,
    open_clip_config,
    projector_shapes,
    training_checkpoint,
    write_language,
    write_release,
)
from safetensors.torch import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from infra.errors import InputError
from models.convert.encoder import export_encoder, import_encoder
from models.convert.files import read_checkpoint
from models.convert.pairs import Pair, to_ours, to_theirs
from models.convert.release import export_release, import_release
from models.dual_encoder import CxrDualEncoder
from models.tokenizers import load_tokenizer

CHECKPOINT = "biomedclipcxr_518_checkpoint.pt"


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_language(tmp_path_factory.mktemp("language") / "llama")


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


def rename(path: Path, **changes: object) -> None:
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, **changes}))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no checkpoint": (
        lambda folder: (folder / CHECKPOINT).unlink(),
        "found no file RELEASE/biomedclipcxr_518_checkpoint.pt; expected a checkpoint; check that "
        "the folder is whole",
    ),
    "no configuration": (
        lambda folder: (folder / "config.json").unlink(),
        "found no readable JSON in RELEASE/config.json; expected a JSON object; check that the "
        "folder is whole",
    ),
    "a list for a configuration": (
        lambda folder: (folder / "adapter_config.json").write_text("[]"),
        "found no object at the top of RELEASE/adapter_config.json; expected a JSON object; "
        "check the file",
    ),
    "cut short": (
        lambda folder: (folder / CHECKPOINT).write_bytes((folder / CHECKPOINT).read_bytes()[:900]),
        "found RELEASE/biomedclipcxr_518_checkpoint.pt: it cannot be read; expected a checkpoint "
        "of tensors and plain values; get the file again, or save its weights alone as safetensors",
    ),
    "a tensor too few": (
        lambda folder: rewrite(
            folder / "adapter_model.bin",
            lambda state: state.pop("base_model.model.model.layers.1.mlp.up_proj.lora_A.weight"),
        ),
        "found no tensor 'base_model.model.model.layers.1.mlp.up_proj.lora_A.weight' in "
        "adapter_model.bin; expected exactly 28 tensors of the known layout; check that the file "
        "is whole and of that kind",
    ),
    "a tensor too many": (
        lambda folder: rewrite(
            folder / "adapter_model.bin", lambda state: state.update(extra=torch.ones(1))
        ),
        "found tensor 'extra' in adapter_model.bin; expected exactly 28 tensors of the known "
        "layout; check that the file is whole and of that kind",
    ),
    "another rank": (
        lambda folder: rename(folder / "adapter_config.json", r=8),
        "found shape (4, 48) of 'base_model.model.model.language_model.layers.0.self_attn.q_proj."
        "lora_A.weight' in adapter_model.bin; expected (8, 48); use parts of one model",
    ),
    "other layers": (
        lambda folder: rename(folder / "adapter_config.json", target_modules=["q_proj"]),
        "found target_modules ['q_proj'] in adapter_config.json; expected ['down_proj', "
        "'gate_proj', 'k_proj', 'o_proj', 'q_proj', 'up_proj', 'v_proj']; use the release's own",
    ),
    "no numbers": (
        lambda folder: rename(folder / "adapter_config.json", lora_alpha=None),
        "found no r, lora_alpha, lora_dropout in adapter_config.json; expected three numbers; use "
        "the release's own",
    ),
    "no projector": (
        lambda folder: torch.save({"a": torch.ones(1)}, folder / "non_lora_trainables.bin"),
        "found 0 projectors in non_lora_trainables.bin; expected one, as tensors mm_projector.0 "
        "and mm_projector.2; check that the file is whole and of that kind",
    ),
    "another feature layer": (
        lambda folder: rename(folder / "config.json", mm_vision_select_layer=-1),
        "found mm_vision_select_layer -1 in config.json; expected -2; use the release's own files "
        "and its base language model",
    ),
    "another text head": (
        lambda folder: rename(folder / "biomedclipcxr_518.json", embed_dim=99),
        "found embed_dim 99 in biomedclipcxr_518.json; expected 24; use the JSON of this "
        "checkpoint",
    ),
    "another tower": (
        lambda folder: torch.save({"visual.conv1.weight": torch.ones(1)}, folder / CHECKPOINT),
        "found no tensor 'patch_embed.proj.weight' in biomedclipcxr_518_checkpoint.pt; expected a "
        "Vision Transformer in timm's layout; check that the file is whole and of that kind",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_release_is_one_clear_line(tmp_path: Path, language: Path, damage: str) -> None:
    release = write_release(tmp_path / "release")
    harm, message = DAMAGES[damage]
    harm(release)
    with pytest.raises(InputError) as error:
        import_release(release, tmp_path / "out", language)
    assert str(error.value).replace(str(release), "RELEASE") == message


def test_language_model_of_another_size_or_kind_is_named(tmp_path: Path) -> None:
    release = write_release(tmp_path / "release")
    wide = write_language(tmp_path / "wide", width=64)
    with pytest.raises(InputError, match=r"found hidden_size 48 in config\.json; expected 64"):
        import_release(release, tmp_path / "out", wide)
    deep = write_language(tmp_path / "deep", layers=3)
    with pytest.raises(InputError, match=r"no tensor '.*layers\.2\..*' \(and 13 more\)"):
        import_release(release, tmp_path / "out", deep)
    other = write_language(tmp_path / "other")
    shapes = {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 1, "vocab_size": 260}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4}
    Qwen2ForCausalLM(Qwen2Config(**shapes, **heads)).save_pretrained(other)
    with pytest.raises(InputError, match="found a model of type 'qwen2'"):
        import_release(release, tmp_path / "out", other)


class Harmful:
    """What a file of a stranger may hold: a call that unpickling would make."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return os.mkdir, ("harm-done",)


def test_a_file_that_would_run_code_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "args": Harmful()}, tmp_path / "bad.pt")
    with pytest.raises(InputError) as error:
        read_checkpoint(tmp_path / "bad.pt")
    assert "bad.pt: it wants 'posix.mkdir', which is no plain value; expected" in str(error.value)
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(InputError):
        read_checkpoint(tmp_path / "old.pt")
    assert not (tmp_path / "harm-done").exists()


def test_checkpoints_of_every_kind_are_read(tmp_path: Path) -> None:
    weights = {"a.weight": torch.randn(2, 3), "b": torch.randn(4)}
    torch.save(training_checkpoint(weights), tmp_path / "training.pt")
    torch.save({"model": weights, "epoch": 3}, tmp_path / "model.pth")
    torch.save(weights, tmp_path / "plain.bin")
    torch.save(weights, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    save_file(weights, tmp_path / "weights.safetensors")
    for name in ("training.pt", "model.pth", "plain.bin", "old.bin", "weights.safetensors"):
        state, rest = read_checkpoint(tmp_path / name)
        assert state.keys() == weights.keys(), name
        assert all(torch.equal(state[key], value) for key, value in weights.items())
        assert "state_dict" not in rest
    assert read_checkpoint(tmp_path / "model.pth")[1]["epoch"] == 3
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match="it holds a list"):
        read_checkpoint(tmp_path / "list.pt")
    torch.save({"epoch": 1}, tmp_path / "empty.pt")
    with pytest.raises(InputError, match="no dictionary of tensors"):
        read_checkpoint(tmp_path / "empty.pt")


def test_fused_layers_are_cut_and_joined_in_order() -> None:
    pairs = [Pair("qkv", ("q", "k", "v")), Pair.one("n", "m")]
    theirs = {"qkv": torch.arange(12).view(6, 2), "n": torch.tensor(1.0)}
    ours = to_ours(pairs, theirs, "here")
    assert ours["k"].tolist() == [[4, 5], [6, 7]]
    back = to_theirs(pairs, ours)
    assert all(torch.equal(back[name], value) for name, value in theirs.items())
    with pytest.raises(InputError, match="found 5 rows in 'qkv' of here; expected a multiple of 3"):
        to_ours(pairs, {**theirs, "qkv": torch.zeros(5, 2)}, "here")


@pytest.mark.parametrize("lacking", ["ls1.gamma", "pooler", "module", "nothing"])
def test_what_a_checkpoint_may_lack_or_have_beside(tmp_path: Path, lacking: str) -> None:
    """BiomedCLIP has no LayerScale and old files a buffer of positions; both come back so."""
    state = dict(encoder_tensors())
    if lacking == "ls1.gamma":
        state = {name: value for name, value in state.items() if ".ls" not in name}
    elif lacking == "pooler":
        state = {name: value for name, value in state.items() if ".pooler." not in name}
    elif lacking == "nothing":
        positions = torch.arange(TEXT["positions"])[None]
        state["text.transformer.embeddings.position_ids"] = positions
    saved = {"state_dict": state} if lacking == "module" else training_checkpoint(state)
    torch.save(saved, tmp_path / "in.pt")
    (tmp_path / "in.json").write_text(json.dumps(open_clip_config()))
    import_encoder(tmp_path / "in.pt", tmp_path / "in.json", tmp_path / "dual")
    dual = CxrDualEncoder.from_pretrained(tmp_path / "dual")
    scale = dual.vision_model.encoder.layer[0].layer_scale1.lambda1
    assert bool((scale == 1).all()) == (lacking == "ls1.gamma")
    assert bool(dual.text_model.pooler.dense.weight.any()) == (lacking != "pooler")
    export_encoder(tmp_path / "dual", tmp_path / "out.pt", tmp_path / "out.json")
    back, _ = read_checkpoint(tmp_path / "out.pt")
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], value) for name, value in state.items())


def test_export_wants_an_adapter_and_a_dual_encoder(tmp_path: Path, language: Path) -> None:
    release = write_release(tmp_path / "release")
    import_release(release, tmp_path / "out", language, with_base=True)
    vlm, dual = tmp_path / "out" / "vlm", tmp_path / "out" / "dual_encoder"
    with pytest.raises(InputError, match=r"found no adapter_model\.safetensors in"):
        export_release(tmp_path / "out" / "base", dual, tmp_path / "back")
    with pytest.raises(InputError, match="found a model of type 'llava' in"):
        export_release(vlm, vlm, tmp_path / "back")
    with pytest.raises(InputError, match="found a model of type 'cxr-dual-encoder' in"):
        export_release(dual, dual, tmp_path / "back")


def test_half_precision_is_kept(tmp_path: Path) -> None:
    state = {name: value.half() for name, value in encoder_tensors().items()}
    torch.save(training_checkpoint(state), tmp_path / "in.pt")
    (tmp_path / "in.json").write_text(json.dumps(open_clip_config()))
    import_encoder(tmp_path / "in.pt", tmp_path / "in.json", tmp_path / "dual")
    export_encoder(tmp_path / "dual", tmp_path / "out.pt", tmp_path / "out.json")
    back, _ = read_checkpoint(tmp_path / "out.pt")
    assert all(torch.equal(back[name], value) for name, value in state.items())


def test_drawn_tensors_are_worth_comparing() -> None:
    """Equal or zero tensors would hide a swap of names."""
    tensors = encoder_tensors()
    assert len({tuple(value.flatten()[:2].tolist()) for value in tensors.values()}) == len(tensors)
    assert (HIDDEN, RANK, VISION["layers"]) == (40, 4, 3)
    assert not torch.equal(drawn({"a": (3,)}, 1)["a"], drawn({"a": (3,)}, 2)["a"])


def test_stages_of_this_project_leave_in_the_releases_layout(tmp_path: Path) -> None:
    """A model that was trained here has no record of a release; the names are the release's."""
    root = trained_world()
    facts = export_release(root / "finetune", root / "pretrain", tmp_path / "out")
    assert facts["lora_rank"] == 4
    adapter, _ = read_checkpoint(tmp_path / "out" / "adapter_model.bin")
    language = {"width": 32, "layers": 2, "feed_forward": 64}
    shapes = {name: tuple(value.shape) for name, value in adapter.items()}
    assert shapes == adapter_shapes(language, rank=4)
    heads, _ = read_checkpoint(tmp_path / "out" / "non_lora_trainables.bin")
    assert {name: tuple(value.shape) for name, value in heads.items()} == projector_shapes(32, 32)
    state, _ = read_checkpoint(tmp_path / "out" / CHECKPOINT)
    vision = {"width": 32, "layers": 2, "patch_px": 7, "side": 4}
    words = len(load_tokenizer(root / "pretrain"))
    text = {"width": 32, "layers": 1, "vocabulary": words, "positions": 32}
    wanted = checkpoint_shapes(vision, text, hidden=24, embedding=16)
    assert {name: tuple(value.shape) for name, value in state.items()} == wanted
    told = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (told["r"], told["lora_alpha"], told["peft_type"]) == (4, 8, "LORA")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["mm_hidden_size"], config["vocab_size"]) == (32, 400)

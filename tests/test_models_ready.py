"""A ready model in place of a stage, and frozen weights in 4 bits: plan, refusals, output."""

from __future__ import annotations

import importlib.machinery
import json
import shutil
from pathlib import Path

import pytest
import torch
from models_world import MODELS, SIDE_PX, stage, train_run, trained_world, write_shards
from parts_world import PARTS, swapped_world
from pydantic import ValidationError
from small_world import cxr_json, small_arguments
from transformers import AutoModelForCausalLM

from infra.artifact import build_artifact
from infra.errors import InputError, SettingsError, Unavailable
from infra.launch import Event
from infra.pieces import BuiltPiece
from infra.settings import load_settings
from infra.settings.stages import without_superseded
from models.dual_encoder import CxrDualEncoder, dual_encoder_config
from models.processor import save_vlm_processor
from models.quantized import load_vlm_nf4, merge_adapter, require_nf4
from models.stages import prepare
from models.tokenizers import load_tokenizer
from models.train import train
from models.vlm import assemble, language_config, load_vlm
from tasks.context import Order, open_context
from tasks.monitor.pace import paces
from tasks.preflight import require_models
from tasks.train.work import train_stage


def stage_names(*overrides: str) -> list[tuple[str, tuple[str, ...]]]:
    stages = load_settings("llava_rad", "tiny", overrides).stages
    return [(each.name, each.starts_from) for each in stages]


def test_what_only_led_to_a_ready_stage_is_not_run() -> None:
    assert stage_names("stages.finetune.weights=a/vlm") == [("finetune", ())]
    assert stage_names("stages.pretrain.weights=a/dual") == [
        ("language", ()),
        ("pretrain", ()),
        ("align", ("language", "pretrain")),
        ("finetune", ("align",)),
    ]
    assert stage_names("stages.align.weights=a/vlm") == [("align", ()), ("finetune", ("align",))]
    assert len(stage_names()) == 4


def test_a_stage_that_another_needs_stays() -> None:
    """Two stages start from ``align``; one of them is ready, so that the other still needs it."""
    ready = stage("finetune", weights="a/vlm").model_copy(update={"name": "other"})
    stages = (stage("pretrain"), stage("align", starts_from=["pretrain"]), ready, stage("finetune"))
    assert [each.name for each in without_superseded(stages)] == [
        "pretrain",
        "align",
        "other",
        "finetune",
    ]


def test_graph_of_a_ready_model_has_one_stage(tmp_path: Path) -> None:
    settings = "stages.finetune.weights=a/vlm"
    context = open_context(
        Order(
            recipe="llava_rad",
            scale="tiny",
            overrides=(settings,),
            sources=(),
            data_root=str(tmp_path),
            replicas=True,
        ),
        make=False,
    )
    assert [step.name for step in context.graph.of_kind("stages")] == ["finetune"]
    needs = context.graph["predictions/llava_rad"].inputs
    assert {name for name in needs if name.startswith("stages/")} == {"stages/finetune"}
    with pytest.raises(SettingsError) as error:
        require_models(context, "train")
    assert str(error.value) == (
        "found stage 'finetune' without its weights; expected a folder with the published model; "
        "weights a/vlm: no weights root is set; download them and set CXR_WEIGHTS_ROOT"
    )


@pytest.mark.parametrize("name", ["language", "pretrain", "align", "finetune"])
def test_ready_model_becomes_the_stages_output(tmp_path: Path, name: str) -> None:
    ready = trained_world() / name
    run = train_run(tmp_path, stage(name, weights=str(ready)), inputs={})
    assert train(run) == 0
    result = json.loads((run.output / "result.json").read_text())
    assert (result["stage"], result["steps"], result["trained_parameters"]) == (name, 0, 0)
    one, two = (folder / "model.safetensors" for folder in (ready, run.output))
    assert one.read_bytes() == two.read_bytes()


def test_one_process_of_several_takes_a_ready_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train_run(tmp_path, stage("finetune", weights=str(trained_world() / "finetune")))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert train(run) == 0
    assert not run.output.exists()
    monkeypatch.setenv("RANK", "0")
    assert train(run) == 0
    assert (run.output / "result.json").is_file()


def write_examples(key: str, folder: Path) -> BuiltPiece:
    write_shards(folder)
    return BuiltPiece()


@pytest.mark.slow
def test_a_ready_model_becomes_an_artifact_as_a_run_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the child process, and by one process on a place that has several."""
    monkeypatch.setenv("CXR_PROCESSES_PER_NODE", "2")
    finetune = trained_world() / "finetune"
    sizes = (f"models.vision.image_px={SIDE_PX}", "models.vision.patch_px=7")
    context = open_context(
        Order(
            overrides=(*sizes, f"stages.finetune.weights={finetune}"),
            data_root=str(tmp_path / "data"),
            replicas=True,
        )
    )
    step = context.graph["examples/llava_rad"]
    build_artifact(context.store, step, lambda: {"all": ""}, write_examples)
    events: list[Event] = []
    artifact = train_stage(context, "finetune", lambda name, event: events.append(event))
    assert [event["event"] for event in events] == ["start", "done"]
    (piece,) = artifact.pieces
    assert (piece.facts["steps"], piece.facts["kind"]) == (0, "finetune")
    assert "throughput" not in piece.facts
    names = {file.name for file in piece.files}
    assert names >= {"config.json", "model.safetensors", "result.json"}
    assert paces(context) == {}


def test_ready_model_of_another_kind_or_shape_is_named(tmp_path: Path) -> None:
    root = trained_world()
    run = train_run(tmp_path, stage("finetune", weights=str(root / "pretrain")), inputs={})
    with pytest.raises(InputError) as error:
        train(run)
    assert str(error.value) == (
        f"found a model of type 'cxr-dual-encoder' in {root / 'pretrain'}; expected llava, as "
        "stage 'finetune' makes it; set stages.finetune.weights to another folder"
    )
    shapes = MODELS.model_dump()
    shapes["vision"]["image_px"] = 35
    run = train_run(
        tmp_path, stage("finetune", weights=str(root / "finetune")), inputs={}, models=shapes
    )
    with pytest.raises(
        InputError, match=r"found image side in px 28 in .*; expected the recipe's 35"
    ):
        train(run)
    resampled = swapped_world(PARTS[5]) / "finetune"
    run = train_run(tmp_path, stage("finetune", weights=str(resampled)), inputs={})
    with pytest.raises(InputError, match=r"found image tokens 3 in .*; expected the recipe's 16"):
        train(run)
    shutil.copytree(root / "finetune", tmp_path / "bare")
    (tmp_path / "bare" / "tokenizer.json").unlink()
    run = train_run(tmp_path, stage("finetune", weights=str(tmp_path / "bare")), inputs={})
    with pytest.raises(InputError, match=r"found no tokenizer\.json or tokenizer\.model in"):
        train(run)
    assert not run.output.exists()


def test_merging_an_adapter_again_gives_the_stages_own_model() -> None:
    """What a stage in 4 bits saves: the adapter on the unquantized weights it started from."""
    root = trained_world()
    merged = merge_adapter(load_vlm(root / "align"), root / "finetune" / "adapter").state_dict()
    saved = load_vlm(root / "finetune").state_dict()
    assert merged.keys() == saved.keys()
    assert all(torch.allclose(merged[name], value, atol=1e-6) for name, value in saved.items())


def test_four_bits_need_lora_beside_them() -> None:
    assert stage("finetune", quantize="nf4").quantize == "nf4"
    plain = {"lora": None, "trainable": ["projector"], "quantize": "nf4"}
    with pytest.raises(ValidationError, match="quantize holds frozen weights: it needs LoRA"):
        stage("finetune", **plain)
    with pytest.raises(ValidationError, match="quantize holds frozen weights: it needs LoRA"):
        stage("finetune", trainable=["projector", "lora", "language"], quantize="nf4")


def without_bitsandbytes(monkeypatch: pytest.MonkeyPatch, *, there: bool) -> None:
    """Make the package's finder say that it is (not) installed, whatever this machine has."""
    found = importlib.machinery.ModuleSpec("bitsandbytes", None) if there else None
    monkeypatch.setattr("infra.weights.find_spec", lambda name: found)


def test_four_bits_without_their_package_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_bitsandbytes(monkeypatch, there=False)
    words = (
        "quantize 'nf4': bitsandbytes is not installed; install it beside torch, or set the "
        "stage's quantize to 'none'"
    )
    root = trained_world()
    settings = stage("finetune", quantize="nf4")
    run = train_run(tmp_path, settings, inputs={"align": root / "align"})
    with pytest.raises(Unavailable) as unavailable:
        prepare(run, list)
    assert str(unavailable.value) == words
    context = open_context(
        Order(
            recipe="llava_rad",
            scale="tiny",
            overrides=("stages.finetune.quantize=nf4",),
            sources=(),
            data_root=str(tmp_path / "data"),
            replicas=True,
        ),
        make=False,
    )
    with pytest.raises(SettingsError) as error:
        require_models(context, "train")
    assert str(error.value) == (
        "found stage 'finetune' with frozen weights in 4 bits; expected bitsandbytes; " + words
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_four_bits_without_a_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    without_bitsandbytes(monkeypatch, there=True)
    with pytest.raises(Unavailable, match="quantize 'nf4': no CUDA device; train on a GPU"):
        require_nf4()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_language_layers_are_held_in_four_bits(tmp_path: Path) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    vlm = load_vlm_nf4(trained_world() / "align", torch.bfloat16)
    layers = dict(vlm.model.language_model.named_modules())
    assert isinstance(layers["layers.0.self_attn.q_proj"], bitsandbytes.nn.Linear4bit)
    assert not isinstance(vlm.lm_head, bitsandbytes.nn.Linear4bit)
    run = train_run(
        tmp_path,
        stage("finetune", quantize="nf4", precision="bfloat16", steps=2),
        inputs={"align": trained_world() / "align"},
        device="auto",
    )
    assert train(run) == 0
    assert load_vlm(run.output).dtype == torch.bfloat16


def write_untrained_vlm(folder: Path) -> None:
    """A VLM of the tiny recipe's shapes with random weights, and the small world's tokenizer."""
    models = load_settings("llava_rad", "tiny").models
    tokenizer = load_tokenizer(trained_world() / "language")
    language = AutoModelForCausalLM.from_config(language_config(models.language, tokenizer))
    tower = CxrDualEncoder(dual_encoder_config(models, 1500)).vision_model
    assemble(models, tower, language, tokenizer).save_pretrained(folder)
    save_vlm_processor(models, tokenizer, folder)


@pytest.mark.slow
def test_a_ready_model_is_scored_without_training(tmp_path: Path) -> None:
    """What ``docs/convert.md`` tells to do with the released model, at the demo's shapes."""
    write_untrained_vlm(tmp_path / "weights" / "llava-rad" / "vlm")
    small = [word for word in small_arguments(tmp_path / "data") if "steps" not in word]
    words = [each for each in small if each != "--set"]
    at = 5  # what stands before the overrides
    arguments = [*words[:at], *(w for each in words[at:] for w in ("--set", each))]
    arguments += ["--set", "stages.finetune.weights=llava-rad/vlm"]
    document = cxr_json(
        "evaluate", *arguments, CXR_WEIGHTS_ROOT=str(tmp_path / "weights"), CXR_WORKERS="1"
    )
    stages = [step["key"] for step in document["steps"] if step["key"].startswith("stages/")]
    assert stages == ["stages/finetune"]
    assert document["losses"] == {}
    assert document["scores"]

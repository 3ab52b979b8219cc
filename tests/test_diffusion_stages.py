"""The stages of CXR-SD end to end at toy size: what is trained, what is left, surviving a kill."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from diffusion_world import DIFFUSION, drawing_models, drawing_run, drawing_stage, drawing_world
from safetensors.torch import load_file
from test_models_train import kill_after, losses
from transformers.models.bert import BertModel

from infra.errors import InputError
from infra.runs import TrainRun
from infra.settings.diffusion import DrawSettings
from models.canvas import Canvas
from models.checkpoint import TRAINABLE
from models.data import ExampleShards
from models.diffusion_collate import FilmCollator
from models.diffusion_pace import DiffusionMeter
from models.diffusion_stages import prepare_guide
from models.divergence import Diverged
from models.drawing_sampler import DrawingSampler, Request
from models.latents import Latents
from models.pipeline_folder import load_autoencoder, read_facts
from models.running_mean import MEAN
from models.train import train

UNET_FILE = "unet/diffusion_pytorch_model.safetensors"


def unet_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / UNET_FILE)


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def same_files(one: Path, other: Path) -> bool:
    names = [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in (one, other)]
    return names[0] == names[1]


def test_each_stage_leaves_the_pipeline_as_far_as_it_is_known() -> None:
    root = drawing_world()
    own = {"config.json", "losses.jsonl", "model_index.json", "result.json"}
    base = {"vae", "unet", "scheduler", "text_encoder", "tokenizer"}
    wanted = {"autoencode": {"vae"}, "diffuse": base, "guide": base | {"controlnet", "hint"}}
    for stage, parts in wanted.items():
        assert {file.name for file in (root / stage).iterdir()} == own | parts
        facts = json.loads((root / stage / "config.json").read_text())
        assert facts["views"] == {"PA": 40}, "the examples that it was shown"


def test_parts_load_with_their_librarys_own_classes() -> None:
    folder = drawing_world() / "guide"
    autoencoder = AutoencoderKL.from_pretrained(folder / "vae")
    assert autoencoder.config.in_channels == 16, "patches of 4 x 4 px"
    assert UNet2DConditionModel.from_pretrained(folder / "unet").config.sample_size == 4
    assert DDIMScheduler.from_pretrained(folder / "scheduler").config.rescale_betas_zero_snr
    assert BertModel.from_pretrained(folder / "text_encoder").config.hidden_size == 32
    shapes = ControlNetModel.load_config(folder / "controlnet")
    assert shapes["cross_attention_dim"] == 32
    index = json.loads((folder / "model_index.json").read_text())
    assert index["unet"] == ["diffusers", "UNet2DConditionModel"]
    assert index["text_encoder"] == ["transformers", "BertModel"]


def test_what_is_frozen_is_handed_on_as_it_was() -> None:
    root = drawing_world()
    assert same_files(root / "diffuse" / "vae", root / "guide" / "vae")
    assert same_files(root / "diffuse" / "text_encoder", root / "guide" / "text_encoder")
    assert changed(unet_of(root / "diffuse"), unet_of(root / "guide")) == set()
    tower = load_file(root / "pretrain" / "model.safetensors")
    text = load_file(root / "diffuse" / "text_encoder" / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(text[name], tower[f"text_model.{name}"])


def test_the_guide_learns_and_begins_at_zero() -> None:
    hint = load_file(drawing_world() / "guide" / "hint" / "model.safetensors")
    assert hint["zero.weight"].abs().max() > 0
    result = json.loads((drawing_world() / "guide" / "result.json").read_text())
    assert result["kind"] == "guide"
    assert result["kept"] == "best on validate"


def test_a_hint_that_guesses_is_trained_saved_and_drawn_with(tmp_path: Path) -> None:
    models = drawing_models(hint_reach=1, hint_weight=1.0)
    run = drawing_run(tmp_path, drawing_stage("guide", steps=2), models=models)
    plain = drawing_run(
        tmp_path / "plain", drawing_stage("guide", steps=2), models=drawing_models(hint_reach=1)
    )
    assert train(run) == train(plain) == 0
    assert losses(run.output)[0] > losses(plain.output)[0], "the hint's own loss is added"
    hint = load_file(run.output / "hint" / "model.safetensors")
    assert {name.split(".")[0] for name in hint} == {
        *("neighbours", "ask", "attend", "mix", "zero", "guess")
    }
    assert hint["guess.gate.weight"].abs().max() > 0
    facts = read_facts(run.output)
    assert (facts["hint_reach"], facts["hint_guesses"]) == (1, True)
    sampler = DrawingSampler.load(run.output, DrawSettings(steps=2), "cpu")
    assert sampler.draw([Request("There is a nodule.", 1)]).shape == (1, 32, 32)


def test_first_steps_train_what_a_hint_guesses_alone(tmp_path: Path) -> None:
    models = drawing_models(hint_reach=1, hint_weight=1.0, hint_steps=2)
    run = drawing_run(tmp_path, drawing_stage("guide", steps=2), models=models)
    longer = drawing_run(tmp_path / "longer", drawing_stage("guide", steps=4), models=models)
    assert train(run) == train(longer) == 0
    hint, guide = (
        load_file(run.output / part / f"{name}.safetensors")
        for part, name in (("hint", "model"), ("controlnet", "diffusion_pytorch_model"))
    )
    assert hint["guess.usual"].abs().max() > 0
    assert hint["zero.weight"].abs().max() == 0
    assert hint["guess.gate.weight"].abs().max() == 0
    copied = unet_of(drawing_world() / "diffuse")
    assert torch.equal(guide["conv_in.weight"], copied["conv_in.weight"])
    later = load_file(longer.output / "hint" / "model.safetensors")
    assert later["zero.weight"].abs().max() > 0


@torch.inference_mode()
def test_latents_of_training_films_have_mean_0_and_spread_1() -> None:
    root = drawing_world()
    latents = Latents(load_autoencoder(root / "autoencode" / "vae").eval())
    files = sorted((root / "shards").glob("train-*.parquet"))
    examples = ExampleShards(files, Canvas(32))
    films = FilmCollator()([examples[row] for row in range(len(examples))])["films"]
    found = latents.of_films(films)
    torch.testing.assert_close(found.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-4, rtol=0)


def test_the_decoder_version_trains_the_decoder_alone(tmp_path: Path) -> None:
    models = drawing_models(guide="decoder")
    run = drawing_run(tmp_path, drawing_stage("guide", steps=2), models=models)
    assert train(run) == 0
    moved = changed(unet_of(drawing_world() / "diffuse"), unet_of(run.output))
    assert moved
    assert {name.split(".")[0] for name in moved} == {"up_blocks", "conv_norm_out", "conv_out"}
    assert not (run.output / "controlnet").exists()
    assert read_facts(run.output)["guide"] == "decoder"


def test_a_resumed_stage_repeats_the_undisturbed_losses_and_its_running_mean(
    tmp_path: Path,
) -> None:
    undisturbed = drawing_run(tmp_path, drawing_stage("guide", steps=4, save_steps=2))
    assert train(undisturbed) == 0
    run = undisturbed.model_copy(
        update={"output": tmp_path / "again", "resume": tmp_path / "resume-again"}
    )
    shutil.copytree(undisturbed.resume / "checkpoint-2", run.resume / "checkpoint-2")
    assert (run.resume / "checkpoint-2" / MEAN).is_file()
    assert train(run) == 0
    assert losses(run.output) == pytest.approx(losses(undisturbed.output), rel=1e-6)
    for part in ("controlnet/diffusion_pytorch_model.safetensors", "hint/model.safetensors"):
        one, other = load_file(undisturbed.output / part), load_file(run.output / part)
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, atol=1e-6, rtol=1e-4)


@pytest.mark.slow
def test_a_killed_stage_goes_on_to_the_same_losses(tmp_path: Path) -> None:
    settings = drawing_stage("guide", steps=10, save_steps=2)
    undisturbed = drawing_run(tmp_path / "a", settings)
    assert train(undisturbed) == 0
    run = drawing_run(tmp_path / "b", settings)
    kill_after(run, tmp_path / "run.json", signal.SIGKILL, checkpoint=4)
    assert not (run.output / "result.json").exists()
    assert train(run) == 0
    assert losses(run.output) == pytest.approx(losses(undisturbed.output), rel=1e-5)


@pytest.mark.slow
def test_the_running_mean_is_kept_and_not_the_last_weights(tmp_path: Path) -> None:
    run = drawing_run(tmp_path, drawing_stage("diffuse", steps=3, save_steps=3, ema=0.99))
    assert train(run) == 0
    own = load_file(run.resume / "checkpoint-3" / TRAINABLE)
    mean = load_file(run.resume / "checkpoint-3" / MEAN)
    kept = unet_of(run.output)
    assert all(torch.equal(mean[f"unet.{name}"], value) for name, value in kept.items())
    assert any(not torch.equal(own[f"unet.{name}"], value) for name, value in kept.items())


@pytest.mark.slow
def test_not_a_number_stops_with_advice(tmp_path: Path) -> None:
    settings = drawing_stage("diffuse", learning_rate=1e30, warmup_share=0.0)
    with pytest.raises(Diverged, match="lower the stage's learning_rate"):
        train(drawing_run(tmp_path, settings))
    assert not (tmp_path / "diffuse" / "result.json").exists()


@pytest.mark.slow
def test_losses_do_not_depend_on_how_a_batch_is_cut(tmp_path: Path) -> None:
    whole = drawing_run(tmp_path / "a", drawing_stage("diffuse", steps=2))
    cut = drawing_run(tmp_path / "b", drawing_stage("diffuse", steps=2, device_batch_size=4))
    assert train(whole) == train(cut) == 0
    assert losses(cut.output) == pytest.approx(losses(whole.output), rel=1e-5)


def test_an_input_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    root = drawing_world()
    run = drawing_run(tmp_path, drawing_stage("guide"))
    lacking: dict[str, Any] = {"inputs": {"diffuse": root / "autoencode"}}
    with pytest.raises(InputError, match="no text_encoder in the inputs of stage 'guide'"):
        train(run.model_copy(update=lacking))


def test_films_and_their_operations_are_counted(tmp_path: Path) -> None:
    run: TrainRun = drawing_run(tmp_path, drawing_stage("guide"))
    prepared = prepare_guide(run)
    examples = ExampleShards(run.train_examples, prepared.canvas)
    meter = DiffusionMeter.of(run, prepared.model, on_gpu=False)
    batches = [prepared.collate([examples[0], examples[1]]), prepared.collate([examples[2]])]
    for _ in meter.waiting(iter(batches)):
        meter.end_step()
    assert (meter.first.examples, meter.later.examples) == (2, 1)
    assert meter.first.tokens > meter.later.tokens > 3
    assert meter.first.flops == pytest.approx(2 * meter.later.flops)
    trained = sum(each.numel() for each in prepared.model.parameters() if each.requires_grad)
    assert meter.later.flops > 6 * trained, "each weight costs that at one place at least"
    assert all(each.grad is None for each in prepared.model.parameters())
    assert DIFFUSION["image_px"] == examples[0].pixels.shape[1]  # type: ignore[union-attr]

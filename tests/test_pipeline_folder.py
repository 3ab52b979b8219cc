"""Published pipelines: Stable Diffusion's layout read as it is, shapes at full size, refusals."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from diffusion_world import drawing_run, drawing_stage, drawing_world
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from infra.errors import InputError, Unavailable
from infra.settings.diffusion import DrawSettings, NoiseSettings
from infra.settings.stages import ModelSettings
from models.diffusion_networks import new_schedule
from models.drawing_sampler import DrawingSampler, Request
from models.latents import Latents, as_channels
from models.pipeline_folder import load_autoencoder, load_schedule, load_text_encoder, load_unet
from models.train import train
from models.whole import load_tensors

NAME = "stabilityai/stable-diffusion-2-1"
SHAPES = json.loads(
    '{"weights": "stabilityai/stable-diffusion-2-1", "image_px": 32, "context_tokens": 16}'
)


def published(root: Path) -> Path:
    """A pipeline in the layout of Stable Diffusion 2.1, of colours, CLIP and PNDM, but small."""
    torch.manual_seed(0)
    folder = root / NAME
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        scaling_factor=0.18215,
    ).save_pretrained(folder / "vae")
    UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
    ).save_pretrained(folder / "unet")
    tokenizer = drawing_world() / "diffuse" / "tokenizer"
    shutil.copytree(tokenizer, folder / "tokenizer")
    words = len(json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"])
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=16,
        )
    ).save_pretrained(folder / "text_encoder")
    PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        steps_offset=1,
        prediction_type="v_prediction",
    ).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    return root


@cache
def models(guide: str = "zero-convolutions") -> ModelSettings:
    from models_world import MODELS

    shapes = MODELS.model_dump(mode="json")
    return ModelSettings.model_validate({**shapes, "diffusion": {**SHAPES, "guide": guide}})


def published_run(root: Path, guide: str = "zero-convolutions", **changes: object) -> Any:
    stage = drawing_stage("guide", starts_from=[], steps=1, ema=None)
    told = {"models": models(guide), "inputs": {}, "weights_root": root, **changes}
    return drawing_run(root, stage, **told)


def test_a_guide_is_trained_around_a_published_pipeline_and_draws(tmp_path: Path) -> None:
    run = published_run(published(tmp_path))
    assert train(run) == 0
    kept, given = (load_tensors(folder / "unet" / "diffusion_pytorch_model.safetensors")
                   for folder in (run.output, tmp_path / NAME))  # fmt: skip
    assert all(torch.equal(kept[name], value) for name, value in given.items())
    sampler = DrawingSampler.load(run.output, DrawSettings(steps=2), "cpu")
    assert sampler.latent_shape == (4, 16, 16)
    assert sampler.draw([Request("There is a nodule.", 0)]).shape == (1, 32, 32)


def test_a_published_base_can_be_trained_on(tmp_path: Path) -> None:
    stage = drawing_stage("diffuse", starts_from=[], steps=1)
    root = published(tmp_path)
    run = drawing_run(root, stage, models=models(), inputs={}, weights_root=root)
    assert train(run) == 0
    index = json.loads((run.output / "model_index.json").read_text())
    assert index["text_encoder"] == ["transformers", "CLIPTextModel"]


def test_the_published_schedule_is_drawn_from_by_ddim(tmp_path: Path) -> None:
    schedule = load_schedule(published(tmp_path) / NAME / "scheduler")
    assert type(schedule).__name__ == "DDIMScheduler"
    assert schedule.config.prediction_type == "v_prediction"
    ours = new_schedule(NoiseSettings(prediction="v_prediction"))
    assert torch.equal(schedule.betas, ours.betas)


def test_our_schedule_ends_in_noise_alone_where_it_is_to() -> None:
    to_the_end = new_schedule(NoiseSettings(prediction="v_prediction", to_the_end=True))
    assert float(to_the_end.alphas_cumprod[-1]) == pytest.approx(0.0, abs=1e-6)
    to_the_end.set_timesteps(4)
    assert to_the_end.timesteps.tolist() == [999, 749, 499, 249]
    plain = new_schedule(NoiseSettings())
    assert float(plain.alphas_cumprod[-1]) == pytest.approx(0.00466, rel=0.01)


@torch.inference_mode()
def test_colours_are_made_of_grey_and_grey_of_colours(tmp_path: Path) -> None:
    latents = Latents(load_autoencoder(published(tmp_path) / NAME / "vae"))
    films = torch.zeros(1, 32, 32, dtype=torch.uint8)
    assert as_channels(films, 3).shape == (1, 3, 32, 32)
    assert latents.to_grey(latents.of_films(films)).shape == (1, 32, 32)


def test_absent_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no model_index\.json in .*set CXR_WEIGHTS_ROOT"):
        train(published_run(tmp_path))


def test_a_part_that_is_absent_or_not_whole_is_refused(tmp_path: Path) -> None:
    folder = published(tmp_path) / NAME
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    save_file({name: value for name, value in state.items() if name != "conv_in.bias"}, file)
    with pytest.raises(InputError, match=r"conv_in\.bias"):
        load_unet(folder / "unet")
    save_file({**state, "conv_in.bias": torch.full((8,), torch.nan)}, file)
    with pytest.raises(InputError, match="no finite numbers"):
        load_unet(folder / "unet")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        load_unet(folder / "unet")
    shutil.rmtree(folder / "unet")
    with pytest.raises(InputError, match="no unet in"):
        train(published_run(tmp_path))


def test_a_text_encoder_of_another_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(InputError, match="a text encoder of type 't5'"):
        load_text_encoder(tmp_path)


def test_shapes_of_stable_diffusion_2_1s_other_parts() -> None:
    """The published configurations: the autoencoder, and OpenCLIP's ViT-H text tower less its last
    layer, since the one before it is read."""
    with torch.device("meta"):
        autoencoder = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=4,
        )
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408,
                hidden_size=1024,
                intermediate_size=4096,
                num_hidden_layers=23,
                num_attention_heads=16,
                max_position_embeddings=77,
                hidden_act="gelu",
                projection_dim=512,
            )
        )
    assert sum(each.numel() for each in autoencoder.parameters()) == 83_653_863
    assert sum(each.numel() for each in text.parameters()) == 340_387_840

"""An autoencoder that begins as its patches' principal components, and what it takes to fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusion_world import DIFFUSION, drawing_models, drawing_stage
from models_world import train_run
from pydantic import ValidationError

from infra.settings.diffusion import AutoencoderSettings
from models.diffusion_networks import AutoencoderTraining, new_autoencoder
from models.latents import Latents, as_channels, as_grey
from models.patch_components import begin_as_components
from models.pipeline_folder import load_autoencoder
from models.train import train

SHAPES: dict[str, Any] = {
    "channels": [32],
    "latent_channels": 6,
    "groups": 2,
    "patch_px": 4,
    "begins": "components",
}


def smooth_films(count: int, side: int = 16) -> torch.Tensor:
    """uint8 [count, side, side] of slopes and steps, whose patches have few components."""
    generator = torch.Generator().manual_seed(3)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    slopes = torch.randn(2, count, 1, 1, generator=generator) * 4
    edges = torch.randint(0, side, (count, 1, 1), generator=generator)
    made = 120 + slopes[0] * rows + slopes[1] * columns + 40.0 * (columns > edges)
    return made.clamp(0, 255).to(torch.uint8)


def begun(shapes: AutoencoderSettings, films: torch.Tensor) -> Any:
    torch.manual_seed(0)
    made = new_autoencoder(shapes, films.shape[-1]).eval()
    read = as_channels(films, shapes.patch_px**2)
    begin_as_components(made, read.movedim(1, -1).flatten(0, 2))
    return made


def best_linear(films: torch.Tensor, patch_px: int, components: int) -> torch.Tensor:
    """Grey [B, P, P] of the best linear map of patches through so few numbers, by SVD."""
    read = as_channels(films, patch_px**2).movedim(1, -1)
    flat = read.flatten(0, 2)
    mean = flat.mean(dim=0)
    axes = torch.linalg.svd(flat - mean, full_matrices=False).Vh[:components].T
    return as_grey(((read - mean) @ axes @ axes.T + mean).movedim(-1, 1))


@pytest.mark.parametrize(("channels", "latents", "groups"), [(32, 6, 2), (32, 8, 4), (64, 3, 1)])
@torch.inference_mode()
def test_it_is_the_best_linear_map_of_patches(channels: int, latents: int, groups: int) -> None:
    told = {"channels": [channels], "latent_channels": latents, "groups": groups}
    shapes = AutoencoderSettings.model_validate({**SHAPES, **told})
    films = smooth_films(40)
    made = begun(shapes, films)
    spread = made.encode(as_channels(films, 16)).latent_dist
    drawn = as_grey(made.decode(spread.mode()).sample)
    wanted = best_linear(films, 4, latents)
    real = as_grey(as_channels(films, 16))
    assert (wanted - real).abs().mean() < 0.06, "the films are nearly of so few components"
    torch.testing.assert_close(drawn, wanted, atol=0.04, rtol=0)
    assert 0.04 < float(spread.std.mean()) < 0.06


@torch.inference_mode()
def test_its_latents_have_mean_0_and_spread_1_without_a_step() -> None:
    films = smooth_films(40)
    made = begun(AutoencoderSettings.model_validate(SHAPES), films)
    latents = made.encode(as_channels(films, 16)).latent_dist.mode()
    axes = (0, 2, 3)
    torch.testing.assert_close(latents.mean(dim=axes), torch.zeros(6), atol=0.05, rtol=0)
    torch.testing.assert_close(latents.std(dim=axes), torch.ones(6), atol=0.05, rtol=0)


def test_training_goes_on_from_there() -> None:
    shapes = AutoencoderSettings.model_validate({**SHAPES, "latent_channels": 2})
    films = smooth_films(40)
    training = AutoencoderTraining(begun(shapes, films), shapes, seed=0).train()
    keys = torch.arange(len(films))
    optimizer = torch.optim.AdamW(training.parameters(), lr=2e-4)
    losses = []
    for step in range(20):
        training.step = step
        loss = training(films, keys).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    moved = [block.conv2.weight.abs().max() for block in training.modules()
             if type(block).__name__ == "ResnetBlock2D"]  # fmt: skip
    assert min(moved) > 0, "blocks that began as no change learn too"


def test_a_stage_that_begins_there_needs_no_step_to_show_a_film(tmp_path: Path) -> None:
    autoencoder = {**SHAPES, "latent_channels": 8, "groups": 4}
    unet = {"channels": [8, 16], "heads": [2, 2], "groups": 4}
    models = drawing_models(autoencoder=autoencoder, unet=unet)
    errors = {}
    for begins in ("components", "random"):
        changed = models.model_dump(mode="json")
        changed["diffusion"]["autoencoder"]["begins"] = begins
        told = type(models).model_validate(changed)
        stage = drawing_stage("autoencode", steps=1, learning_rate=1e-6)
        run = train_run(tmp_path / begins, stage, models=told)
        assert train(run) == 0
        latents = Latents(load_autoencoder(run.output / "vae").eval())
        films = smooth_films(8, DIFFUSION["image_px"])
        with torch.inference_mode():
            real = as_grey(as_channels(films, 1))
            errors[begins] = float((latents.to_grey(latents.of_films(films)) - real).abs().mean())
    assert errors["components"] < 0.5 * errors["random"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": [32, 32]}, "has one level of channels"),
        ({"latent_channels": 17, "channels": [64]}, "patches of 4 px have no 17 components"),
        ({"channels": [12], "groups": 4}, "channels 12 less 12 for 6 components"),
        ({"channels": [30], "groups": 2}, "to be a multiple of 4"),
        ({"channels": [32], "groups": 8}, "12 one of 8 groups"),
    ],
)
def test_shapes_without_room_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AutoencoderSettings.model_validate({**SHAPES, **changes})

"""Films as an autoencoder's channels and latents, and the noise that belongs to an example."""

from __future__ import annotations

import pytest
import torch
from diffusion_world import DIFFUSION

from infra.settings.diffusion import AutoencoderSettings
from models.diffusion_networks import AutoencoderTraining, new_autoencoder
from models.example_noise import draw, generator_of
from models.latents import Latents, as_channels, as_films, as_grey


def films(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 32, 32), generator=generator).to(torch.uint8)


@pytest.mark.parametrize(("channels", "side"), [(1, 32), (3, 32), (4, 16), (16, 8)])
def test_grey_values_come_back_through_any_number_of_channels(channels: int, side: int) -> None:
    read = as_channels(films(), channels)
    assert read.shape == (2, channels, side, side)
    assert (float(read.min()), float(read.max())) == (-1.0, 1.0)
    assert torch.equal(as_films(as_grey(read)), films())


def test_values_outside_are_clipped() -> None:
    assert as_films(torch.tensor([[[-3.0, 3.0]]])).tolist() == [[[0, 255]]]


def autoencoder(**config: object) -> Latents:
    torch.manual_seed(0)
    made = new_autoencoder(AutoencoderSettings.model_validate(DIFFUSION["autoencoder"]), 32).eval()
    made.register_to_config(**config)
    return Latents(made)


@torch.inference_mode()
def test_latents_are_shifted_and_scaled_by_channel_and_back() -> None:
    plain = autoencoder(scaling_factor=1.0).of_films(films())
    assert plain.shape == (2, 4, 4, 4)
    mean, spread = plain.mean(dim=(0, 2, 3)), plain.std(dim=(0, 2, 3))
    told = autoencoder(latents_mean=mean.tolist(), latents_std=spread.tolist())
    scaled = told.of_films(films())
    torch.testing.assert_close(scaled.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(dim=(0, 2, 3)), torch.ones(4))
    decoded = autoencoder(scaling_factor=1.0).to_grey(plain)
    torch.testing.assert_close(told.to_grey(scaled), decoded)


@torch.inference_mode()
def test_stable_diffusions_one_factor_scales_all() -> None:
    plain = autoencoder(scaling_factor=1.0).of_films(films())
    torch.testing.assert_close(
        autoencoder(scaling_factor=0.18215).of_films(films()), plain * 0.18215
    )


def test_noise_belongs_to_example_and_step_and_not_to_the_batch() -> None:
    keys = torch.tensor([5, 6, 7])
    noise, times = draw(keys, seed=1, step=3, shape=(4, 2, 2), below=100)
    assert noise.shape == (3, 4, 2, 2)
    assert ((times >= 0) & (times < 100)).all()
    alone, time = draw(keys[1:2], seed=1, step=3, shape=(4, 2, 2), below=100)
    assert torch.equal(alone[0], noise[1])
    assert time[0] == times[1]
    for other in ({"seed": 2, "step": 3}, {"seed": 1, "step": 4}):
        changed, _ = draw(keys, **other, shape=(4, 2, 2), below=100)
        assert not torch.equal(changed, noise)
    assert generator_of(1, 2).initial_seed() != generator_of(12).initial_seed()


def test_times_are_spread_over_all_steps() -> None:
    _, times = draw(torch.arange(4000), seed=0, step=0, shape=(1,), below=10)
    counts = torch.bincount(times, minlength=10)
    assert int(counts.min()) > 320
    assert int(counts.max()) < 480


def test_an_autoencoder_is_looked_at_with_the_same_noise_each_time() -> None:
    shapes = AutoencoderSettings.model_validate(DIFFUSION["autoencoder"])
    training = AutoencoderTraining(new_autoencoder(shapes, 32), shapes, seed=0)
    keys = torch.tensor([1, 2])
    losses = []
    for mode, step in ((True, 1), (True, 2), (False, 1), (False, 2)):
        training.train(mode).step = step
        losses.append(training(films(), keys).loss.item())
    assert losses[0] != losses[1]
    assert losses[2] == losses[3]


@torch.inference_mode()
def test_untrained_latents_are_not_drowned_in_their_own_spread() -> None:
    spread = autoencoder().autoencoder.encode(as_channels(films(), 16)).latent_dist.std
    assert 0.02 < float(spread.mean()) < 0.12

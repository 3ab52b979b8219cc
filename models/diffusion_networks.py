"""CXR-SD's networks in the shapes that a recipe tells, and the module that a stage trains.

Shapes: B films, P their side in px, C channels and h x w places of the latents, K pieces of L
tokens of a prompt, D the width of their states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn
from torch.nn import functional
from transformers.utils import ModelOutput

from infra.settings.diffusion import AutoencoderSettings, NoiseSettings, UnetSettings
from models.example_noise import LOOK, draw
from models.frozen_readings import FrozenReadings
from models.guided_unet import GuidedUnet
from models.latents import Latents, as_channels, as_grey
from models.packing import Batch
from models.prompt_states import PromptTokens, encode_prompts


def new_autoencoder(shapes: AutoencoderSettings, image_px: int) -> Any:
    """An untrained one, without attention: its lowest level has few places, all of which the UNet
    reads together."""
    levels = len(shapes.channels)
    grey = shapes.patch_px**2
    made = AutoencoderKL(
        in_channels=grey,
        out_channels=grey,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=shapes.channels,
        layers_per_block=shapes.layers,
        latent_channels=shapes.latent_channels,
        norm_num_groups=shapes.groups,
        sample_size=image_px // shapes.patch_px,
        mid_block_add_attention=False,
    )
    _begin_sure(made)
    return made


def _begin_sure(autoencoder: Any) -> None:
    """Let latents begin with a spread of e^-3 about their middle.

    Untrained ones have a spread of 1, in which all that is first learned drowns. Our choice, as is
    the tenth: with both the error was 0.092 where it else was 0.129 (docs/log.md).
    """
    layer, channels = autoencoder.quant_conv, autoencoder.config.latent_channels
    with torch.no_grad():
        layer.weight[channels:] *= 0.1
        layer.bias[channels:] = -6.0  # the logarithm of a variance


def new_unet(shapes: UnetSettings, channels: int, places: int, text_width: int) -> Any:
    """An untrained one for latents of that many channels and places along a side."""
    attends = shapes.attends or (True,) * len(shapes.channels)
    return UNet2DConditionModel(
        sample_size=places,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=shapes.layers,
        block_out_channels=shapes.channels,
        norm_num_groups=shapes.groups,
        down_block_types=tuple("CrossAttnDownBlock2D" if each else "DownBlock2D"
                               for each in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if each else "UpBlock2D"
                             for each in reversed(attends)),
        cross_attention_dim=text_width,
        attention_head_dim=shapes.heads,  # by this name diffusers takes their number
        use_linear_projection=True,
    )  # fmt: skip


def new_schedule(noise: NoiseSettings) -> Any:
    """The schedule in training and its DDIM sampler; drawing begins at the last step where nothing
    of a film is left there, else where Stable Diffusion begins."""
    return DDIMScheduler(
        num_train_timesteps=noise.steps,
        beta_start=noise.beta_start,
        beta_end=noise.beta_end,
        beta_schedule="scaled_linear",
        prediction_type=noise.prediction,
        clip_sample=False,
        set_alpha_to_one=noise.to_the_end,
        steps_offset=0 if noise.to_the_end else 1,
        timestep_spacing="trailing" if noise.to_the_end else "leading",
        rescale_betas_zero_snr=noise.to_the_end,
    )


NOTHING_PREDICTED = 1.0
"""The error of a model that predicts nothing: noise, and v too, have a spread of 1. It is logged
in place of the prediction's loss in steps that make no prediction, and is none that was measured
(docs/diffusion.md): a loss that jumped by as much when predictions begin would pass for one that
has left for good (``divergence``)."""


@dataclass
class TrainingLoss(ModelOutput):  # type: ignore[misc]
    """The mean loss of a batch, scalar."""

    loss: Any = None


class AutoencoderTraining(nn.Module):
    """An autoencoder and its loss: grey values and their edges, and a little of the divergence."""

    def __init__(self, autoencoder: Any, shapes: AutoencoderSettings, seed: int) -> None:
        super().__init__()
        self.autoencoder, self.shapes, self.seed, self.step = autoencoder, shapes, seed, 0

    def forward(self, films: torch.Tensor, keys: torch.Tensor) -> TrainingLoss:
        """uint8 [B, P, P] and keys [B]; latents are sampled with noise of the example and step."""
        read = as_channels(films, self.autoencoder.config.in_channels)
        spread = self.autoencoder.encode(read).latent_dist
        step = self.step if self.training else LOOK
        noise, _ = draw(keys, self.seed, step, tuple(spread.mean.shape[1:]), 1)
        latents = spread.mean + spread.std * noise.to(spread.mean)
        made = as_grey(self.autoencoder.decode(latents).sample).float()
        real = as_grey(read)
        edges = sum(functional.l1_loss(made.diff(dim=axis), real.diff(dim=axis)) for axis in (1, 2))
        per_pixel = spread.kl().float().mean() / real[0].numel()
        loss = functional.l1_loss(made, real) + self.shapes.edge_weight * edges
        return TrainingLoss(loss=loss + self.shapes.kl_weight * per_pixel)


class LatentDiffusion(nn.Module):
    """A UNet, alone or with its guide, and the frozen parts around it.

    Args:
        unet: trained alone, or the guide's frozen base.
        guided: with zero convolutions; None where the UNet reads the prompts itself.
        empty: tokens of the empty prompt, [1, 1, L].
        reads_prompts: whether the UNet reads films' prompts; else the empty one.
        hint_weight: of the hint's own loss in training, what it guesses of latents.
        hint_steps: so many first steps of training have no other loss.

    Attributes:
        readings: what the frozen parts read of the training examples, where that is kept.
    """

    empty_ids: torch.Tensor
    empty_mask: torch.Tensor

    def __init__(
        self,
        latents: Latents,
        text_encoder: nn.Module,
        unet: Any,
        schedule: Any,
        empty: PromptTokens,
        *,
        guided: GuidedUnet | None = None,
        reads_prompts: bool = True,
        hint_weight: float = 0.0,
        hint_steps: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.autoencoder = latents.autoencoder.requires_grad_(False)
        self.text_encoder = text_encoder.requires_grad_(False)
        self.latents, self.schedule = latents, schedule
        self.guided, self.reads_prompts, self.hint_weight = guided, reads_prompts, hint_weight
        self.hint_steps = hint_steps
        if guided is None:
            self.unet = unet
        self.seed, self.step = seed, 0
        self.readings: FrozenReadings | None = None
        self.register_buffer("empty_ids", empty.ids, persistent=False)
        self.register_buffer("empty_mask", empty.mask, persistent=False)
        self.train(self.training)

    @property
    def base(self) -> Any:
        """The UNet that reads the empty prompt where nothing is asked for."""
        return self.unet if self.guided is None else self.guided.base

    def train(self, mode: bool = True) -> LatentDiffusion:
        """What is frozen drops nothing out."""
        super().train(mode)
        for frozen in (self.autoencoder, self.text_encoder):
            frozen.eval()
        if self.guided is not None:
            self.guided.base.eval()
        return self

    @property
    def asked(self) -> bool:
        """Whether films' prompts are read, by the UNet or its guide."""
        return self.guided is not None or self.reads_prompts

    def states(self, tokens: PromptTokens) -> torch.Tensor:
        """What is read of prompts: [B, K, L] tokens → states [B, K x L, D].

        Where films' prompts are not read, those of the empty one [B, L, D].
        """
        if not self.asked:
            return self.empty_states().expand(len(tokens.ids), -1, -1)
        with torch.no_grad():
            return encode_prompts(self.text_encoder, tokens)

    @torch.no_grad()
    def read(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the frozen parts read of films and tokens, as FrozenReadings keep it."""
        clean = self.latents.of_films(batch["films"])
        if not self.asked:
            return clean, None
        return clean, self.states(PromptTokens(batch["input_ids"], batch["attention_mask"]))

    def _read_before(
        self, keys: torch.Tensor, tokens: PromptTokens
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Latents and states, if they are kept: of training examples alone."""
        if self.readings is None or not self.training:
            return None
        found = self.readings.of(keys, tokens)
        if found is None:
            return None
        clean, states = found
        return clean, self.states(tokens) if states is None else states

    def empty_states(self) -> torch.Tensor:
        """Of the empty prompt, [1, L, D]."""
        with torch.no_grad():
            return encode_prompts(self.text_encoder, PromptTokens(self.empty_ids, self.empty_mask))

    def predicted(
        self, noisy: torch.Tensor, times: torch.Tensor, tokens: PromptTokens, states: torch.Tensor
    ) -> torch.Tensor:
        """What the model makes of noisy latents [B, C, h, w] and prompts: noise, or v."""
        if self.guided is not None:
            mask = tokens.mask.flatten(1, 2)
            return self.guided(noisy, times, states, self.empty_states(), mask)  # type: ignore[no-any-return]
        made: torch.Tensor = self.unet(noisy, times, encoder_hidden_states=states).sample
        return made

    def forward(
        self,
        films: torch.Tensor,
        keys: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> TrainingLoss:
        """uint8 films [B, P, P], keys [B], tokens and their mask [B, K, L]."""
        tokens = PromptTokens(input_ids, attention_mask)
        before = self._read_before(keys, tokens)
        if before is None:
            with torch.no_grad():
                before = self.latents.of_films(films), self.states(tokens)
        clean, states = before
        guessed = None
        if self.training and self.hint_weight:
            guessed = self.hint_weight * self._guess_loss(clean, states, tokens)
            if self.step < self.hint_steps:
                return TrainingLoss(loss=guessed + NOTHING_PREDICTED)
        step = self.step if self.training else LOOK
        steps = int(self.schedule.config.num_train_timesteps)
        noise, times = draw(keys, self.seed, step, tuple(clean.shape[1:]), steps)
        noise, times = noise.to(clean), times.to(films.device)
        noisy = self.schedule.add_noise(clean, noise, times)
        aim = noise
        if self.schedule.config.prediction_type == "v_prediction":
            aim = self.schedule.get_velocity(clean, noise, times)
        made = self.predicted(noisy, times, tokens, states)
        loss = functional.mse_loss(made.float(), aim.float())
        return TrainingLoss(loss=loss if guessed is None else loss + guessed)

    def _guess_loss(
        self, clean: torch.Tensor, states: torch.Tensor, tokens: PromptTokens
    ) -> torch.Tensor:
        """How well the hint guesses clean latents [B, C, h, w]; scalar."""
        assert self.guided is not None, "a hint is a guide's"
        hint, mask = self.guided.hint, tokens.mask.flatten(1, 2)
        assert hint.guess is not None, "a hint that guesses"
        size = (clean.shape[2], clean.shape[3])
        mapped = hint.mapped(hint.read(states, mask), mask, size)
        loss: torch.Tensor = hint.guess.loss(mapped.float(), clean.float())
        return loss

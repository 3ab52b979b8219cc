"""Prompts → films, by DDIM from noise that belongs to each prompt.

Guidance: at each step ``u + scale x (p - u)``, where p is what the model predicts with the prompt,
and u what it predicts unasked: the frozen base alone where the guide has zero convolutions (so that
an untrained guide draws what the base draws, bit for bit), else the same UNet with the empty
prompt. Shapes: B prompts, P side of a film in px, C channels and h x w places of the latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from infra.errors import InputError
from infra.settings.diffusion import DrawSettings
from models.diffusion_networks import LatentDiffusion
from models.example_noise import generator_of
from models.guided_unet import GuidedUnet
from models.latents import Latents, as_films
from models.pipeline_folder import (
    load_autoencoder,
    load_guide,
    load_schedule,
    load_text_encoder,
    load_unet,
    read_facts,
)
from models.prompt_states import PromptReader, PromptTokens
from models.tokenizers import load_tokenizer
from models.untrained import without_training
from sources.learned_views import ASK_ANOTHER, VIEWS, ViewCounts, told_apart, unlearned_view

Films = NDArray[np.uint8]


@dataclass(frozen=True)
class Request:
    """A film to draw: its prompt, and what its first noise is drawn from."""

    prompt: str
    seed: int


class DrawingSampler:
    """A trained pipeline that draws.

    Args:
        image_px: P.
        views: what it has been shown, where that is known.
    """

    def __init__(
        self,
        model: LatentDiffusion,
        reader: PromptReader,
        image_px: int,
        settings: DrawSettings,
        views: ViewCounts | None = None,
    ) -> None:
        # Nothing learns here, and with one flag for all parts a product of matrices is summed in
        # the same order in each: PyTorch folds batches for weights that learn, and for no others.
        self.model = model.eval().requires_grad_(False)
        self.reader, self.image_px, self.settings = reader, image_px, settings
        self.views = views
        self.schedule = model.schedule
        most = int(self.schedule.config.num_train_timesteps)
        if settings.steps > most:
            raise InputError(
                f"{settings.steps} steps to draw in", f"at most the noise's {most}", "take fewer"
            )
        self.schedule.set_timesteps(settings.steps)
        places = 2 ** (len(model.autoencoder.config.block_out_channels) - 1)
        side = self._side_of_channels() // places
        self.latent_shape = (int(model.autoencoder.config.latent_channels), side, side)

    def _side_of_channels(self) -> int:
        """The picture's side as the autoencoder reads it: patches are channels there."""
        channels = int(self.model.autoencoder.config.in_channels)
        return self.image_px if channels == 3 else round(self.image_px / channels**0.5)

    @classmethod
    def load(
        cls,
        pipeline: Path,
        settings: DrawSettings,
        device: str,
        untrained: int | None = None,
        views: ViewCounts | None = None,
    ) -> DrawingSampler:
        """From the folder of a ``diffuse`` or ``guide`` stage.

        Args:
            device: ``auto`` or ``cpu``.
            untrained: the seed of a UNet that has learned nothing, in the trained one's place.
            views: what it has been shown, where that is known better than its folder tells.

        Raises:
            InputError: it is another model's folder, or not whole.
        """
        facts = read_facts(pipeline)
        unet = load_unet(pipeline / "unet")
        guided = None
        if facts["guide"] == "zero-convolutions":
            guided = GuidedUnet(unet, facts["hint_reach"], guesses=facts["hint_guesses"])
            load_guide(guided, pipeline)
            guided.lead_by(settings.guide_parts)
        elif settings.guide_parts != "all":
            raise InputError(
                f"guide_parts '{settings.guide_parts}' and a pipeline without zero convolutions",
                "one that a guide of them leads",
                "draw with all of its parts",
            )
        reader = PromptReader(load_tokenizer(pipeline / "tokenizer"), facts["context_tokens"])
        asked = facts["guide"] != "none" or facts["base_prompts"] == "reports"
        model = LatentDiffusion(
            Latents(load_autoencoder(pipeline / "vae")),
            load_text_encoder(pipeline / "text_encoder"),
            unet,
            load_schedule(pipeline / "scheduler"),
            reader.read([""]),
            guided=guided,
            reads_prompts=asked,
        )
        if untrained is not None:
            model = without_training(model, untrained)
        on_gpu = torch.cuda.is_available() and device != "cpu"
        device = "cuda" if on_gpu else "cpu"
        known = views if views is not None else facts.get(VIEWS)
        return cls(model.to(device), reader, facts["image_px"], settings, known)

    def unlearned(self, prompt: str) -> str | None:
        """The view that a prompt begins with and that this model has not been shown."""
        return unlearned_view(prompt, self.views)

    def require_learned(self, prompt: str) -> None:
        """Refuse what would be drawn as another view.

        Raises:
            InputError: the prompt's view has not been shown.
        """
        view = self.unlearned(prompt)
        if view is not None:
            raise InputError(*told_apart(view, self.views), ASK_ANOTHER)

    @torch.inference_mode()
    def draw(self, requests: Sequence[Request]) -> Films:
        """uint8 [B, P, P].

        Prompts of unequal numbers of pieces are drawn apart, so that none is read otherwise because
        of its neighbours.

        Raises:
            InputError: a film is no numbers.
        """
        films = np.empty((len(requests), self.image_px, self.image_px), np.uint8)
        for rows in self._of_like_length(requests):
            latents = self.latents([requests[row] for row in rows])
            grey = self.model.latents.to_grey(latents)
            if not bool(grey.isfinite().all()):
                raise InputError(
                    f"a film that is no numbers, drawn with guidance {self.settings.guidance:g}",
                    "grey values",
                    "draw with less guidance",
                )
            films[rows] = as_films(grey).cpu().numpy()
        return films

    def _of_like_length(self, requests: Sequence[Request]) -> list[list[int]]:
        """Rows whose prompts have equally many pieces."""
        groups: dict[int, list[int]] = {}
        for row, request in enumerate(requests):
            groups.setdefault(len(self.reader.pieces(request.prompt)), []).append(row)
        return list(groups.values())

    @torch.inference_mode()
    def latents(self, requests: Sequence[Request]) -> torch.Tensor:
        """[B, C, h, w] of prompts with equally many pieces."""
        device = next(self.model.parameters()).device
        read = self.reader.read([request.prompt for request in requests])
        tokens = PromptTokens(read.ids.to(device), read.mask.to(device))
        states, empty = self.model.states(tokens), self.model.empty_states()
        noise = [torch.randn(self.latent_shape, generator=generator_of(each.seed))
                 for each in requests]  # fmt: skip
        latents = torch.stack(noise).to(device) * self.schedule.init_noise_sigma
        for time in self.schedule.timesteps:
            times = time.to(device).expand(len(requests))
            scaled = self.schedule.scale_model_input(latents, time)
            predicted = self._guided(scaled, times, tokens, states, empty)
            latents = self.schedule.step(predicted, time, latents, eta=0.0).prev_sample
        found: torch.Tensor = latents
        return found

    def _guided(
        self, noisy: torch.Tensor, times: Any, tokens: PromptTokens, states: Any, empty: Any
    ) -> torch.Tensor:
        asked = self.model.predicted(noisy, times, tokens, states)
        if not self.model.reads_prompts or self.settings.guidance == 1.0:
            return asked
        read = empty.expand(len(noisy), -1, -1)
        unasked: torch.Tensor = self.model.base(noisy, times, encoder_hidden_states=read).sample
        return unasked + self.settings.guidance * (asked - unasked)

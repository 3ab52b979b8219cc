"""The model that a drawing stage would be before it learns anything: what is drawn from it is the
far end of the scale on which trained ones are measured.

Only what draws is made anew, from its configuration and a seed: the UNet and, where there is one,
its guide. Autoencoder, text encoder and noise schedule stay as they were trained, so that the scale
does not reward what the autoencoder knows of films.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel

from models.diffusion_networks import LatentDiffusion
from models.guided_unet import GuidedUnet
from models.latents import Latents
from models.prompt_states import PromptTokens


def without_training(model: LatentDiffusion, seed: int) -> LatentDiffusion:
    """A model of the same shape around the same frozen parts, whose UNet has learned nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet: Any = UNet2DConditionModel.from_config(model.base.config)
        guided = None if model.guided is None else _new_guide(unet, model.guided)
    return LatentDiffusion(
        Latents(model.autoencoder),
        model.text_encoder,
        unet,
        model.schedule,
        PromptTokens(model.empty_ids, model.empty_mask),
        guided=guided,
        reads_prompts=model.reads_prompts,
    )


def _new_guide(unet: Any, like: GuidedUnet) -> GuidedUnet:
    """A guide of the same parts, reach and guess, around another UNet."""
    neighbours = like.hint.neighbours
    reach = 0 if neighbours is None else neighbours.first.padding[0]
    return GuidedUnet(unet, int(reach), guesses=like.hint.guess is not None)

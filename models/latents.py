"""Films ↔ the latents that a diffusion model works in.

Shapes: B films, P their side in px, C channels and h x w places of the latents.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch.nn import functional

RGB = 3


def as_channels(films: torch.Tensor, channels: int) -> torch.Tensor:
    """uint8 [B, P, P] → what an autoencoder of so many input channels reads, in -1..1.

    Three are colours (a published one's), all the same grey; p² are the grey values of a patch.
    """
    scaled = films.unsqueeze(1).float() / 127.5 - 1.0
    if channels == RGB:
        return scaled.expand(-1, RGB, -1, -1)
    return functional.pixel_unshuffle(scaled, isqrt(channels))


def as_grey(read: torch.Tensor) -> torch.Tensor:
    """The reverse: [B, channels, …] → grey [B, P, P], neither clipped nor rounded."""
    channels = read.shape[1]
    if channels == RGB:
        return read.mean(dim=1)
    return functional.pixel_shuffle(read, isqrt(channels)).squeeze(1)


def as_films(grey: torch.Tensor) -> torch.Tensor:
    """Grey [B, P, P] in -1..1 → uint8."""
    return ((grey.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)


@dataclass(frozen=True)
class Latents:
    """A trained autoencoder, as a diffusion model uses it: its latents have mean 0 and spread 1.

    How they get them is told in its configuration: by channel (``latents_mean``, ``latents_std``),
    or by Stable Diffusion's one ``scaling_factor``.
    """

    autoencoder: Any

    def of_films(self, films: torch.Tensor) -> torch.Tensor:
        """uint8 [B, P, P] → the middle of their latents' distribution [B, C, h, w].

        Not a sample of it: the spread is small beside the noise of every step but the first few.
        """
        read = as_channels(films, self.autoencoder.config.in_channels)
        middle: torch.Tensor = self.autoencoder.encode(read).latent_dist.mode()
        mean, spread = self._statistics(middle)
        return (middle - mean) / spread

    def to_grey(self, latents: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] → grey [B, P, P] in about -1..1."""
        mean, spread = self._statistics(latents)
        return as_grey(self.autoencoder.decode(latents * spread + mean).sample)

    def _statistics(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and spread [1, C or 1, 1, 1]."""
        config = self.autoencoder.config
        mean, spread = config.latents_mean, config.latents_std
        if mean is None or spread is None:
            mean, spread = [config.shift_factor or 0.0], [1.0 / config.scaling_factor]
        made = (like.new_tensor(list(each)).view(1, -1, 1, 1) for each in (mean, spread))
        first, second = made
        return first, second

"""CXR-SD: a frozen diffusion model, and a trained copy of its encoder that reads the report.

    report ─▶ text encoder ─▶ hint ─▶ zero convolution ─┐
    noisy latent ─▶ first convolution ─────────────────(+)─▶ copy of the encoder ─┐
                                                            zero convolutions ◀───┘
    noisy latent ─▶ frozen encoder ─▶ frozen decoder ◀─────────────┘

As MedXChat's figure draws it; how a text becomes a map to be added to a latent is not told there,
so the hint is our choice: each place of the latent asks the text with its own position. The copy
and its zero convolutions are ControlNet's. Shapes: B pictures, C channels and h x w places of the
latent, T tokens, D their width.
"""

from __future__ import annotations

import math

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import nn

_HIGHEST = 10_000.0  # the longest wave of a position's code, as in transformers' own
HINT_HEADS = 4  # our choice: a place may ask for as many things at once


class Neighbours(nn.Module):
    """Adds to a token's state what its neighbours say, two times ``reach`` tokens far.

    A large text encoder has told each token what is said around it. A small one's tower has hardly
    tried, since one layer hands its findings to CLS alone: with it alone ``left`` stays a word
    beside ``effusion``.
    """

    def __init__(self, text_width: int, reach: int) -> None:
        super().__init__()
        size = 2 * reach + 1
        self.first = nn.Conv1d(text_width, text_width, size, padding=reach)
        self.second = nn.Conv1d(text_width, text_width, size, padding=reach)

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """States [B, T, D], mask [B, T] with ones at tokens → [B, T, D]."""
        seen = states if mask is None else states * mask.unsqueeze(-1).to(states.dtype)
        told: torch.Tensor = self.second(nn.functional.gelu(self.first(seen.transpose(1, 2))))
        return states + told.transpose(1, 2)


class TextHint(nn.Module):
    """Token states → a map of the latent's size, all zero before the first step.

    Places ask by a code of their row and column, so that any size of picture can be asked for.

    Args:
        reach: how far ``Neighbours`` looks; 0 leaves states as they are.
        guessed: channels of the latents that it guesses (``guess``); 0 where it does not.
    """

    def __init__(
        self,
        text_width: int,
        channels: int,
        heads: int = HINT_HEADS,
        reach: int = 0,
        guessed: int = 0,
    ) -> None:
        super().__init__()
        self.text_width = text_width
        self.neighbours = Neighbours(text_width, reach) if reach else None
        self.ask = nn.Linear(text_width, text_width)
        self.attend = nn.MultiheadAttention(text_width, heads, batch_first=True)
        self.mix = nn.Sequential(
            nn.LayerNorm(text_width), nn.Linear(text_width, channels), nn.SiLU()
        )
        self.zero = zero_convolution(channels)
        self.guessing = nn.Linear(channels, guessed) if guessed else None

    def read(self, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """States [B, T, D] as the guide reads them, of the same shape."""
        return states if self.neighbours is None else self.neighbours(states, mask)

    def forward(
        self, read: torch.Tensor, mask: torch.Tensor | None, size: tuple[int, int]
    ) -> torch.Tensor:
        """What ``read`` made [B, T, D], mask [B, T] (ones at tokens), (h, w) → [B, C, h, w]."""
        made: torch.Tensor = self.zero(self._mapped(read, mask, size))
        return made

    def guess(
        self, states: torch.Tensor, mask: torch.Tensor | None, size: tuple[int, int]
    ) -> torch.Tensor:
        """The latents that one would expect of the text, seen through no noise: [B, C', h, w]."""
        assert self.guessing is not None, "a hint that is to guess"
        mapped = self._mapped(self.read(states, mask), mask, size)
        guessed: torch.Tensor = self.guessing(mapped.movedim(1, -1)).movedim(-1, 1)
        return guessed

    def _mapped(
        self, read: torch.Tensor, mask: torch.Tensor | None, size: tuple[int, int]
    ) -> torch.Tensor:
        code = place_codes(size, self.text_width).to(read.device, read.dtype)
        queries = self.ask(code).expand(len(read), -1, -1)
        unseen = None if mask is None else mask == 0
        found, _ = self.attend(queries, read, read, key_padding_mask=unseen, need_weights=False)
        mapped: torch.Tensor = self.mix(found + queries).transpose(1, 2).unflatten(2, size)
        return mapped


def zero_convolution(channels: int) -> nn.Conv2d:
    """1 x 1, with weights and bias of zero: what is before it does not show until it learns."""
    made = nn.Conv2d(channels, channels, kernel_size=1)
    nn.init.zeros_(made.weight)
    assert made.bias is not None
    nn.init.zeros_(made.bias)
    return made


def place_codes(size: tuple[int, int], width: int) -> torch.Tensor:
    """[h x w, width]: half of each code tells the row and half the column, both as shares of the
    picture's height and width, so that a place means the same in pictures of every size."""
    height, wide = size
    half = width // 2
    rows = _waves((torch.arange(height) + 0.5) / height, half)
    columns = _waves((torch.arange(wide) + 0.5) / wide, width - half)
    both = [
        rows[:, None].expand(-1, wide, -1),
        columns[None].expand(height, -1, -1),
    ]
    return torch.cat(both, dim=-1).flatten(0, 1)


def _waves(shares: torch.Tensor, width: int) -> torch.Tensor:
    """[n] shares in 0..1 → [n, width] sines and cosines, from half a turn to some hundreds."""
    steps = torch.arange((width + 1) // 2)
    turns = math.pi * torch.exp(steps / max(1, len(steps) - 1) * math.log(_HIGHEST) / 2)
    angles = shares[:, None] * turns
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


class GuidedUnet(nn.Module):
    """The frozen base and its guide; trains the guide alone.

    Args:
        base: predicts noise from a noisy latent, its time and token states.
        reach: of the hint's ``Neighbours``.
        guesses: whether the hint learns to guess latents too.
    """

    def __init__(
        self, base: UNet2DConditionModel, reach: int = 0, *, guesses: bool = False
    ) -> None:
        super().__init__()
        self.base: nn.Module = base  # type: ignore[assignment]  # its mixins hide that it is one
        self.base.requires_grad_(False)
        self.guide = ControlNetModel.from_unet(base)
        self.guide.controlnet_cond_embedding = nn.Identity()  # the hint is a map already
        shapes = dict(base.config)  # type: ignore[attr-defined]
        width, channels = shapes["cross_attention_dim"], shapes["block_out_channels"][0]
        guessed = int(shapes["in_channels"]) if guesses else 0
        self.hint = TextHint(width, channels, reach=reach, guessed=guessed)

    def forward(
        self,
        latents: torch.Tensor,
        times: torch.Tensor,
        states: torch.Tensor,
        empty: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predicted noise [B, C, h, w].

        Args:
            latents: [B, C, h, w].
            times: [B] steps of the noise schedule.
            states: [B, T, D] of the report, for the guide.
            empty: [1 or B, T', D] of the prompt that the base was trained with.
        """
        read = self.hint.read(states, mask)
        hint = self.hint(read, mask, (latents.shape[2], latents.shape[3]))
        down, middle = self.guide(
            latents,
            times,
            encoder_hidden_states=read,
            controlnet_cond=hint,
            return_dict=False,
        )
        predicted: torch.Tensor = self.base(
            latents,
            times,
            encoder_hidden_states=empty.expand(len(latents), -1, -1),
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
        return predicted

    def trained(self) -> dict[str, nn.Parameter]:
        """What is learned, by name: the guide and the hint."""
        return {name: each for name, each in self.named_parameters() if each.requires_grad}

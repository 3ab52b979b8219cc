"""What a report says, as a map over the places of a latent: the hint that a guide reads.

    token states ─▶ neighbours ─▶ places ask ─▶ mapped ─▶ zero convolution ─▶ the guide
                                                   └────▶ said: what the text changes of latents

Shapes: B pictures, T tokens, D their width, C channels of the hint, C' channels and h x w places of
the latents.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

_HIGHEST = 10_000.0  # the longest wave of a position's code, as in transformers' own
HINT_HEADS = 4  # our choice: a place may ask for as many things at once
_TIMES = 1000.0  # as many as Stable Diffusion's schedule has; others are shares of it
_USUAL_RATE = 10.0  # our choice: a mean is found in tens of steps, not in hundreds
_TIME_WIDTH = 32  # our choice: a curve over time of some ten bends


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
        guessed: C' and h = w in training, where it guesses latents too (``Guess``); else None.
    """

    def __init__(
        self,
        text_width: int,
        channels: int,
        heads: int = HINT_HEADS,
        reach: int = 0,
        guessed: tuple[int, int] | None = None,
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
        self.guess = None if guessed is None else Guess(channels, *guessed)

    def read(self, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """States [B, T, D] as the guide reads them, of the same shape."""
        return states if self.neighbours is None else self.neighbours(states, mask)

    def mapped(
        self, read: torch.Tensor, mask: torch.Tensor | None, size: tuple[int, int]
    ) -> torch.Tensor:
        """What ``read`` made [B, T, D], mask [B, T] (ones at tokens), (h, w) → [B, C, h, w]."""
        code = place_codes(size, self.text_width).to(read.device, read.dtype)
        queries = self.ask(code).expand(len(read), -1, -1)
        unseen = None if mask is None else mask == 0
        found, _ = self.attend(queries, read, read, key_padding_mask=unseen, need_weights=False)
        made: torch.Tensor = self.mix(found + queries).transpose(1, 2).unflatten(2, size)
        return made

    def forward(
        self, states: torch.Tensor, mask: torch.Tensor | None, size: tuple[int, int]
    ) -> torch.Tensor:
        """States [B, T, D], mask [B, T] with ones at tokens, and (h, w) → [B, C, h, w]."""
        made: torch.Tensor = self.zero(self.mapped(self.read(states, mask), mask, size))
        return made


class Guess(nn.Module):
    """The latents that a text lets one expect, learned from clean latents and not through noise.

    What the text changes of them is added to what the model predicts, times a number that follows
    from the time and is zero before the first step, so that a prompt shows while the guide has
    learned little else. Beside it ``usual`` learns what is guessed whatever is said, for each place
    of the latents of training; a map of another size is read off between those places. (A first
    version guessed the change alone: its signal is a few percent of the latents' variance, and
    without the places to learn from the hint never began to read; docs/log.md.)
    """

    def __init__(self, channels: int, latent_channels: int, places: int) -> None:
        super().__init__()
        self.expected = nn.Linear(channels, latent_channels)
        self.usual = nn.Parameter(torch.zeros(latent_channels, places, places))
        self.gate = nn.Linear(_TIME_WIDTH, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def both(self, mapped: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The hint's map [B, C, h, w] → what is expected [B, C', h, w], and usually [C', h, w]."""
        size = (mapped.shape[2], mapped.shape[3])
        table = _USUAL_RATE * self.usual.unsqueeze(0)
        usual = functional.interpolate(table, size, mode="bilinear").squeeze(0)
        return self.expected(mapped.movedim(1, -1)).movedim(-1, 1), usual

    def said(self, mapped: torch.Tensor) -> torch.Tensor:
        """The hint's map [B, C, h, w] → what the text changes [B, C', h, w]."""
        expected, usual = self.both(mapped)
        return expected - usual

    def opened(self, times: torch.Tensor) -> torch.Tensor:
        """[B] times → [B, 1, 1, 1]."""
        waves = _waves(times.float() / _TIMES, _TIME_WIDTH).to(self.gate.weight)
        opened: torch.Tensor = self.gate(waves)[:, :, None, None]
        return opened

    def loss(self, mapped: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Mean squared errors of what is expected, and of what is expected usually; scalar.

        Args:
            mapped: the hint's map [B, C, h, w].
            clean: latents without noise [B, C', h, w].
        """
        expected, usual = self.both(mapped)
        error = functional.mse_loss(expected, clean)
        return error + functional.mse_loss(usual.expand_as(clean), expected.detach())


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

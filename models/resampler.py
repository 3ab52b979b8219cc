"""The resampler: a fixed number of learned queries that read an image's patches.

Perceiver style, as MedXChat's visual abstractor (its shape: 64 queries, 6 layers, the tower's width
and heads). Drawn at random, queries read all patches alike and have to learn where to look; with
places each begins with its own part of the image (docs/log.md). Shapes: B images, N patches,
Q queries, V vision width, L language width.
"""

from __future__ import annotations

from math import isqrt, pi
from typing import Final

import torch
from torch import nn
from torch.nn import functional
from transformers import LlavaConfig

from models.towers import FEED_FORWARD

PLACE_SCALE: Final = 3.0
"""Places are this much larger than what is asked and seen. Our choice: among 16 patches of random
content a fresh query then has half of its attention on its own patch; at 1 it has a sixteenth."""


class ResamplerBlock(nn.Module):
    """Queries attend to patches and to each other, then pass an MLP; both with residuals.

    Args:
        places: queries and keys start equal, so that what is alike finds each other.
    """

    def __init__(self, width: int, heads: int, *, places: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.query_norm = nn.LayerNorm(width)
        self.patch_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, FEED_FORWARD * width)
        self.narrow = nn.Linear(FEED_FORWARD * width, width)
        if places:
            self.key.load_state_dict(self.query.state_dict())

    def forward(
        self,
        queries: torch.Tensor,
        patches: torch.Tensor,
        places: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """[B, Q, V] and [B, N, V] → [B, Q, V]; ``places`` [Q, V] and [N, V] are of both."""
        asked, shown = self.query_norm(queries), self.patch_norm(patches)
        placed = (asked, shown) if places is None else (asked + places[0], shown + places[1])
        read = functional.scaled_dot_product_attention(
            self._by_head(self.query(placed[0])),
            self._by_head(self.key(torch.cat([placed[1], asked], dim=1))),
            self._by_head(self.value(torch.cat([shown, asked], dim=1))),
        )
        queries = queries + self.output(read.transpose(1, 2).flatten(2))
        wide = functional.gelu(self.widen(self.mlp_norm(queries)))
        mixed: torch.Tensor = queries + self.narrow(wide)
        return mixed

    def _by_head(self, rows: torch.Tensor) -> torch.Tensor:
        """[B, T, V] → [B, heads, T, V / heads]."""
        batch, length, width = rows.shape
        return rows.view(batch, length, self.heads, width // self.heads).transpose(1, 2)


class Resampler(nn.Module):
    """Queries through a few blocks, then one linear layer to the language model's width.

    The queries start at a standard deviation of 0.02, as learned embeddings of ViT and BERT do.
    """

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__()
        width = config.vision_config.hidden_size
        self.places: bool = getattr(config, "resampler_places", False)
        self.queries = nn.Parameter(torch.randn(config.resampler_queries, width) * 0.02)
        self.blocks = nn.ModuleList(
            ResamplerBlock(width, config.vision_config.num_attention_heads, places=self.places)
            for _ in range(config.resampler_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, config.text_config.hidden_size)

    def forward(self, image_features: torch.Tensor) -> torch.Tensor:
        """[B, N, V] → [B, Q, L]."""
        queries = self.queries.expand(len(image_features), -1, -1)
        places = self._places(image_features) if self.places else None
        for block in self.blocks:
            queries = block(queries, image_features, places)
        projected: torch.Tensor = self.linear(self.norm(queries))
        return projected

    def _places(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the queries [Q, V] and of the patches [N, V]; nothing of them is learned or saved."""
        side, asked = isqrt(patches.shape[1]), isqrt(len(self.queries))
        of_patches = grid_places(side, side, patches.shape[2]).to(patches)
        return grid_places(asked, side, patches.shape[2]).to(patches), of_patches


def grid_places(side: int, patches: int, width: int) -> torch.Tensor:
    """Places of a square grid over the image, row by row: [side * side, width], float32.

    Sines and cosines of the row and of the column, in patches. From one patch to the next the
    fastest makes a quarter of a turn, the slowest one over the whole image, so that no two places
    are alike and neighbours are told apart. What four do not divide of the width is left at zero.

    Args:
        patches: on a side of the image.
    """
    count = width // 4
    at = (torch.arange(side) + 0.5) * (patches / side)
    speeds = pi / 2 * float(patches) ** (-torch.arange(count) / count)
    turned = at[:, None] * speeds
    one = torch.cat([turned.sin(), turned.cos()], dim=1)
    rows, columns = one[:, None].expand(-1, side, -1), one[None].expand(side, -1, -1)
    made = PLACE_SCALE * torch.cat([rows, columns], dim=2).flatten(0, 1)
    return functional.pad(made, (0, width - made.shape[1]))

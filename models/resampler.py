"""The resampler: a fixed number of learned queries that read an image's patches.

Perceiver style, as MedXChat's visual abstractor (its shape: 64 queries, 6 layers, the tower's width
and heads). Shapes: B images, N patches, Q queries, V vision width, L language width.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from transformers import LlavaConfig

from models.towers import FEED_FORWARD


class ResamplerBlock(nn.Module):
    """Queries attend to patches and to each other, then pass an MLP; both with residuals."""

    def __init__(self, width: int, heads: int) -> None:
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

    def forward(self, queries: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """[B, Q, V] and [B, N, V] → [B, Q, V]."""
        asked = self.query_norm(queries)
        seen = torch.cat([self.patch_norm(patches), asked], dim=1)
        read = functional.scaled_dot_product_attention(
            self._by_head(self.query(asked)),
            self._by_head(self.key(seen)),
            self._by_head(self.value(seen)),
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
        self.queries = nn.Parameter(torch.randn(config.resampler_queries, width) * 0.02)
        self.blocks = nn.ModuleList(
            ResamplerBlock(width, config.vision_config.num_attention_heads)
            for _ in range(config.resampler_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, config.text_config.hidden_size)

    def forward(self, image_features: torch.Tensor) -> torch.Tensor:
        """[B, N, V] → [B, Q, L]."""
        queries = self.queries.expand(len(image_features), -1, -1)
        for block in self.blocks:
            queries = block(queries, image_features)
        projected: torch.Tensor = self.linear(self.norm(queries))
        return projected

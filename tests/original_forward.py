"""The published networks in plain PyTorch, over their own tensor names: what an import must equal.

Written from the structure's description alone; nothing here comes from the code under test.
Shapes: B images or texts, N positions, W width, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional as f

State = Mapping[str, torch.Tensor]
IMAGE_SENTINEL = -200  # LLaVA's id for the place of the image


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int, mask: torch.Tensor
) -> torch.Tensor:
    """[B, N, W] each and an additive mask → [B, N, W]."""
    batch, length, width = query.shape

    def by_head(rows: torch.Tensor) -> torch.Tensor:
        return rows.reshape(batch, length, heads, width // heads).permute(0, 2, 1, 3)

    scores = by_head(query) @ by_head(key).transpose(-1, -2) / (width // heads) ** 0.5
    mixed = torch.softmax(scores + mask, dim=-1) @ by_head(value)
    return mixed.permute(0, 2, 1, 3).reshape(batch, length, width)


def linear(state: State, name: str, rows: torch.Tensor) -> torch.Tensor:
    return f.linear(rows, state[f"{name}.weight"], state.get(f"{name}.bias"))


def norm(state: State, name: str, rows: torch.Tensor, eps: float) -> torch.Tensor:
    return f.layer_norm(rows, rows.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)


def timm_vit(state: State, images: torch.Tensor, heads: int, prefix: str) -> list[torch.Tensor]:
    """Hidden states of timm's trunk: after the embedding and after each block, no final norm."""
    p = prefix
    kernel = state[f"{p}patch_embed.proj.weight"]
    x = f.conv2d(images, kernel, state[f"{p}patch_embed.proj.bias"], stride=kernel.shape[-1])
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([state[f"{p}cls_token"].expand(len(x), -1, -1), x], dim=1)
    states = [x + state[f"{p}pos_embed"]]
    number = 0
    while f"{p}blocks.{number}.norm1.weight" in state:
        block, x = f"{p}blocks.{number}", states[-1]
        scale_1 = state.get(f"{block}.ls1.gamma", torch.ones(()))
        scale_2 = state.get(f"{block}.ls2.gamma", torch.ones(()))
        fused = linear(state, f"{block}.attn.qkv", norm(state, f"{block}.norm1", x, 1e-6))
        mixed = attention(*fused.chunk(3, dim=-1), heads, torch.zeros(()))
        x = x + scale_1 * linear(state, f"{block}.attn.proj", mixed)
        wide = linear(state, f"{block}.mlp.fc1", norm(state, f"{block}.norm2", x, 1e-6))
        states.append(x + scale_2 * linear(state, f"{block}.mlp.fc2", f.gelu(wide)))
        number += 1
    return states


def open_clip_image(state: State, images: torch.Tensor, heads: int) -> torch.Tensor:
    """Image embedding: the final norm's CLS token through the bias-free head, at unit length."""
    last = timm_vit(state, images, heads, "visual.trunk.")[-1]
    pooled = norm(state, "visual.trunk.norm", last, 1e-6)[:, 0]
    return f.normalize(pooled @ state["visual.head.proj.weight"].T, dim=-1)


def open_clip_text(state: State, ids: torch.Tensor, mask: torch.Tensor, heads: int) -> torch.Tensor:
    """Text embedding: BERT's last CLS state, not its pooler, through the MLP, at unit length."""
    p = "text.transformer."
    e = f"{p}embeddings."
    x = state[f"{e}word_embeddings.weight"][ids]
    x = x + state[f"{e}position_embeddings.weight"][: ids.shape[1]]
    x = norm(state, f"{e}LayerNorm", x + state[f"{e}token_type_embeddings.weight"][0], 1e-12)
    hidden = (1 - mask[:, None, None].float()) * torch.finfo(torch.float32).min
    number = 0
    while f"{p}encoder.layer.{number}.output.dense.weight" in state:
        b = f"{p}encoder.layer.{number}"
        parts = [linear(state, f"{b}.attention.self.{n}", x) for n in ("query", "key", "value")]
        mixed = linear(state, f"{b}.attention.output.dense", attention(*parts, heads, hidden))
        x = norm(state, f"{b}.attention.output.LayerNorm", x + mixed, 1e-12)
        wide = f.gelu(linear(state, f"{b}.intermediate.dense", x))
        narrow = linear(state, f"{b}.output.dense", wide)
        x = norm(state, f"{b}.output.LayerNorm", x + narrow, 1e-12)
        number += 1
    wide = f.gelu(x[:, 0] @ state["text.proj.0.weight"].T)
    return f.normalize(wide @ state["text.proj.2.weight"].T, dim=-1)


def mlp2x_gelu(state: State, features: torch.Tensor, prefix: str) -> torch.Tensor:
    """LLaVA's projector: [B, N, vision width] → [B, N, language width]."""
    wide = f.gelu(linear(state, f"{prefix}mm_projector.0", features))
    return linear(state, f"{prefix}mm_projector.2", wide)


def clip_vit(
    state: State, images: torch.Tensor, heads: int
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """OpenAI's tower with quick GELU: hidden states, and the normed CLS token."""
    x = f.conv2d(images, state["conv1.weight"], stride=state["conv1.weight"].shape[-1])
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([state["class_embedding"].expand(len(x), 1, -1), x], dim=1)
    states = [norm(state, "ln_pre", x + state["positional_embedding"], 1e-5)]
    number = 0
    while f"transformer.resblocks.{number}.ln_1.weight" in state:
        b, x = f"transformer.resblocks.{number}", states[-1]
        rows = norm(state, f"{b}.ln_1", x, 1e-5)
        fused = f.linear(rows, state[f"{b}.attn.in_proj_weight"], state[f"{b}.attn.in_proj_bias"])
        mixed = attention(*fused.chunk(3, dim=-1), heads, torch.zeros(()))
        x = x + linear(state, f"{b}.attn.out_proj", mixed)
        wide = linear(state, f"{b}.mlp.c_fc", norm(state, f"{b}.ln_2", x, 1e-5))
        states.append(x + linear(state, f"{b}.mlp.c_proj", wide * torch.sigmoid(1.702 * wide)))
        number += 1
    return states, norm(state, "ln_post", states[-1][:, 0], 1e-5)


class LlamaWithLora:
    """Vicuna's forward with LoRA beside its weights: W x + alpha / r · B A x."""

    def __init__(self, base: State, adapter: State, heads: int, alpha: float, rank: int) -> None:
        self.base, self.adapter, self.heads, self.scale = base, adapter, heads, alpha / rank

    def _project(self, name: str, rows: torch.Tensor) -> torch.Tensor:
        low = f"base_model.model.model.{name}.lora_"
        down = rows @ self.adapter[f"{low}A.weight"].T
        added = down @ self.adapter[f"{low}B.weight"].T
        return rows @ self.base[f"model.{name}.weight"].T + self.scale * added

    def _norm(self, name: str, rows: torch.Tensor) -> torch.Tensor:
        root = torch.rsqrt(rows.pow(2).mean(-1, keepdim=True) + 1e-5)
        return rows * root * self.base[name]

    def _rotate(self, rows: torch.Tensor) -> torch.Tensor:
        """Rotary positions on [B, T, W], halves of each head paired."""
        batch, length, width = rows.shape
        size = width // self.heads
        rates = 10000.0 ** (-torch.arange(0, size, 2) / size)
        angles = torch.arange(length)[:, None] * rates
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        one, two = rows.reshape(batch, length, self.heads, size).chunk(2, dim=-1)
        turned = torch.cat([one * cos - two * sin, two * cos + one * sin], dim=-1)
        return turned.reshape(batch, length, width)

    def embed(self, ids: Sequence[int], image: torch.Tensor) -> torch.Tensor:
        """[1, T, W]: token embeddings with the image's rows at the sentinel's place."""
        rows = [
            image if each == IMAGE_SENTINEL else self.base["model.embed_tokens.weight"][[each]]
            for each in ids
        ]
        return torch.cat(rows)[None]

    def logits(self, ids: Sequence[int], image: torch.Tensor) -> torch.Tensor:
        """[T, vocabulary] for one sequence whose image is [N, W]."""
        x = self.embed(ids, image)
        length = x.shape[1]
        mask = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)
        number = 0
        while f"model.layers.{number}.input_layernorm.weight" in self.base:
            b = f"layers.{number}"
            rows = self._norm(f"model.{b}.input_layernorm.weight", x)
            query, key, value = (
                self._project(f"{b}.self_attn.{n}_proj", rows) for n in ("q", "k", "v")
            )
            mixed = attention(self._rotate(query), self._rotate(key), value, self.heads, mask)
            x = x + self._project(f"{b}.self_attn.o_proj", mixed)
            rows = self._norm(f"model.{b}.post_attention_layernorm.weight", x)
            gate = f.silu(self._project(f"{b}.mlp.gate_proj", rows))
            wide = gate * self._project(f"{b}.mlp.up_proj", rows)
            x = x + self._project(f"{b}.mlp.down_proj", wide)
            number += 1
        return (self._norm("model.norm.weight", x) @ self.base["lm_head.weight"].T)[0]

    def greedy(self, ids: Sequence[int], image: torch.Tensor, count: int) -> list[int]:
        """The ``count`` tokens that follow, each the likeliest."""
        written: list[int] = []
        for _ in range(count):
            written.append(int(self.logits([*ids, *written], image)[-1].argmax()))
        return written

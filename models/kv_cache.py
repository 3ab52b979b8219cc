"""Keys and values of prompts that share their beginning, written in place.

A prompt's *opening* runs from its first token to the image's last place; it is the same for every
prompt that shows the same image, and for all beams of one prompt, so it is kept once. What follows
(the question, then the answer) is a row's *tail*, its own. Both are allocated once, as large as the
longest can get: a step writes one place and copies nothing.

Shapes: P openings of up to N tokens, R rows with tails of up to T tokens, G key-value heads, D
width of a head.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PretrainedConfig


@dataclass(frozen=True)
class CacheSize:
    """How many openings and rows, and how many tokens of each, at most."""

    openings: int
    opening_tokens: int
    rows: int
    tail_tokens: int


class KeyValueCache:
    """The cache of one language model; row ``r`` reads ``opening_of[r]`` and its own tail.

    Args:
        config: of the language model; gives layers, key-value heads and their width.
        like: a tensor whose type and device the cache takes.
    """

    def __init__(self, config: PretrainedConfig, size: CacheSize, like: torch.Tensor) -> None:
        heads, layers = config.num_key_value_heads, range(config.num_hidden_layers)
        own_width: int | None = getattr(config, "head_dim", None)  # Qwen2 has none
        width = own_width or config.hidden_size // config.num_attention_heads
        opening = (size.openings, heads, size.opening_tokens, width)
        tail = (size.rows, heads, size.tail_tokens, width)
        self.size = size
        self.opening_keys = [_room(opening, like) for _ in layers]
        self.opening_values = [_room(opening, like) for _ in layers]
        self.tail_keys = [_room(tail, like) for _ in layers]
        self.tail_values = [_room(tail, like) for _ in layers]
        self.opening_length = [0] * size.openings
        self.tail_length = [0] * size.rows
        self.opening_of = [0] * size.rows

    def put_opening(
        self, layer: int, opening: int, keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """Write a whole opening's keys and values [N, G, D] of one layer."""
        tokens = keys.shape[0]
        self.opening_keys[layer][opening, :, :tokens] = keys.transpose(0, 1)
        self.opening_values[layer][opening, :, :tokens] = values.transpose(0, 1)

    def put_tail(self, layer: int, row: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Write the question [T, G, D] at the start of a row's tail."""
        tokens = keys.shape[0]
        self.tail_keys[layer][row, :, :tokens] = keys.transpose(0, 1)
        self.tail_values[layer][row, :, :tokens] = values.transpose(0, 1)

    def put_next(
        self,
        layer: int,
        rows: torch.Tensor,
        places: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> None:
        """Write one token's [R, G, D] into each row, at that row's place [R]."""
        self.tail_keys[layer][rows, :, places] = keys
        self.tail_values[layer][rows, :, places] = values

    def copy_tail(self, source: int, target: int) -> None:
        """Make ``target`` go on from where ``source`` is; the opening is shared, not copied."""
        tokens = self.tail_length[source]
        for each in (*self.tail_keys, *self.tail_values):
            each[target, :, :tokens] = each[source, :, :tokens]
        self.tail_length[target] = tokens
        self.opening_of[target] = self.opening_of[source]


@dataclass(frozen=True)
class Group:
    """Rows that share an opening of ``seen`` tokens: their numbers, also as a tensor [M]."""

    opening: int
    seen: int
    members: tuple[int, ...]
    index: torch.Tensor


@dataclass(frozen=True)
class LiveRows:
    """What one step reads: the first ``rows`` rows, each by one new token.

    Args:
        rows, places: [R] row numbers, and the places in their tails that the new token takes.
        positions: [R] the new token's position in its whole sequence.
        groups: rows by the opening they share.
        slot: [R] where a row stands when openings are laid out ``largest_group`` rows wide.
        openings: from the first to the last that is in use.
        unread: [R, 1, 1, N] true beyond the end of a row's opening; None if all fill their room.
        beyond: [R, 1, 1, T] true where a tail is not yet written.
    """

    rows: torch.Tensor
    places: torch.Tensor
    positions: torch.Tensor
    groups: tuple[Group, ...]
    slot: torch.Tensor
    largest_group: int
    openings: slice
    unread: torch.Tensor | None
    beyond: torch.Tensor

    @property
    def count(self) -> int:
        return int(self.rows.shape[0])

    @property
    def tail_tokens(self) -> int:
        """Places of the longest tail, the new token's among them."""
        return int(self.beyond.shape[-1])


def live_rows(cache: KeyValueCache, count: int, device: torch.device) -> LiveRows:
    """The next step over rows 0 to ``count``."""
    openings, tails = cache.opening_of[:count], cache.tail_length[:count]
    largest, first = max(Counter(openings).values()), min(openings)
    members: dict[int, list[int]] = {}
    slot = []
    for row, opening in enumerate(openings):
        group = members.setdefault(opening, [])
        slot.append((opening - first) * largest + len(group))
        group.append(row)
    lengths = [cache.opening_length[opening] for opening in openings]
    places = _whole(tails, device)
    read = torch.arange(max(tails) + 1, device=device)
    return LiveRows(
        rows=torch.arange(count, device=device),
        places=places,
        positions=_whole([a + b for a, b in zip(lengths, tails, strict=True)], device),
        groups=tuple(
            Group(opening, cache.opening_length[opening], tuple(rows), _whole(rows, device))
            for opening, rows in members.items()
        ),
        slot=_whole(slot, device),
        largest_group=largest,
        openings=slice(first, max(openings) + 1),
        unread=_unread(lengths, cache.size.opening_tokens, device),
        beyond=(read > places[:, None])[:, None, None, :],
    )


def _unread(lengths: Sequence[int], room: int, device: torch.device) -> torch.Tensor | None:
    if min(lengths) == room:
        return None
    ends = _whole(lengths, device)
    return (torch.arange(room, device=device) >= ends[:, None])[:, None, None, :]


def _room(shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """Room that starts as zeros: what is masked is still multiplied, and must be a number."""
    return torch.zeros(shape, dtype=like.dtype, device=like.device)


def _whole(values: Sequence[int], device: torch.device) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.long, device=device)

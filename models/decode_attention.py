"""Attention while generating: over an opening as it is read, a question, and single new tokens.

Each is a callable that a block asks with the queries, keys and values of its tokens, and that keeps
keys and values for later. Shapes: L tokens, R rows, H heads in G groups of Q queries, D width of a
head, P openings of N tokens, T places of a tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from models.kv_cache import Group, KeyValueCache, LiveRows

_LOOP_BYTES = 1 << 19
"""Above this size of an opening in one layer, rows on a CPU read their openings one after another
(our choice): such a read takes longer than the call, and none is padded to the largest group."""


@dataclass(frozen=True)
class OpeningAttention:
    """Causal attention of one opening over itself."""

    cache: KeyValueCache
    opening: int
    last_layer: int

    def __call__(
        self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor | None:
        """[L, H, D], [L, G, D] twice → [L, H, D]; None in the last layer.

        Nothing that follows the last layer's keys and values is ever read: an opening asks for no
        next token.
        """
        self.cache.put_opening(layer, self.opening, keys, values)
        if layer == self.last_layer:
            return None
        tokens = len(keys)  # read back from the cache, where each head's lie side by side
        mixed = functional.scaled_dot_product_attention(
            _heads_first(queries),
            self.cache.opening_keys[layer][self.opening, None, :, :tokens],
            self.cache.opening_values[layer][self.opening, None, :, :tokens],
            is_causal=True,
            enable_gqa=queries.shape[1] != keys.shape[1],
        )
        return mixed[0].transpose(0, 1)


@dataclass(frozen=True)
class QuestionAttention:
    """Questions of several rows, laid end to end; each sees its opening and itself.

    Args:
        rows: the row of each question; its ``opening_of`` is set, its tail empty.
        lengths: tokens of each question.
    """

    cache: KeyValueCache
    rows: Sequence[int]
    lengths: Sequence[int]

    def __call__(
        self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        """[L, H, D], [L, G, D] twice → [L, H, D]."""
        parts = zip(
            self.rows,
            torch.split(queries, list(self.lengths)),
            torch.split(keys, list(self.lengths)),
            torch.split(values, list(self.lengths)),
            strict=True,
        )
        return torch.cat([self._one(layer, *part) for part in parts])

    def _one(
        self,
        layer: int,
        row: int,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        self.cache.put_tail(layer, row, keys, values)
        opening = self.cache.opening_of[row]
        seen = self.cache.opening_length[opening]
        asked = queries.shape[0]
        sees = torch.ones(asked, seen + asked, dtype=torch.bool, device=queries.device).tril(seen)
        mixed = functional.scaled_dot_product_attention(
            _heads_first(queries),
            torch.cat((self.cache.opening_keys[layer][opening, :, :seen], _heads(keys)), 1)[None],
            torch.cat((self.cache.opening_values[layer][opening, :, :seen], _heads(values)), 1)[
                None
            ],
            attn_mask=sees,
            enable_gqa=queries.shape[1] != keys.shape[1],
        )
        return mixed[0].transpose(0, 1)


@dataclass(frozen=True)
class NextTokenAttention:
    """One new token of each live row over the row's opening and tail.

    Rows that share an opening read it once. The softmax is one over both parts, in float32, as
    Hugging Face's eager attention takes it.
    """

    cache: KeyValueCache
    live: LiveRows

    def __call__(
        self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        """[R, H, D], [R, G, D] twice → [R, H, D]."""
        live, cache = self.live, self.cache
        cache.put_next(layer, live.rows, live.places, keys, values)
        rows, heads, width = queries.shape
        asked = queries.view(rows, keys.shape[1], -1, width) * width**-0.5
        if _reads_one_by_one(cache.opening_keys[layer]):
            return self._one_by_one(layer, asked).reshape(rows, heads, width)
        tail = slice(0, live.tail_tokens)
        own = asked @ cache.tail_keys[layer][:rows, :, tail].transpose(2, 3)
        own = own.masked_fill(live.beyond, float("-inf"))
        room = cache.opening_keys[layer]
        common = self._side_by_side(asked, room.transpose(2, 3))
        if live.unread is not None:
            common = common.masked_fill(live.unread, float("-inf"))
        weights = torch.cat((common, own), -1).softmax(-1, dtype=torch.float32).to(asked.dtype)
        common, own = torch.split(weights, [room.shape[2], live.tail_tokens], -1)
        mixed = self._side_by_side(common, cache.opening_values[layer])
        mixed = mixed + own @ cache.tail_values[layer][:rows, :, tail]
        return mixed.reshape(rows, heads, width)

    def _one_by_one(self, layer: int, asked: torch.Tensor) -> torch.Tensor:
        """Queries [R, G, Q, D] → mixed values, each opening and tail in turn.

        Only scores are padded, to the longest tail of a group; no key or value is.
        """
        mixed = torch.empty_like(asked)
        for group in self.live.groups:
            some = asked.index_select(0, group.index).transpose(0, 1)
            room = self.cache.opening_keys[layer][group.opening, :, : group.seen]
            common = some.flatten(1, 2) @ room.transpose(1, 2)
            own = self._own_scores(layer, group, asked).flatten(1, 2)
            weights = torch.cat((common, own), -1).softmax(-1, dtype=torch.float32).to(asked.dtype)
            values = self.cache.opening_values[layer][group.opening, :, : group.seen]
            shared = (weights[..., : group.seen] @ values).view(some.shape)
            weights = weights[..., group.seen :].view(*some.shape[:3], -1)
            for number, row in enumerate(group.members):
                tokens = self.cache.tail_length[row] + 1
                tail = self.cache.tail_values[layer][row, :, :tokens]
                share = weights[:, number, :, :tokens]
                torch.baddbmm(shared[:, number], share, tail, out=mixed[row])
        return mixed

    def _own_scores(self, layer: int, group: Group, asked: torch.Tensor) -> torch.Tensor:
        """What a group's queries of [R, G, Q, D] find in their tails, [G, M, Q, T]."""
        tokens = [self.cache.tail_length[row] + 1 for row in group.members]
        _, groups, each, _ = asked.shape
        own = asked.new_full((groups, len(tokens), each, max(tokens)), float("-inf"))
        for number, (row, end) in enumerate(zip(group.members, tokens, strict=True)):
            tail = self.cache.tail_keys[layer][row, :, :end].transpose(1, 2)
            own[:, number, :, :end] = asked[row] @ tail
        return own

    def _side_by_side(self, rows: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        """Each row [R, G, Q, X] times what its opening holds [P, G, X, Y], in one product.

        Every opening is laid out for as many rows as the largest group has.
        """
        live, members = self.live, self.live.largest_group
        held = held[live.openings]
        openings, (_, groups, each, width) = len(held), rows.shape
        wide = rows.new_zeros(openings * members, groups, each, width)
        wide[live.slot] = rows
        wide = wide.view(openings, members, groups, each, width).transpose(1, 2).flatten(2, 3)
        product = (wide @ held).view(openings, groups, members, each, -1)
        mixed: torch.Tensor = product.transpose(1, 2).flatten(0, 1)[live.slot]
        return mixed


def _reads_one_by_one(room: torch.Tensor) -> bool:
    return room.device.type == "cpu" and room[0].nbytes > _LOOP_BYTES


def _heads(tokens: torch.Tensor) -> torch.Tensor:
    """[L, heads, D] → [heads, L, D]."""
    return tokens.transpose(0, 1)


def _heads_first(tokens: torch.Tensor) -> torch.Tensor:
    """[L, heads, D] → [1, heads, L, D]."""
    return tokens.transpose(0, 1)[None]

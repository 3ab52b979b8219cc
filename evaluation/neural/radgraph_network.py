"""RadGraph's network (DyGIE++): spans of a report scored as entities, pairs of spans as relations.

Written from what the sources of radgraph 0.1.18 do at inference, one report at a time:

- each word is cut into pieces alone; the encoder's last hidden states of its pieces are averaged;
- a report longer than ``max_length`` is cut into parts of that length, each between the encoder's
  own first and last token, without regard to words;
- a span of up to ``max_span_width`` words is its first word, its last word and a vector of its
  width;
- an entity's label is the best of a two-layer network's scores and 0, which means none;
- for relations the best ``ceil(words * spans_per_word)`` spans by a mention score are kept, in
  their order; a pair's scores, from both spans and their product, are raised by both mention
  scores, and 0 means none. A relation counts if both of its spans are entities.

What could not be checked here, since the weights are no part of this package: that published
archives give the same graphs as the package does. Names and shapes of all tensors must agree, or
loading fails. Shapes: W words, S spans, H width of the encoder, K kept spans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from evaluation.neural.radgraph_archive import ArchiveShape

Span = tuple[int, int]
"""First and last word."""


class Scorer(nn.Module):
    """Linear layers, each followed by ReLU, and a linear score."""

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        sizes = [inputs, *hidden]
        self.layers = nn.ModuleList([nn.Linear(before, after) for before, after in pairwise(sizes)])
        self.score = nn.Linear(sizes[-1], outputs)

    def forward(self, values: Tensor) -> Tensor:
        """(..., outputs) of (..., inputs)."""
        for layer in self.layers:
            values = torch.relu(layer(values))
        return self.score(values)  # type: ignore[no-any-return]


class RadgraphNetwork(nn.Module):
    """An encoder and three scorers; ``entities`` and ``relations`` count labels without "none"."""

    def __init__(self, encoder: Any, shape: ArchiveShape, entities: int, relations: int) -> None:
        super().__init__()
        self.encoder, self.shape = encoder, shape
        self.widths = nn.Embedding(shape.max_span_width, shape.width_features)
        width = 2 * encoder.config.hidden_size + shape.width_features
        self.entity = Scorer(width, shape.hidden, entities)
        self.mention = Scorer(width, shape.hidden, 1)
        self.relation = Scorer(3 * width, shape.hidden, relations)

    def spans(self, words: int) -> list[Span]:
        """All spans of a report, by first and then by last word."""
        longest = self.shape.max_span_width
        return [
            (first, last)
            for first in range(words)
            for last in range(first, min(first + longest, words))
        ]

    def embed_words(
        self, pieces: Sequence[Sequence[int]], frame: tuple[list[int], list[int]]
    ) -> Tensor:
        """(W, H) mean of each word's pieces; zero for a word without any.

        Args:
            pieces: token ids of each word.
            frame: the encoder's first and last tokens.
        """
        flat = [token for word in pieces for token in word]
        device = self.widths.weight.device
        hidden = torch.zeros((0, self.encoder.config.hidden_size), device=device)
        added = len(frame[0]) + len(frame[1])
        room = (self.shape.max_length or len(flat) + added) - added
        for start in range(0, len(flat), room):
            part = flat[start : start + room]
            ids = torch.tensor([[*frame[0], *part, *frame[1]]], device=device)
            output = self.encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
            own = output.last_hidden_state[0, len(frame[0]) : len(frame[0]) + len(part)]
            hidden = torch.cat([hidden, own])
        lengths = torch.tensor([len(word) for word in pieces], device=device)
        owner = torch.repeat_interleave(torch.arange(len(pieces), device=device), lengths)
        sums = torch.zeros((len(pieces), hidden.shape[1]), device=device).index_add_(
            0, owner, hidden
        )
        return sums / lengths.clamp(min=1).unsqueeze(1)

    def embed_spans(self, words: Tensor, spans: Sequence[Span]) -> Tensor:
        """(S, 2 H + width features) of word vectors (W, H)."""
        ends = torch.tensor(spans, device=words.device)
        wide = self.widths(ends[:, 1] - ends[:, 0])
        return torch.cat([words[ends[:, 0]], words[ends[:, 1]], wide], dim=1)

    def entity_labels(self, spans: Tensor) -> list[int]:
        """For each span the place of its label, -1 for no entity."""
        return _best(self.entity(spans)).tolist()

    def relation_labels(self, spans: Tensor, words: int) -> list[tuple[int, int, int]]:
        """(place of one span, place of the other, place of the label) of every relation."""
        mentions = self.mention(spans)[:, 0]
        keep = min(math.ceil(words * self.shape.spans_per_word), len(spans))
        kept = mentions.topk(max(keep, 1)).indices.sort().values
        chosen, scores = spans[kept], mentions[kept]
        count = len(kept)
        one = chosen.unsqueeze(1).expand(count, count, -1)
        other = chosen.unsqueeze(0).expand(count, count, -1)
        pairs = self.relation(torch.cat([one, other, one * other], dim=2))
        labels = _best(pairs + (scores.unsqueeze(1) + scores.unsqueeze(0)).unsqueeze(2))
        found = (labels >= 0).nonzero().tolist()
        return [(int(kept[i]), int(kept[j]), int(labels[i, j])) for i, j in found]


def _best(scores: Tensor) -> Tensor:
    """Place of the best score along the last axis, -1 where 0 is better than all."""
    best, places = scores.max(dim=-1)
    return torch.where(best > 0, places, -1)

"""Independent forward passes over raw tensors by their published names, for the tests.

Nothing here uses transformers or the package's own networks. Shapes: L tokens, W words, H width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm

WIDTH, HEADS, LAYERS = 16, 2, 2

State = Mapping[str, Tensor]


def linear(state: State, name: str, values: Tensor) -> Tensor:
    return values @ state[f"{name}weight"].T + state[f"{name}bias"]


def normed(state: State, name: str, values: Tensor) -> Tensor:
    return layer_norm(
        values, (values.shape[-1],), state[f"{name}weight"], state[f"{name}bias"], 1e-12
    )


def bert(state: State, prefix: str, ids: Sequence[int]) -> Tensor:
    """(L, H) last hidden states of one text without padding."""
    at = f"{prefix}embeddings."
    hidden = state[f"{at}word_embeddings.weight"][list(ids)]
    hidden = hidden + state[f"{at}position_embeddings.weight"][: len(ids)]
    hidden = hidden + state[f"{at}token_type_embeddings.weight"][0]
    hidden = normed(state, f"{at}LayerNorm.", hidden)
    for layer in range(LAYERS):
        own = f"{prefix}encoder.layer.{layer}."
        query, key, value = (
            linear(state, f"{own}attention.self.{name}.", hidden).view(len(ids), HEADS, -1)
            for name in ("query", "key", "value")
        )
        mixed = torch.zeros_like(query)
        for head in range(HEADS):
            scores = query[:, head] @ key[:, head].T / math.sqrt(WIDTH / HEADS)
            mixed[:, head] = scores.softmax(dim=-1) @ value[:, head]
        seen = linear(state, f"{own}attention.output.dense.", mixed.reshape(len(ids), WIDTH))
        hidden = normed(state, f"{own}attention.output.LayerNorm.", hidden + seen)
        inner = gelu(linear(state, f"{own}intermediate.dense.", hidden))
        outer = linear(state, f"{own}output.dense.", inner)
        hidden = normed(state, f"{own}output.LayerNorm.", hidden + outer)
    return hidden


def chexbert(state: State, ids: Sequence[int]) -> tuple[Tensor, list[int]]:
    """[CLS] vector (H,) and the 14 class numbers."""
    first = bert(state, "module.bert.", ids)[0]
    classes = [
        int(linear(state, f"module.linear_heads.{head}.", first).argmax()) for head in range(14)
    ]
    return first, classes


def two_layers(state: State, name: str, values: Tensor) -> Tensor:
    for layer in range(2):
        values = linear(state, f"{name}_linear_layers.{layer}.", values).clamp(min=0)
    return values


def radgraph(
    state: State, dataset: str, parts: Sequence[Sequence[int]], pieces: Sequence[int], keep: int
) -> tuple[dict[tuple[int, int], int], dict[tuple[tuple[int, int], tuple[int, int]], int]]:
    """Labels of entities by span (1 is the first that is not "none"), and of relations by spans.

    Args:
        parts: token ids as the encoder sees them, with [CLS] and [SEP] around each part.
        pieces: how many pieces each word has.
        keep: how many spans stand for relations.
    """
    prefix = "_embedder.token_embedder_bert._matched_embedder.transformer_model."
    hidden = torch.cat([bert(state, prefix, part)[1:-1] for part in parts])
    words, at = [], 0
    for count in pieces:
        words.append(hidden[at : at + count].mean(dim=0))
        at += count
    widths = state["_endpoint_span_extractor._span_width_embedding.weight"]
    spans = [(a, b) for a in range(len(words)) for b in range(a, min(a + 3, len(words)))]
    vectors = [torch.cat([words[a], words[b], widths[b - a]]) for a, b in spans]
    entities = _entities(state, dataset, spans, vectors)
    mention = f"_relation._mention_pruners.{dataset}__relation_labels._scorer."
    scores = [
        float(linear(state, f"{mention}1._module.", two_layers(state, f"{mention}0._module.", v)))
        for v in vectors
    ]
    best = sorted(range(len(spans)), key=lambda place: -scores[place])[:keep]
    relations = {}
    for one in sorted(best):
        for other in sorted(best):
            label = _relation(state, dataset, vectors[one], vectors[other])
            label[1:] += scores[one] + scores[other]
            if int(label.argmax()):
                relations[spans[one], spans[other]] = int(label.argmax())
    return entities, relations


def _entities(
    state: State, dataset: str, spans: Sequence[tuple[int, int]], vectors: Sequence[Tensor]
) -> dict[tuple[int, int], int]:
    name = f"_ner._ner_scorers.{dataset}__ner_labels."
    found = {}
    for span, vector in zip(spans, vectors, strict=True):
        scores = linear(state, f"{name}1._module.", two_layers(state, f"{name}0._module.", vector))
        label = int(torch.cat([torch.zeros(1), scores]).argmax())
        if label:
            found[span] = label
    return found


def _relation(state: State, dataset: str, one: Tensor, other: Tensor) -> Tensor:
    """(labels + 1,) scores with a zero for "none" in front."""
    name = f"{dataset}__relation_labels."
    pair = torch.cat([one, other, one * other])
    hidden = two_layers(state, f"_relation._relation_feedforwards.{name}", pair)
    scores = linear(state, f"_relation._relation_scorers.{name}", hidden)
    return torch.cat([torch.zeros(1), scores])

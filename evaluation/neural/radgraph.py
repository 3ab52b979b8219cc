"""RadGraph's models, v1 and XL: reports in, graphs of entities and relations out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import AutoModel

from evaluation.neural.radgraph_archive import Archive, read_archive
from evaluation.neural.radgraph_network import RadgraphNetwork, Span
from evaluation.neural.weights import (
    Tokenizer,
    load_config,
    load_strictly,
    load_tokenizer,
)
from evaluation.radgraph import Entity, Graph
from evaluation.radgraph_words import Words, radgraph_words

RADGRAPH_REVISION = 1
"""Raise when a value changes; part of its signature."""


class Radgraph:
    """A model, ready to read; ``kind`` is how it cuts words."""

    def __init__(
        self,
        network: RadgraphNetwork,
        archive: Archive,
        tokenizer: Tokenizer,
        kind: Words,
        device: torch.device,
    ) -> None:
        self._network = network.to(device).eval()
        self._archive, self._tokenizer, self._kind = archive, tokenizer, kind
        self._frame = _frame(tokenizer)

    @torch.inference_mode()
    def read(self, text: str) -> Graph:
        """The report's graph; empty for a text without words."""
        words = radgraph_words(text, self._kind)
        if not words:
            return ()
        network, archive = self._network, self._archive
        pieces = self._tokenizer(words, add_special_tokens=False)["input_ids"]
        spans = network.spans(len(words))
        vectors = network.embed_spans(network.embed_words(pieces, self._frame), spans)
        labels = network.entity_labels(vectors)
        related = [
            (spans[one], spans[other], archive.relations[label])
            for one, other, label in network.relation_labels(vectors, len(words))
        ]
        found = [
            (span, archive.entities[label])
            for span, label in zip(spans, labels, strict=True)
            if label >= 0
        ]
        return as_graph(words, found, related)

    def read_all(self, texts: Sequence[str], on_progress: Callable[[int], None]) -> list[Graph]:
        """A graph for each text; ``on_progress`` is told how many are done."""
        graphs = []
        for done, text in enumerate(texts, 1):
            graphs.append(self.read(text))
            on_progress(done)
        return graphs


def as_graph(
    words: Sequence[str],
    entities: Sequence[tuple[Span, str]],
    relations: Sequence[tuple[Span, Span, str]],
) -> Graph:
    """Entities in the order of their spans; relations of spans that are none are left out."""
    places = {span: place for place, (span, _) in enumerate(entities)}
    held: dict[Span, list[tuple[str, int]]] = {}
    for source, target, kind in relations:
        if target in places:
            held.setdefault(source, []).append((kind, places[target]))
    return tuple(
        Entity(" ".join(words[span[0] : span[1] + 1]), label, tuple(held.get(span, ())))
        for span, label in entities
    )


def load_radgraph(
    folder: Path, encoder_folder: Path, kind: Words, device: torch.device
) -> Radgraph:
    """The model of an unpacked archive.

    Args:
        encoder_folder: the encoder that the archive's config.json names: its ``config.json`` and
            tokenizer; its weights are in the archive.

    Raises:
        InputError: a tensor is missing, left over or of another shape, or a file does not fit.
    """
    archive = read_archive(folder)
    encoder = AutoModel.from_config(load_config(encoder_folder))
    counts = len(archive.entities), len(archive.relations)
    network = RadgraphNetwork(encoder, archive.shape, *counts)
    load_strictly(network, archive.state, f"weights.th of {folder.name}")
    return Radgraph(network, archive, load_tokenizer(encoder_folder), kind, device)


def _frame(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]

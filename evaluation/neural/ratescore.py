"""RaTEScore's two networks: one names a report's entities, one embeds them.

The arithmetic is in ``evaluation/ratescore.py``. Both networks are ordinary Hugging Face folders:
token classification with begin and inside labels, and an encoder whose [CLS] vector stands for an
entity (evaluation_metrics 1.8). Shapes: E entities, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoModelForTokenClassification

from evaluation.neural.batches import batches_of, token_ids
from evaluation.neural.weights import Tokenizer, load_network, load_tokenizer
from evaluation.ratescore import TYPES, Entities, split_sentences
from evaluation.statistics import Floats
from infra.errors import InputError

RATESCORE_REVISION = 1
"""Raise when a value changes; part of its signature."""

LONGEST_SENTENCE = 512
LONGEST_ENTITY = 30
"""Tokens, special ones included (published)."""

Named = tuple[str, int]
"""An entity's words and the place of its type in ``TYPES``."""


class RateEncoder:
    """Both networks, ready to read."""

    def __init__(
        self,
        namer: tuple[Any, Tokenizer],
        embedder: tuple[Any, Tokenizer],
        device: torch.device,
    ) -> None:
        self._device = device
        self._namer, self._namer_tokens = namer[0].to(device).eval(), namer[1]
        self._embedder, self._embedder_tokens = embedder[0].to(device).eval(), embedder[1]
        self._labels = _labels(self._namer.config.id2label)

    def read(self, texts: Sequence[str], batch_size: int) -> list[Entities | None]:
        """Entities of each text, None for one without a sentence to read."""
        cut = [split_sentences(text) for text in texts]
        sentences = sorted({sentence for found in cut for sentence in found})
        named = dict(zip(sentences, self._name(sentences, batch_size), strict=True))
        words = sorted({word for found in named.values() for word, _ in found})
        vectors = dict(zip(words, self._embed(words, batch_size), strict=True))
        width = self._embedder.config.hidden_size
        return [
            _entities([one for sentence in found for one in named[sentence]], vectors, width)
            if found
            else None
            for found in cut
        ]

    @torch.inference_mode()
    def _name(self, sentences: Sequence[str], batch_size: int) -> list[list[Named]]:
        longest = min(LONGEST_SENTENCE, self._namer.config.max_position_embeddings)
        rows = token_ids(self._namer_tokens, sentences, longest)
        found: list[list[Named]] = [[] for _ in sentences]
        padding = self._namer_tokens.pad_token_id
        for batch in batches_of(rows, batch_size, padding, self._device):
            logits = self._namer(input_ids=batch.ids, attention_mask=batch.mask).logits
            classes = logits.argmax(dim=2).tolist()
            for place, told in zip(batch.places, classes, strict=True):
                found[place] = list(self._spans(rows[place], told))
        return found

    def _spans(self, ids: list[int], classes: list[int]) -> Iterator[Named]:
        """Runs of a begin label and the inside labels after it; others name nothing."""
        tokenizer = self._namer_tokens
        frame = {tokenizer.cls_token_id, tokenizer.sep_token_id}
        labels = [
            ("O", -1) if token in frame else self._labels[told]
            for token, told in zip(ids, classes, strict=False)
        ]
        start = 0
        while start < len(ids):
            mark, kind = labels[start]
            stop = start + 1
            while mark == "B" and stop < len(ids) and labels[stop][0] == "I":
                stop += 1
            if mark == "B":
                tokens = tokenizer.convert_ids_to_tokens(ids[start:stop])
                yield tokenizer.convert_tokens_to_string(tokens).strip(), kind
            start = stop

    @torch.inference_mode()
    def _embed(self, words: Sequence[str], batch_size: int) -> Floats:
        """(E, D) vectors."""
        rows = token_ids(self._embedder_tokens, words, LONGEST_ENTITY)
        vectors = np.zeros((len(words), self._embedder.config.hidden_size))
        padding = self._embedder_tokens.pad_token_id
        for batch in batches_of(rows, batch_size, padding, self._device):
            output = self._embedder(input_ids=batch.ids, attention_mask=batch.mask)
            vectors[batch.places] = output.last_hidden_state[:, 0].double().cpu().numpy()
        return vectors


def load_rate_encoder(entities: Path, embeddings: Path, device: torch.device) -> RateEncoder:
    """Both published networks.

    Raises:
        InputError: one cannot be read, lacks tensors, or names other types of entities.
    """
    namer = load_network(AutoModelForTokenClassification, entities)
    embedder = load_network(AutoModel, embeddings, may_lack=("pooler.",))
    return RateEncoder(
        (namer, load_tokenizer(entities)), (embedder, load_tokenizer(embeddings)), device
    )


def _entities(named: Sequence[Named], vectors: Mapping[str, Floats], width: int) -> Entities:
    return Entities(
        np.array([kind for _, kind in named], dtype=np.intp),
        np.array([vectors[word] for word, _ in named]).reshape(len(named), width),
    )


def _labels(id2label: Mapping[int, str]) -> dict[int, tuple[str, int]]:
    """By class number the mark (B, I or O) and the type's place.

    Raises:
        InputError: a label is none of RaTEScore's.
    """
    found: dict[int, tuple[str, int]] = {}
    for number, label in id2label.items():
        mark, _, kind = label.partition("-")
        if label == "O":
            found[int(number)] = ("O", -1)
        elif mark in ("B", "I") and kind.lower() in TYPES:
            found[int(number)] = (mark, TYPES.index(kind.lower()))
        else:
            raise InputError(
                f"label '{label}' of an entity model",
                f"O, or B- or I- and one of {', '.join(TYPES)}",
                "name RaTE-NER-Deberta's folder in [score.encoders]",
            )
    return found

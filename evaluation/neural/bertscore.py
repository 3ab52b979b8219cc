"""BERTScore: tokens of two texts matched greedily by the cosine of their vectors.

Our own, on any encoder in a local folder: hidden states of one layer, best match of each token
among the other text's (the two tokens around a text can be matched but count for nothing), mean
over the tokens, all of one weight, F1 of both directions, rescaled by
the baseline of unrelated sentences. Shapes: L tokens, H width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModel

from evaluation.neural.batches import batches_of, token_ids
from evaluation.neural.weights import Tokenizer, load_config, load_network, load_tokenizer
from infra.errors import InputError

BERTSCORE_REVISION = 1
"""Raise when a value changes; part of its signature."""

_SPACED = ("roberta", "gpt2", "longformer", "bart")
"""Model types whose tokenizers tell a word at the start from one after a space; bert-score reads
all words as after a space."""

_GROUP = 64
"""References whose vectors are held at once, with their predictions: some 100 MB. Our choice."""


@dataclass(frozen=True)
class _Embedded:
    """A text's tokens: unit vectors (L, H) and which of them count (L,)."""

    vectors: Tensor
    counted: Tensor


class BertScorer:
    """BERTScore of one encoder and layer."""

    def __init__(self, model: Any, tokenizer: Tokenizer, layer: int, device: torch.device) -> None:
        if not 0 <= layer <= model.config.num_hidden_layers:
            raise InputError(
                f"layer {layer} of a model with {model.config.num_hidden_layers}",
                "one of its layers",
                "name another model in [score.encoders]",
            )
        self._model, self._tokenizer = model.to(device).eval(), tokenizer
        self._layer, self._device = layer, device
        self._frame = {tokenizer.cls_token_id, tokenizer.sep_token_id}

    def scores(
        self,
        references: Sequence[str],
        predictions: Sequence[str],
        batch_size: int,
        *,
        baseline: float = 0.0,
    ) -> NDArray[np.float64]:
        """(P,) F1 of each pair, ``(F1 - baseline) / (1 - baseline)``.

        A pair with an empty text is 0, the level of unrelated texts (our choice; bert-score gives
        less than that, -2.0 with distilbert-base-uncased's baseline).
        """
        values = np.zeros(len(references))
        for group in _groups(references, predictions):
            texts = sorted(
                {text for place in group for text in (references[place], predictions[place])}
            )
            embedded = self._embed(texts, batch_size)
            for place in group:
                pair = embedded[references[place]], embedded[predictions[place]]
                values[place] = (_f1(*pair) - baseline) / (1.0 - baseline)
        return values

    @property
    def _longest(self) -> int:
        """Tokens that the encoder has positions for."""
        config = self._model.config
        positions = int(config.max_position_embeddings)
        if config.model_type == "roberta":
            positions -= 2  # the first two stand for padding
        return int(min(positions, self._tokenizer.model_max_length))

    @torch.inference_mode()
    def _embed(self, texts: Sequence[str], batch_size: int) -> dict[str, _Embedded]:
        rows = token_ids(self._tokenizer, [text.strip() for text in texts], self._longest)
        found: dict[str, _Embedded] = {}
        for batch in batches_of(rows, batch_size, self._tokenizer.pad_token_id, self._device):
            output = self._model(
                input_ids=batch.ids, attention_mask=batch.mask, output_hidden_states=True
            )
            vectors = output.hidden_states[self._layer].float()
            vectors = vectors / vectors.norm(dim=-1, keepdim=True)
            for at, place in enumerate(batch.places):
                ids = rows[place]
                counted = torch.tensor([token not in self._frame for token in ids])
                found[texts[place]] = _Embedded(vectors[at, : len(ids)].cpu(), counted)
        return found


def load_bertscorer(folder: Path, layer: int, device: torch.device) -> BertScorer:
    """A scorer on the published encoder in a folder.

    Raises:
        InputError: it cannot be read, or has no such layer.
    """
    spaced = load_config(folder).model_type in _SPACED
    tokenizer = load_tokenizer(folder, **({"add_prefix_space": True} if spaced else {}))
    network = load_network(AutoModel, folder, may_lack=("pooler.",))
    return BertScorer(network, tokenizer, layer, device)


def _groups(references: Sequence[str], predictions: Sequence[str]) -> Iterator[list[int]]:
    """Places of pairs in which both texts say something, some references at a time."""
    by_reference: dict[str, list[int]] = {}
    for place, (reference, told) in enumerate(zip(references, predictions, strict=True)):
        if reference.strip() and told.strip():
            by_reference.setdefault(reference, []).append(place)
    listed = list(by_reference.values())
    for start in range(0, len(listed), _GROUP):
        yield [place for places in listed[start : start + _GROUP] for place in places]


def _f1(reference: _Embedded, told: _Embedded) -> float:
    cosines = told.vectors @ reference.vectors.T
    precision = _mean(cosines.amax(dim=1), told)
    recall = _mean(cosines.amax(dim=0), reference)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _mean(best: Tensor, text: _Embedded) -> float:
    """Mean of each token's best cosine (L,); 0 where no token counts."""
    counted = text.counted.to(best.dtype)
    total = float(counted.sum())
    return float((best * counted).sum()) / total if total else 0.0

"""CheXbert: a BERT that reads the 14 observations off a report, and its vector of the report.

Structure and file as published (evaluation_metrics 1.6): BERT-base, and on its [CLS] vector 13
linear heads of four classes and one, No Finding, of two. ``chexbert.pth`` holds the tensors under
``model_state_dict`` with the prefix ``module.`` of data parallel training. Shapes: T texts, H
width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertModel

from evaluation.clinical import LabelMatrix
from evaluation.neural.batches import batches_of, token_ids
from evaluation.neural.weights import (
    Tokenizer,
    load_config,
    load_strictly,
    load_tokenizer,
    read_state,
)
from infra.errors import InputError
from sources.record import OBSERVATIONS

CHEXBERT_REVISION = 1
"""Raise when a value changes; part of its signature."""

LONGEST = 512
"""Tokens read of a report, special ones included (published)."""

_PREFIX = "module."
_CLASSES = (*(4 for _ in OBSERVATIONS[:-1]), 2)
"""Blank, positive, negative, uncertain; No Finding only blank and positive."""


@dataclass(frozen=True)
class ChexbertReadings:
    """Labels of T texts, and their [CLS] vectors (T, H), float32; an empty text is all blank and
    zero."""

    labels: LabelMatrix
    vectors: NDArray[np.float32]


class ChexbertNetwork(nn.Module):
    """Named as in the published checkpoint."""

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert
        width = bert.config.hidden_size
        self.linear_heads = nn.ModuleList([nn.Linear(width, classes) for classes in _CLASSES])

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """[CLS] vectors (B, H) and class numbers (B, 14) of ids and mask (B, L)."""
        vectors = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
        classes = [head(vectors).argmax(dim=1) for head in self.linear_heads]
        return vectors, torch.stack(classes, dim=1)


class Chexbert:
    """The labeler, ready to read."""

    def __init__(
        self, network: ChexbertNetwork, tokenizer: Tokenizer, device: torch.device
    ) -> None:
        self._network = network.to(device).eval()
        self._tokenizer, self._device = tokenizer, device

    @torch.inference_mode()
    def read(self, texts: Sequence[str], batch_size: int) -> ChexbertReadings:
        """Labels and vectors of the texts, in their order."""
        filled = [place for place, text in enumerate(texts) if text.strip()]
        config = self._network.bert.config
        longest = min(LONGEST, config.max_position_embeddings)
        rows = token_ids(self._tokenizer, [texts[place] for place in filled], longest)
        codes = np.zeros((len(texts), len(OBSERVATIONS)), dtype=np.int8)
        vectors = np.zeros((len(texts), config.hidden_size), dtype=np.float32)
        padding = self._tokenizer.pad_token_id
        for batch in batches_of(rows, batch_size, padding, self._device):
            places = [filled[place] for place in batch.places]
            found, classes = self._network(batch.ids, batch.mask)
            vectors[places] = found.float().cpu().numpy()
            codes[places] = classes.to(torch.int8).cpu().numpy()
        return ChexbertReadings(LabelMatrix(codes), vectors)


def load_chexbert(checkpoint: Path, tokenizer_folder: Path, device: torch.device) -> Chexbert:
    """The published labeler.

    Args:
        tokenizer_folder: ``bert-base-uncased``: its ``config.json`` tells the network's shape.

    Raises:
        InputError: the checkpoint is another network's, or the folder no BERT's.
    """
    config = load_config(tokenizer_folder)
    if config.model_type != "bert":
        raise InputError(
            f"a {config.model_type} in {tokenizer_folder.name}", "bert-base-uncased", "see docs"
        )
    content = read_state(checkpoint)
    state = content.get("model_state_dict")
    if not isinstance(state, dict):
        raise InputError(
            f"{checkpoint.name} with keys {', '.join(sorted(map(str, content))[:3])}",
            "a 'model_state_dict'",
            "put CheXbert's published file there",
        )
    network = ChexbertNetwork(BertModel(config))
    bare = {str(name).removeprefix(_PREFIX): tensor for name, tensor in state.items()}
    load_strictly(network, bare, checkpoint.name)
    return Chexbert(network, load_tokenizer(tokenizer_folder), device)


def semb_scores(
    references: NDArray[np.float32], predictions: NDArray[np.float32]
) -> NDArray[np.float64]:
    """(P,) cosine of each pair of vectors (P, H); 0 where either is zero (an empty text)."""
    dots = np.einsum("ph,ph->p", references, predictions, dtype=np.float64)
    lengths = np.linalg.norm(references.astype(np.float64), axis=1)
    lengths = lengths * np.linalg.norm(predictions.astype(np.float64), axis=1)
    found: NDArray[np.float64] = np.zeros_like(dots)
    np.divide(dots, lengths, out=found, where=lengths > 0)
    return found

"""Counts that need the texts alone: what one system wrote, against the references.

Shapes: N examples of ``Outputs``, n of them written by the system; rows of the others are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.clinical import LabelMatrix, confusion
from evaluation.controls import Outputs, Written
from evaluation.families import CHRF, FAMILIES, LABELS, bleu_family, rouge_family, split_codes
from evaluation.lexical import BLEU_PROFILE
from evaluation.metric_cache import MetricCache
from evaluation.parts import Parts
from evaluation.rouge import ROUGE_PROFILE, STEMMED_PROFILE
from evaluation.statistics import Floats

BLOCK_FAMILIES = (
    bleu_family(BLEU_PROFILE),
    rouge_family(ROUGE_PROFILE),
    bleu_family("coco-split-cased"),
    rouge_family(STEMMED_PROFILE),
)
"""The lexical counts of the comparability blocks (``blocks.BLOCKS``)."""


@dataclass(frozen=True)
class TextCounts:
    """``families`` by name, each (N, K); labels of the n written pairs, in the order of rows."""

    families: dict[str, Floats]
    reference_labels: LabelMatrix
    prediction_labels: LabelMatrix


def count_texts(
    outputs: Outputs,
    written: Written,
    names: Sequence[str] = BLOCK_FAMILIES,
    translated: bool = False,
    cache: MetricCache | None = None,
    parts: Parts | None = None,
) -> TextCounts:
    """Counts of the lexical families of those names and of rule14 under both policies; of
    translations also of chrF."""
    references = [outputs.references[row] for row in written.rows]
    predictions = written.predictions
    true, told = split_codes(LABELS.of(references, predictions, cache, parts=parts))
    lexical = [FAMILIES[name] for name in names] + ([CHRF] if translated else [])
    families = {
        item.name: item.of(references, predictions, cache, outputs.references, parts)
        for item in lexical
    }
    families["rule14-negative"] = confusion(true, told, "negative")
    families["rule14-positive"] = confusion(true, told, "positive")
    size = len(outputs.example_ids)
    spread = {name: _spread(counts, written, size) for name, counts in families.items()}
    return TextCounts(spread, true, told)


def _spread(counts: Floats, written: Written, size: int) -> Floats:
    """(N, K) from (n, K): every row at its example's place."""
    full = np.zeros((size, counts.shape[1]))
    full[written.rows] = counts
    return full

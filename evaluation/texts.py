"""Counts that need the texts alone: what one system wrote, against the references.

Shapes: N examples of ``Outputs``, n of them written by the system; rows of the others are zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.chrf import chrf_counts
from evaluation.clinical import LabelMatrix, confusion
from evaluation.controls import Outputs, Written
from evaluation.labeler import label_reports
from evaluation.lexical import bleu_counts, rouge_l
from evaluation.statistics import Floats


@dataclass(frozen=True)
class TextCounts:
    """``families`` by name, each (N, K); labels of the n written pairs, in the order of rows."""

    families: dict[str, Floats]
    reference_labels: LabelMatrix
    prediction_labels: LabelMatrix


def count_texts(outputs: Outputs, written: Written, *, translated: bool = False) -> TextCounts:
    """Counts of BLEU, ROUGE-L and rule14 under both policies; of translations also of chrF."""
    references = [outputs.references[row] for row in written.rows]
    predictions = written.predictions
    true = LabelMatrix.of(label_reports(references))
    told = LabelMatrix.of(label_reports(predictions))
    overlap = rouge_l(references, predictions)
    families = {
        "bleu": bleu_counts(references, predictions),
        "rouge": np.stack([overlap, np.ones_like(overlap)], axis=-1),
        "rule14-negative": confusion(true, told, "negative"),
        "rule14-positive": confusion(true, told, "positive"),
    }
    if translated:
        families["chrf"] = chrf_counts(references, predictions)
    size = len(outputs.example_ids)
    spread = {name: _spread(counts, written, size) for name, counts in families.items()}
    return TextCounts(spread, true, told)


def _spread(counts: Floats, written: Written, size: int) -> Floats:
    """(N, K) from (n, K): every row at its example's place."""
    full = np.zeros((size, counts.shape[1]))
    full[written.rows] = counts
    return full

"""CIDEr-D of each pair: how alike two texts are in words that are rare among the references.

Profile ``coco-split-lower``: lower case, words by white space, n-grams of 1 to 4, term frequency
times the log of references over references with the n-gram, counts clipped to the reference's, a
Gaussian penalty on the difference in length with sigma 6, mean over n times ten (evaluation_metrics
1.4). The weights come from the references that are given, so a value depends on them: with a single
reference every weight is zero, and so is the score. Shapes: N pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, log, sqrt

import numpy as np

from evaluation.statistics import Floats

CIDER_PROFILE = "coco-split-lower"
ORDERS = 4
SIGMA = 6.0
SCALE = 10.0

Grams = Counter[tuple[str, ...]]


def cider_d(references: Sequence[str], predictions: Sequence[str]) -> Floats:
    """(N,) CIDEr-D of each prediction against its reference, 0 to 10."""
    true = [_grams(text) for text in references]
    told = [_grams(text) for text in predictions]
    documents = Counter(gram for grams in true for gram in grams)
    total = log(max(len(true), 1))
    weights = {gram: total - log(number) for gram, number in documents.items()}
    pairs = zip(true, told, strict=True)
    return np.array([_pair(one, other, weights, total) for one, other in pairs], dtype=np.float64)


def _grams(text: str) -> Grams:
    words = text.lower().split()
    return Counter(
        gram
        for order in range(ORDERS)
        for gram in zip(*(words[start:] for start in range(order + 1)), strict=False)
    )


def _pair(
    reference: Grams, told: Grams, weights: dict[tuple[str, ...], float], unseen: float
) -> float:
    """``unseen`` is the weight of an n-gram that no reference has."""
    scores = []
    for order in range(1, ORDERS + 1):
        one = {g: n * weights[g] for g, n in reference.items() if len(g) == order}
        other = {g: n * weights.get(g, unseen) for g, n in told.items() if len(g) == order}
        norm = sqrt(sum(v * v for v in one.values()) * sum(v * v for v in other.values()))
        alike = sum(min(value, one[g]) * one[g] for g, value in other.items() if g in one)
        scores.append(alike / norm if norm > 0 else 0.0)
    apart = _length(told) - _length(reference)
    return SCALE * sum(scores) / ORDERS * exp(-(apart**2) / (2 * SIGMA**2))


def _length(grams: Grams) -> int:
    """Bigrams of a text: what COCO's scorer takes for its length."""
    return sum(number for gram, number in grams.items() if len(gram) == 2)

"""CIDEr of each pair: how alike two texts are in words that are rare among the references.

n-grams of 1 to 4, term frequency times the log of references over references with the n-gram, mean
over n times ten. CIDEr-D, which COCO's scorer computes under the name of CIDEr, clips counts to the
reference's and has a Gaussian penalty on the difference in length with sigma 6; ``cider`` is the
plain cosine of the first paper (evaluation_metrics 1.4). Profiles are COCO's tokenizers, such as
``coco-split-lower``. The weights come from all references of a test set
(``corpus``), so a value depends on them: with a single reference every weight is zero, and so is
the score. A system that wrote some of the examples alone, and a bootstrap that resamples values,
keep the weights of the whole test set. Shapes: N pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import exp, log, sqrt

import numpy as np

from evaluation.statistics import Floats
from evaluation.tokens import TOKENIZERS

CIDER_PROFILE = "coco-split-lower"
CIDER_PROFILES: dict[str, str] = {
    "coco-split-cased": "split",
    CIDER_PROFILE: "split-lower",
    "coco-ptb": "ptb",
}
"""The tokenizer of each profile."""
CIDER_REVISION = 2
"""Raise when a value changes: part of its signature and of cached values."""
ORDERS = 4
SIGMA = 6.0
SCALE = 10.0

Grams = Counter[tuple[str, ...]]
Weights = dict[tuple[str, ...], float]


def cider_d(
    references: Sequence[str],
    predictions: Sequence[str],
    profile: str = CIDER_PROFILE,
    corpus: Sequence[str] | None = None,
) -> Floats:
    """(N,) CIDEr-D of each prediction against its reference, 0 to 10.

    Args:
        corpus: the references that weights come from, of which ``references`` are some or all.
    """
    return _each(references, predictions, (profile, corpus), _clipped)


def cider(
    references: Sequence[str],
    predictions: Sequence[str],
    profile: str = CIDER_PROFILE,
    corpus: Sequence[str] | None = None,
) -> Floats:
    """(N,) plain CIDEr, 0 to 10: counts as they are, and no penalty on length."""
    return _each(references, predictions, (profile, corpus), _cosine)


def _each(
    references: Sequence[str],
    predictions: Sequence[str],
    asked: tuple[str, Sequence[str] | None],
    score: Callable[[Grams, Grams, Weights, float], float],
) -> Floats:
    """``asked`` is the profile and the corpus; without one the references are it."""
    profile, corpus = asked
    tokenize = TOKENIZERS[CIDER_PROFILES[profile]]
    true = [_grams(tokenize(text)) for text in references]
    told = [_grams(tokenize(text)) for text in predictions]
    every = true if corpus is None else [_grams(tokenize(text)) for text in corpus]
    documents = Counter(gram for grams in every for gram in grams)
    total = log(max(len(every), 1))
    weights = {gram: total - log(number) for gram, number in documents.items()}
    pairs = zip(true, told, strict=True)
    return np.array([score(one, other, weights, total) for one, other in pairs], dtype=np.float64)


def _grams(words: list[str]) -> Grams:
    return Counter(
        gram
        for order in range(ORDERS)
        for gram in zip(*(words[start:] for start in range(order + 1)), strict=False)
    )


def _clipped(reference: Grams, told: Grams, weights: Weights, unseen: float) -> float:
    """``unseen`` is the weight of an n-gram that no reference has."""
    apart = _length(told) - _length(reference)
    alike = _alike(reference, told, weights, unseen, clipped=True)
    return alike * exp(-(apart**2) / (2 * SIGMA**2))


def _cosine(reference: Grams, told: Grams, weights: Weights, unseen: float) -> float:
    return _alike(reference, told, weights, unseen, clipped=False)


def _alike(
    reference: Grams, told: Grams, weights: Weights, unseen: float, *, clipped: bool
) -> float:
    true_norm, told_norm, alike = [0.0] * ORDERS, [0.0] * ORDERS, [0.0] * ORDERS
    for gram, number in reference.items():
        true_norm[len(gram) - 1] += (number * weights[gram]) ** 2
    for gram, number in told.items():
        weight, order = weights.get(gram, unseen), len(gram) - 1
        told_norm[order] += (number * weight) ** 2
        known = reference.get(gram, 0)
        if known:
            met = min(number, known) if clipped else number
            alike[order] += met * known * weight * weight
    norms = (sqrt(one * other) for one, other in zip(true_norm, told_norm, strict=True))
    shares = (met / norm if norm > 0 else 0.0 for met, norm in zip(alike, norms, strict=True))
    return SCALE * sum(shares) / ORDERS


def _length(grams: Grams) -> int:
    """Bigrams of a text: what COCO's scorer takes for its length."""
    return sum(number for gram, number in grams.items() if len(gram) == 2)

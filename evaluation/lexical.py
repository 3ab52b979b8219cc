"""BLEU under named profiles, from counts per report that a bootstrap can resample.

A profile is a tokenizer and an arithmetic. ``sacrebleu-…`` is sacrebleu's corpus BLEU with
exponential smoothing, 0-100; ``coco-…`` and ``r2gen`` are COCO's BleuScorer with its tiny and small
constants, 0-1; both are functions of summed counts and read the closest reference's length.
``rexrank-bleu2`` is ReXrank's mean of sentence BLEU-2 as fast_bleu counts it
(all evaluation_metrics 1.1). They are computed here and tested against gold cases, because neither
package gives counts per report. An empty prediction adds no n-gram, but its reference's length, so
it costs brevity. A reference may be several texts: the best match and the closest length count.
Shapes: N reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.statistics import Floats
from evaluation.tokens import TOKENIZERS, rexrank

Reference = str | Sequence[str]
"""One text, or several of equal standing."""

BLEU_PROFILE = "sacrebleu-13a-cased"
"""LLaVA-Rad's."""
LARGEST_ORDER = 4
BLEU_REVISION = 2
"""Raise when the counts of a profile change: part of its signature and of cached counts."""
_MATCHED = slice(2, 2 + LARGEST_ORDER)
_TOLD = slice(2 + LARGEST_ORDER, 2 + 2 * LARGEST_ORDER)


@dataclass(frozen=True)
class BleuProfile:
    """How texts are cut, and whose arithmetic makes a score of the counts."""

    tokenizer: str
    arithmetic: Literal["sacrebleu", "coco"]


BLEU_PROFILES: dict[str, BleuProfile] = {
    BLEU_PROFILE: BleuProfile("13a", "sacrebleu"),
    "sacrebleu-13a-lower": BleuProfile("13a-lower", "sacrebleu"),
    "sacrebleu-intl-cased": BleuProfile("intl", "sacrebleu"),
    "sacrebleu-none-cased": BleuProfile("none", "sacrebleu"),
    "coco-split-cased": BleuProfile("split", "coco"),
    "coco-split-lower": BleuProfile("split-lower", "coco"),
    "coco-ptb": BleuProfile("ptb", "coco"),
    "r2gen": BleuProfile("r2gen", "coco"),
}


def bleu_counts(
    references: Sequence[Reference], predictions: Sequence[str], profile: str = BLEU_PROFILE
) -> Floats:
    """(N, 10) per report: tokens of the prediction and of the reference, then per order 1-4 the
    n-grams that match (clipped), then those that the prediction has."""
    tokenize = TOKENIZERS[BLEU_PROFILES[profile].tokenizer]
    rows = [
        _pair_counts([tokenize(text) for text in _texts(reference)], tokenize(told))
        for reference, told in zip(references, predictions, strict=True)
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 2 + 2 * LARGEST_ORDER)


def _texts(reference: Reference) -> Sequence[str]:
    return [reference] if isinstance(reference, str) else reference


def _pair_counts(references: list[list[str]], told: list[str]) -> list[int]:
    """The closest length is, of two equally close, the shorter (both packages)."""
    length = min((len(words) for words in references), key=lambda n: (abs(n - len(told)), n))
    matched, total = [], []
    for order in range(1, LARGEST_ORDER + 1):
        known = _ngrams(references[0], order)
        for words in references[1:]:
            known |= _ngrams(words, order)
        matched.append((_ngrams(told, order) & known).total())
        total.append(max(len(told) - order + 1, 0))
    return [len(told), length, *matched, *total]


def _ngrams(tokens: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def corpus_bleu(
    sums: Floats, order: int = LARGEST_ORDER, *, effective_order: bool = False
) -> Floats:
    """Corpus BLEU in 0-100 from summed counts (..., 10); sacrebleu's arithmetic, exp smoothing.

    An order without any n-gram (all predictions shorter) makes it zero, as does no match at all.
    With ``effective_order`` such orders are left out instead: sacrebleu's sentence BLEU.
    """
    matched = sums[..., _MATCHED][..., :order]
    total = sums[..., _TOLD][..., :order]
    used = total > 0
    scored = (matched > 0).any(axis=-1)
    if not effective_order:
        scored &= used.all(axis=-1)
    halvings = np.cumsum(matched == 0, axis=-1)
    shown = np.where(matched > 0, matched, 0.5**halvings)
    precision = np.divide(shown, total, out=np.ones_like(shown), where=used)
    told, reference = sums[..., 0], sums[..., 1]
    length_ratio = np.divide(reference, told, out=np.zeros_like(told), where=told > 0)
    brevity = np.exp(np.minimum(1.0 - length_ratio, 0.0))
    orders = np.maximum(used.sum(axis=-1), 1) if effective_order else order
    score = 100.0 * brevity * np.exp(np.log(precision).sum(axis=-1) / orders)
    return np.where(scored, score, 0.0)


_TINY, _SMALL = 1e-15, 1e-9
"""COCO's BleuScorer adds them to keep its divisions defined (evaluation_metrics 1.1)."""


def coco_bleu(sums: Floats, order: int = LARGEST_ORDER) -> Floats:
    """Corpus BLEU in 0-1 from summed counts (..., 10), by COCO's arithmetic.

    A perfect match stays a little under one, no match at all a little over zero.
    """
    matched = sums[..., _MATCHED][..., :order]
    total = sums[..., _TOLD][..., :order]
    score = np.prod((matched + _TINY) / (total + _SMALL), axis=-1) ** (1.0 / order)
    ratio = (sums[..., 0] + _TINY) / (sums[..., 1] + _SMALL)
    return np.asarray(score * np.exp(np.minimum(1.0 - 1.0 / ratio, 0.0)))


ARITHMETIC: dict[str, Callable[..., Floats]] = {"sacrebleu": corpus_bleu, "coco": coco_bleu}
"""By a profile's arithmetic: from sums (..., 10) and ``order`` to scores (...)."""

REXRANK_PROFILE = "rexrank-bleu2"
_FAST_BLEU_SMOOTHING = 0.1
"""fast_bleu's first smoothing: what an order without a match counts as."""


def rexrank_bleu2(references: Sequence[str], predictions: Sequence[str]) -> Floats:
    """(N,) sentence BLEU-2 of each report, 0-1: the mean over reports is ReXrank's BLEU-2.

    As in fast_bleu a text without one matching word scores zero, and a missing order of n-grams
    counts as one that did not match.
    """
    pairs = zip(references, predictions, strict=True)
    counts = [_pair_counts([rexrank(reference)], rexrank(told)) for reference, told in pairs]
    rows = np.array(counts, dtype=np.float64).reshape(-1, 2 + 2 * LARGEST_ORDER)
    matched, total = rows[:, _MATCHED][:, :2], np.maximum(rows[:, _TOLD][:, :2], 1.0)
    shown = np.where(matched > 0, matched, _FAST_BLEU_SMOOTHING)
    told = np.maximum(rows[:, 0], 1.0)
    brevity = np.exp(np.minimum(1.0 - rows[:, 1] / told, 0.0))
    score = brevity * np.sqrt((shown / total).prod(axis=-1))
    return np.where(matched[:, 0] > 0, score, 0.0)

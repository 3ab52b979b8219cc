"""BLEU and ROUGE-L in LLaVA-Rad's profile, from counts per report that a bootstrap can resample.

Profiles: ``sacrebleu-13a-cased`` is sacrebleu's corpus BLEU, tokenizer 13a, case kept, exponential
smoothing, 0-100; ``rouge-score-nostem`` is the mean F1 of rouge-score's rougeL without a stemmer,
0-1 (both evaluation_metrics 1.1, 1.2 and 1.14). Both are computed here and tested to equal their
packages: sacrebleu does not give counts per report, and rouge-score loads all of nltk. An empty
prediction adds no n-gram, but its reference's length, so it costs brevity; its ROUGE-L is zero.
Shapes: N reports.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from evaluation.statistics import Floats

BLEU_PROFILE = "sacrebleu-13a-cased"
ROUGE_PROFILE = "rouge-score-nostem"
LARGEST_ORDER = 4
ROUGE_REVISION = 1
"""Raise when ROUGE-L's value changes; part of its signature."""
_WORDS = re.compile(r"[a-z0-9]+")
_MATCHED = slice(2, 2 + LARGEST_ORDER)
_TOLD = slice(2 + LARGEST_ORDER, 2 + 2 * LARGEST_ORDER)


def bleu_counts(references: Sequence[str], predictions: Sequence[str]) -> Floats:
    """(N, 10) per report: tokens of the prediction and of the reference, then per order 1-4 the
    n-grams that match (clipped), then those that the prediction has."""
    tokenize = BLEU(tokenize="13a").tokenizer
    rows = [
        _pair_counts(tokenize(reference.rstrip()).split(), tokenize(told.rstrip()).split())
        for reference, told in zip(references, predictions, strict=True)
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 2 + 2 * LARGEST_ORDER)


def _pair_counts(reference: list[str], told: list[str]) -> list[int]:
    matched, total = [], []
    for order in range(1, LARGEST_ORDER + 1):
        grams = _ngrams(told, order)
        known = _ngrams(reference, order)
        matched.append(sum(min(count, known[gram]) for gram, count in grams.items()))
        total.append(max(len(told) - order + 1, 0))
    return [len(told), len(reference), *matched, *total]


def _ngrams(tokens: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def corpus_bleu(sums: Floats, order: int = LARGEST_ORDER) -> Floats:
    """Corpus BLEU in 0-100 from summed counts (..., 10); sacrebleu's arithmetic, exp smoothing.

    An order without any n-gram (all predictions shorter) makes it zero, as does no match at all.
    """
    matched = sums[..., _MATCHED][..., :order]
    total = sums[..., _TOLD][..., :order]
    scored = (total > 0).all(axis=-1) & (matched > 0).any(axis=-1)
    halvings = np.cumsum(matched == 0, axis=-1)
    shown = np.where(matched > 0, matched, 0.5**halvings)
    precision = np.divide(shown, total, out=np.ones_like(shown), where=total > 0)
    told, reference = sums[..., 0], sums[..., 1]
    length_ratio = np.divide(reference, told, out=np.zeros_like(told), where=told > 0)
    brevity = np.exp(np.minimum(1.0 - length_ratio, 0.0))
    score = 100.0 * brevity * np.exp(np.log(precision).mean(axis=-1))
    return np.where(scored, score, 0.0)


def rouge_l(references: Sequence[str], predictions: Sequence[str]) -> Floats:
    """(N,) ROUGE-L F1 of each report, 0-1: lower case, runs of a-z and 0-9 are words."""
    pairs = zip(references, predictions, strict=True)
    scores = [_rouge_pair(_WORDS.findall(r.lower()), _WORDS.findall(p.lower())) for r, p in pairs]
    return np.array(scores, dtype=np.float64)


def _rouge_pair(reference: list[str], told: list[str]) -> float:
    common = _common_subsequence(reference, told)
    if not common:
        return 0.0
    precision, recall = common / len(told), common / len(reference)
    return 2 * precision * recall / (precision + recall)


def _common_subsequence(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence: each bit is a word of ``one``, and a bit falls to
    zero where the subsequence grows (Hyyrö's bit-parallel recurrence)."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    everything = bits = (1 << len(one)) - 1
    for word in other:
        met = bits & places.get(word, 0)
        bits = ((bits + met) | (bits - met)) & everything
    return len(one) - bits.bit_count()

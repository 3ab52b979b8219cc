"""chrF of a corpus from counts per report: how alike texts are in runs of 1 to 6 characters.

Profile ``sacrebleu-chrF2``: white space left out, case kept, recall weighs twice (beta 2),
precision and recall averaged over the orders that both texts have, 0 to 100. Computed here, because
an interval needs counts per report, and tested to equal sacrebleu's. For translations, whose sense
survives in other endings and articles. Shapes: N reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from evaluation.statistics import Floats

CHRF_PROFILE = "sacrebleu-chrF2"
CHRF_REVISION = 1
"""Raise when the value changes; part of its signature."""
ORDERS = 6
_BETA_SQUARED = 4.0


def chrf_counts(references: Sequence[str], predictions: Sequence[str]) -> Floats:
    """(N, 18) per report: for orders 1-6 the n-grams of the prediction, of the reference, in both.

    As in sacrebleu, a prediction's n-grams count only where its reference has any of that order.
    """
    rows = [
        [count for order in range(1, ORDERS + 1) for count in _pair_counts(reference, told, order)]
        for reference, told in zip(
            map(_squeezed, references), map(_squeezed, predictions), strict=True
        )
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 3 * ORDERS)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _pair_counts(reference: str, told: str, order: int) -> tuple[int, int, int]:
    true, own = _grams(reference, order), _grams(told, order)
    return (own.total() if true else 0), true.total(), (true & own).total()


def _grams(text: str, order: int) -> Counter[str]:
    return Counter(text[start : start + order] for start in range(len(text) - order + 1))


def corpus_chrf(sums: Floats) -> Floats:
    """chrF2 in 0-100 from summed counts (..., 18)."""
    told, true, both = np.moveaxis(sums.reshape(*sums.shape[:-1], ORDERS, 3), -1, 0)
    usable = (told > 0) & (true > 0)
    number = usable.sum(axis=-1)
    precision, recall = (
        _divide(np.where(usable, _divide(both, whole), 0.0).sum(axis=-1), number)
        for whole in (told, true)
    )
    weighted = _BETA_SQUARED * precision + recall
    return 100.0 * _divide((1.0 + _BETA_SQUARED) * precision * recall, weighted)


def _divide(upper: Floats, lower: Floats) -> Floats:
    """Zero where ``lower`` is."""
    share = np.zeros(np.shape(upper))
    np.divide(upper, lower, out=share, where=np.asarray(lower) > 0)
    return share

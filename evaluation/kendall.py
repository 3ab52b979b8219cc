"""Kendall's tau-b, for one sample or for all resamples of a bootstrap at once.

tau-b counts pairs of items that two scores rank alike, less those that they rank the other way
round, over the geometric mean of the pairs that each does not tie (the variant of scipy's
``kendalltau`` and of ReXVal, evaluation_metrics 3.3). A resample weighs items by how often it drew
them: two copies of one item are tied in both scores, so weights give what repeated items would.
Shapes: N items, B resamples.
"""

from __future__ import annotations

import numpy as np

from evaluation.statistics import Floats

_CELLS_AT_ONCE = 1 << 21
"""Cells of the N x N comparison that are held at once, 16 MB each: our choice."""


def tau_b(one: Floats, other: Floats, weights: Floats | None = None) -> Floats:
    """tau-b of two scores (N,), for each row of ``weights`` (B, N): (B,); by default (1,).

    nan where a score has no two different values among the items with weight.
    """
    assert np.isfinite(one).all()
    assert np.isfinite(other).all()
    if weights is None:
        weights = np.ones((1, len(one)))
    alike, first, second = (np.zeros(len(weights)) for _ in range(3))
    rows = max(1, _CELLS_AT_ONCE // max(len(one), 1))
    for start in range(0, len(one), rows):
        block = slice(start, start + rows)
        a = np.sign(one[block, None] - one[None, :])
        b = np.sign(other[block, None] - other[None, :])
        own = weights[:, block]
        alike += np.einsum("bn,bn->b", own @ (a * b), weights)
        first += np.einsum("bn,bn->b", own @ np.abs(a), weights)
        second += np.einsum("bn,bn->b", own @ np.abs(b), weights)
    untied = np.sqrt(first) * np.sqrt(second)
    tau = np.full(len(weights), np.nan)
    np.divide(alike, untied, out=tau, where=untied > 0)
    return tau

"""The kernel distance between two sets of features (KID): unbiased, whatever their number.

The squared maximum mean discrepancy under a cubic kernel, over subsets. Unlike the Fréchet distance
it takes nothing for a Gaussian and does not shrink with more films; it may come out below 0.
Shapes: N and M features of width W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from evaluation.statistics import Floats
from infra.errors import InputError

VERSION: Final = "1"
DEGREE: Final = 3
"""Of the polynomial ``(x . y / W + 1)^3``: KID's own kernel (Bińkowski et al., 2018)."""
SUBSETS: Final = 100
"""Draws of a subset (evaluation_metrics 5)."""
SUBSET_SIZE: Final = 1000
"""Features of a subset at most (KID's own); fewer where a set holds fewer."""
FEWEST: Final = 2


@dataclass(frozen=True)
class KernelDistance:
    """The mean over subsets.

    ``deviation`` is that of the subsets, which other programs print beside the mean;
    ``standard_error`` is that of the mean over subsets: how well these two sets are measured, not
    how far other films would differ. Where a subset is a whole set there is one value, and both are
    None.
    """

    value: float
    deviation: float | None
    standard_error: float | None
    subsets: int
    size: int


def polynomial_kernel(one: Floats, other: Floats) -> Floats:
    """(N, M) from features (N, W) and (M, W)."""
    return np.asarray((one @ other.T / one.shape[1] + 1.0) ** DEGREE)


def squared_discrepancy(one: Floats, other: Floats) -> float:
    """The unbiased estimate: a feature is never held against itself.

    Raises:
        InputError: a set has fewer than two, or the widths differ.
    """
    _require_sets(one, other)
    within = sum(_mean_apart(polynomial_kernel(each, each)) for each in (one, other))
    return within - 2.0 * float(polynomial_kernel(one, other).mean())


def kernel_distance(
    one: Floats, other: Floats, seed: int, subsets: int = SUBSETS, size: int = SUBSET_SIZE
) -> KernelDistance:
    """The mean of ``squared_discrepancy`` over random subsets of equal size, each without repeats.

    Raises:
        InputError: a set has fewer than two, or the widths differ.
    """
    one, other = (np.asarray(each, dtype=np.float64) for each in (one, other))
    _require_sets(one, other)
    size = min(size, len(one), len(other))
    if size == len(one) == len(other):
        return KernelDistance(squared_discrepancy(one, other), None, None, 1, size)
    random = np.random.default_rng(seed)
    found = np.array(
        [
            squared_discrepancy(
                *(each[random.choice(len(each), size, replace=False)] for each in (one, other))
            )
            for _ in range(subsets)
        ]
    )
    spread = float(found.std(ddof=1)) if subsets > 1 else None
    error = None if spread is None else spread / float(np.sqrt(subsets))
    return KernelDistance(float(found.mean()), spread, error, subsets, size)


def _mean_apart(square: Floats) -> float:
    """Mean of (N, N) without its diagonal."""
    count = len(square)
    return float((square.sum() - np.trace(square)) / (count * (count - 1)))


def _require_sets(one: Floats, other: Floats) -> None:
    if one.shape[1:] != other.shape[1:]:
        widths = f"{one.shape[1:]} and {other.shape[1:]}"
        raise InputError(f"features of widths {widths}", "one width", "take one extractor")
    fewest = min(len(one), len(other))
    if fewest < FEWEST:
        raise InputError(f"{fewest} features", "two at least", "take more images")

"""The Fréchet distance between two sets of features, each taken for a Gaussian (as FID takes them).

Shapes: N features of width W.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvalsh, sqrtm

from evaluation.statistics import Floats
from infra.errors import InputError

FEWEST = 2  # a covariance needs two


@dataclass(frozen=True)
class Gaussian:
    """Mean [W] and covariance [W, W]."""

    mean: Floats
    covariance: Floats

    @classmethod
    def of(cls, features: Floats) -> Gaussian:
        """Of features [N, W]; the covariance is the unbiased one, as in FID's own code.

        Raises:
            InputError: there are fewer than two.
        """
        if len(features) < FEWEST:
            raise InputError(f"{len(features)} features", "two at least", "take more images")
        wide = np.asarray(features, dtype=np.float64)
        return cls(wide.mean(axis=0), np.atleast_2d(np.cov(wide, rowvar=False)))


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """Squared 2-Wasserstein distance: ``|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½)``; never below 0.

    The trace of the root is the sum of the roots of the eigenvalues of ``C1^½ C2 C1^½``, which is
    symmetric: with fewer features than width ``C1 C2`` is singular, and its own root inexact.
    """
    root = np.real(sqrtm(one.covariance)) if one.covariance.any() else one.covariance
    inner = root @ other.covariance @ root
    roots = np.sqrt(np.clip(eigvalsh((inner + inner.T) / 2), 0.0, None)).sum()
    apart = one.mean - other.mean
    traces = np.trace(one.covariance) + np.trace(other.covariance)
    return max(0.0, float(apart @ apart + traces - 2.0 * roots))

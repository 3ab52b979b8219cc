"""Windows drawn by chance: subjects with several like studies, and shifts that are planted.

Numbers alone, so that hundreds of looks take seconds. A subject's studies share an offset that
carries ``LIKENESS`` of the variance, as films of one person do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy.special import ndtri

from evaluation.drift import Quantity, Window

LIKENESS: Final = 0.7
PREVALENCES: Final = (0.1, 0.2, 0.4)
VALUES: Final = ("film mean", "film contrast", "reference length", "unknown words")
F1: Final = 0.55
"""Of the invented model: of ten observations in a reference and as many told."""
ASSERTED: Final = 3
"""Observations that a report asserts on average."""


def window(
    rng: np.random.Generator,
    subjects: int,
    shift: Mapping[str, float] | None = None,
    first: int = 0,
    most_studies: int = 4,
) -> Window:
    """One source's window.

    Args:
        shift: by quantity what is added: to a share its points, to ``film mean`` a share of its
            mean, to ``reference length`` likewise, to ``score`` points of F1.
    """
    added = shift or {}
    studies = rng.integers(1, most_studies + 1, subjects)
    owner = np.repeat(np.arange(subjects), studies)
    count = len(owner)
    found = {}
    for name in VALUES:
        noise = _alike(rng, owner, subjects)
        grown = added.get(name, 0.0)
        values = {
            "film mean": (128 + 16 * noise) * (1 + grown),
            "reference length": np.exp(3.6 + 0.45 * noise) * (1 + grown),
        }.get(name, noise + grown)
        found[name] = Quantity(name, "value", np.asarray(values))
    for share in PREVALENCES:
        name = f"label {share}"
        chance = share + added.get(name, 0.0)
        cut = float(ndtri(1 - chance))
        found[name] = Quantity(
            name, "share", (_alike(rng, owner, subjects) > cut).astype(np.float64)
        )
    found["score"] = Quantity("score", "score", _residuals(rng, owner, added.get("score", 0.0)))
    return Window(
        "own",
        tuple(f"p{first + one}" for one in owner),
        tuple(f"e{first}-{place}" for place in range(count)),
        found,
    )


def _alike(rng: np.random.Generator, owner: np.ndarray, subjects: int) -> np.ndarray:
    """Normal numbers of variance one, alike within a subject; (N,)."""
    shared = rng.standard_normal(subjects)[owner]
    return np.sqrt(LIKENESS) * shared + np.sqrt(1 - LIKENESS) * rng.standard_normal(len(owner))


def _residuals(rng: np.random.Generator, owner: np.ndarray, worse: float) -> np.ndarray:
    """What ``drift_features.residuals`` gives of a model of that F1: with as many told as asserted,
    F1 is the share of them that is right."""
    asserted = 1 + rng.poisson(ASSERTED - 1, len(owner))
    right = rng.binomial(asserted, F1 + worse)
    return np.asarray(2 * right - F1 * 2 * asserted, dtype=np.float64)

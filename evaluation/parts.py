"""Counts of many pairs by workers, in parts: a pair's counts depend on nothing but its two texts.

Parts are joined in their order, so that who counted what makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from evaluation.statistics import Floats

PAIRS_AT_ONCE = 500
"""Our choice: a second of work for most families, against some milliseconds to send the texts."""


@dataclass(frozen=True)
class Parts:
    """Workers for counts; fewer than two parts are counted here."""

    executor: Executor
    pairs: int = PAIRS_AT_ONCE

    def count(self, family: str, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """(n, width) counts of n pairs by the family of that name."""
        starts = range(0, len(references), self.pairs)
        if len(starts) < 2:
            return count_part(family, references, predictions)
        slices = [slice(start, start + self.pairs) for start in starts]
        futures = [
            self.executor.submit(count_part, family, references[part], predictions[part])
            for part in slices
        ]
        return np.concatenate([future.result() for future in futures])


def count_part(family: str, references: Sequence[str], predictions: Sequence[str]) -> Floats:
    """(n, width) counts of n pairs, in whichever process."""
    from evaluation.families import known_family  # it imports this module

    return known_family(family).count(references, predictions)

"""How alike the films of one prompt are: MS-SSIM over pairs, beside that of real films.

A model that draws the same film for every prompt may look good one by one; the mean similarity of
pairs tells. Low is diverse; what real films of one finding have is what to aim at, not 0.
Shapes: G groups (prompts or findings), H, W a film's size in px.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from evaluation.ssim import Film, multi_scale_ssim, scales_of
from evaluation.statistics import Floats, Interval, make_bootstrap, mean_of, score_interval
from infra.errors import InputError

MOST_PAIRS: Final = 6
"""Of a group: four films make six pairs, as in RoentGen's evaluation (medxchat 2.2); of larger
groups as many are drawn."""
RESAMPLES: Final = 500


@dataclass(frozen=True)
class Diversity:
    """Mean similarity over groups of the mean over a group's pairs; the interval draws groups.

    ``scales`` is how many of MS-SSIM's five the films have room for.
    """

    similarity: Interval
    groups: int
    pairs: int
    scales: int
    by_group: Mapping[str, float]


def diversity(
    films: Mapping[str, Sequence[Film]],
    seed: int,
    most_pairs: int = MOST_PAIRS,
    resamples: int = RESAMPLES,
) -> Diversity:
    """Of groups of films by name; a group of fewer than two has no pair and takes no part.

    Raises:
        InputError: no group has a pair, or films differ in size.
    """
    pairs = {
        name: _pairs(len(group), most_pairs, [seed, place])
        for place, (name, group) in enumerate(sorted(films.items()))
        if len(group) > 1
    }
    if not pairs:
        raise InputError(
            f"{len(films)} groups without two films", "a prompt drawn twice", "draw more samples"
        )
    similarities = {
        name: float(np.mean([multi_scale_ssim(films[name][a], films[name][b]) for a, b in own]))
        for name, own in pairs.items()
    }
    shape = films[next(iter(pairs))][0].shape
    return Diversity(
        _mean(list(similarities), np.array(list(similarities.values())), resamples, seed),
        len(pairs),
        sum(len(own) for own in pairs.values()),
        scales_of(*shape),
        similarities,
    )


def _mean(names: Sequence[str], values: Floats, resamples: int, seed: int) -> Interval:
    counts = np.stack([values, np.ones_like(values)], axis=1)
    return score_interval(make_bootstrap(names, resamples, seed), mean_of, counts)


def _pairs(count: int, most: int, seed: Sequence[int]) -> list[tuple[int, int]]:
    """All pairs of ``count`` films, or as many as are wanted of them, drawn without repeats."""
    every = list(combinations(range(count), 2))
    if len(every) <= most:
        return every
    drawn = np.random.default_rng(seed).choice(len(every), most, replace=False)
    return [every[place] for place in sorted(drawn)]

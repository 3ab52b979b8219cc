"""The Fréchet distance of generated films between two ends that anybody can see.

A Fréchet distance alone says little: it hangs on the extractor by factors of ten to a hundred, and
falls with the number of films. So it is told on a scale: 0 is what real training films are away
from real test films, 1 what the untrained model is away from them. All three distances are to the
same test films, from as many films each. Shapes: N features of width W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from evaluation.frechet import Gaussian, frechet_distance
from evaluation.statistics import Floats, Interval, interval_of
from infra.errors import InputError

VERSION: Final = "1"
RESAMPLES: Final = 200
"""Our choice: a draw takes three roots of a W by W matrix."""


@dataclass(frozen=True)
class FilmSets:
    """Features (N, W) of four sets of films; N may differ."""

    test: Floats
    train: Floats
    untrained: Floats
    generated: Floats

    def of_one_size(self, random: np.random.Generator) -> FilmSets:
        """As many of each set as the smallest has, drawn without repeats."""
        count = min(len(each) for each in self.sets)
        drawn = (
            each if len(each) == count else each[random.choice(len(each), count, replace=False)]
            for each in self.sets
        )
        return FilmSets(*drawn)

    def resampled(self, random: np.random.Generator) -> FilmSets:
        """Each set drawn anew with repeats, as many as there are."""
        return FilmSets(*(each[random.integers(0, len(each), len(each))] for each in self.sets))

    @property
    def sets(self) -> tuple[Floats, ...]:
        return self.test, self.train, self.untrained, self.generated


@dataclass(frozen=True)
class FrechetScale:
    """The three distances to real test films, and where on the scale the generated films lie.

    ``relative`` is 0 at ``real`` and 1 at ``untrained``; its interval draws films of all sets.
    """

    generated: float
    real: float
    untrained: float
    relative: Interval
    films: int


def frechet_scale(sets: FilmSets, seed: int, resamples: int = RESAMPLES) -> FrechetScale:
    """The generated films' place between real ones and the untrained model's.

    A resample of N films lies further from another set than the N films do, by about the same for
    real, untrained and generated ones; on the scale it cancels, so the interval is told there
    alone.

    Raises:
        InputError: a set is too small, or the untrained model is no further than real films.
    """
    random = np.random.default_rng(seed)
    equal = sets.of_one_size(random)
    real, untrained, generated = _distances(equal)
    if untrained <= real:
        raise InputError(
            f"an untrained model at a Fréchet distance of {untrained:.4g}, real training films at "
            f"{real:.4g}",
            "the untrained model further from real test films",
            "take features that tell noise from films",
        )
    drawn = np.array([_place(*_distances(equal.resampled(random))) for _ in range(resamples)])
    relative = interval_of(np.float64(_place(real, untrained, generated)), drawn)
    return FrechetScale(generated, real, untrained, relative, len(equal.test))


def _distances(sets: FilmSets) -> tuple[float, float, float]:
    """Of real, untrained and generated films from the test films."""
    test = Gaussian.of(sets.test)
    real, untrained, generated = (
        frechet_distance(Gaussian.of(each), test)
        for each in (sets.train, sets.untrained, sets.generated)
    )
    return real, untrained, generated


def _place(real: float, untrained: float, generated: float) -> float:
    return (generated - real) / (untrained - real) if untrained > real else float("nan")

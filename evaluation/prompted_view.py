"""Is a drawn film of the view that it was asked for in, as a probe of real films reads it?

The probe is a multinomial logistic regression of scikit-learn on the features that the finding
classifier reads films by, standardized; it is fitted on real training films, whose views are known,
each view counting as much as another. Beside the share of drawn films that it reads as asked stands
the same of real test films, which is the most that can be reached.
Shapes: N films, W width of features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from evaluation.prompted_findings import Beside
from evaluation.statistics import (
    Floats,
    Interval,
    difference_interval,
    make_bootstrap,
    mean_of,
    score_interval,
)
from evaluation.turned import turned_rows
from evaluation.zero_shot import LEAST_SUPPORT
from infra.errors import InputError
from sources.drawing import VIEW_SENTENCES

VERSION: Final = "1"
LEAST_FILMS: Final = 10
"""Training films of a view that a probe needs. Our choice: features are some tens wide."""


@dataclass(frozen=True)
class FilmViews:
    """N films: their features (N, W), the view of each (its prompt's, if it was drawn) and what the
    bootstrap draws."""

    features: Floats
    views: tuple[str, ...]
    units: tuple[str, ...]


@dataclass(frozen=True)
class ViewProbe:
    """What tells views apart: a fitted pipeline of scikit-learn.

    Args:
        films: real training films that it was fitted on.
    """

    views: tuple[str, ...]
    films: int
    fitted: Any

    def counts(self, of: FilmViews, *views: str) -> Floats:
        """(N, 2): by film whether it is read as asked, and whether it was asked for in one of its
        views; in these alone, if any are named."""
        asked = np.isin(of.views, views or self.views)
        right = asked & (self.fitted.predict(of.features) == np.asarray(of.views))
        return np.stack([right, asked], axis=1).astype(np.float64)


@dataclass(frozen=True)
class ViewShare(Beside):
    """The share of one view's films that are read as of it."""

    view: str
    films: int


@dataclass(frozen=True)
class ViewScore(Beside):
    """Of all drawn films that the probe can judge, and by view."""

    films: int
    by_view: tuple[ViewShare, ...]


def fit_probe(train: FilmViews, asked: FilmViews) -> tuple[ViewProbe, dict[str, str]]:
    """The probe, and by view that prompts ask for but it cannot judge the reason.

    Raises:
        InputError: fewer than two views are left.
    """
    reasons = {
        view: why
        for view in VIEW_SENTENCES
        if view in asked.views and (why := _too_few(view, train, asked)) is not None
    }
    views = tuple(view for view in VIEW_SENTENCES if view in asked.views and view not in reasons)
    if len(views) < 2:
        told = [f"of {' and '.join(views) or 'no'} films alone", *reasons.values()]
        raise InputError(
            f"prompts {', '.join(told)}",
            "two views at least, with enough films of each to tell them apart",
            "score a set that has them",
        )
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = np.isin(train.views, views)
    regression = LogisticRegression(class_weight="balanced", max_iter=5000)
    fitted = make_pipeline(StandardScaler(), regression)
    fitted.fit(train.features[known], np.asarray(train.views)[known])
    return ViewProbe(views, int(known.sum()), fitted), reasons


def _too_few(view: str, train: FilmViews, asked: FilmViews) -> str | None:
    """Why a view cannot be judged."""
    films = Counter(train.views)[view]
    people = len({unit for unit, own in zip(asked.units, asked.views, strict=True) if own == view})
    if films < LEAST_FILMS:
        return f"{films} training films of view {view}, fewer than {LEAST_FILMS}"
    if people < LEAST_SUPPORT:
        return f"prompts for view {view} of {people} subjects, fewer than {LEAST_SUPPORT}"
    return None


def shuffled_views(films: FilmViews) -> FilmViews:
    """The same films held to the view that another unit's prompt asks for."""
    return replace(films, views=tuple(films.views[row] for row in turned_rows(films.units)))


def score_views(
    probe: ViewProbe, drawn: FilmViews, real: FilmViews, resamples: int, seed: int
) -> ViewScore:
    """Shares of films that are read as of the view that was asked for."""
    draws = [(each, make_bootstrap(each.units, resamples, seed)) for each in (drawn, real)]

    def of(*views: str) -> tuple[Interval, Interval]:
        own, other = (
            score_interval(bootstrap, mean_of, probe.counts(each, *views))
            for each, bootstrap in draws
        )
        return own, other

    by_view = [ViewShare(*of(view), view, drawn.views.count(view)) for view in probe.views]
    return ViewScore(*of(), sum(each.films for each in by_view), tuple(by_view))


def views_apart(
    probe: ViewProbe, one: FilmViews, other: FilmViews, resamples: int, seed: int
) -> Interval:
    """The share of ``one`` less that of ``other``, whose films are of the same prompts in the same
    order: every draw takes the same of both."""
    bootstrap = make_bootstrap(one.units, resamples, seed)
    counts: Sequence[Floats] = [probe.counts(each) for each in (one, other)]
    return difference_interval(bootstrap, mean_of, *counts)

"""The scale of Fréchet distances: its two ends, what lies between, and equal numbers of films."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.frechet import Gaussian, frechet_distance
from evaluation.frechet_scale import FilmSets, frechet_scale
from evaluation.statistics import Floats
from infra.errors import InputError


def films(seed: int, shift: float, count: int = 200) -> Floats:
    return np.random.default_rng(seed).normal(shift, 1.0, (count, 4))


def sets(generated: Floats, **others: Floats) -> FilmSets:
    held = {"test": films(1, 0.0), "train": films(2, 0.0), "untrained": films(3, 4.0)}
    return FilmSets(**{**held, **others}, generated=generated)


def test_real_films_are_at_zero_and_the_untrained_model_at_one() -> None:
    assert frechet_scale(sets(films(2, 0.0)), 0, 20).relative.value == pytest.approx(0.0)
    assert frechet_scale(sets(films(3, 4.0)), 0, 20).relative.value == pytest.approx(1.0)


def test_between_them_it_is_a_plain_share() -> None:
    found = frechet_scale(sets(films(4, 2.0)), seed=0, resamples=40)
    test = Gaussian.of(films(1, 0.0))
    real, untrained, drawn = (
        frechet_distance(Gaussian.of(each), test)
        for each in (films(2, 0.0), films(3, 4.0), films(4, 2.0))
    )
    assert (found.real, found.untrained, found.generated) == (real, untrained, drawn)
    assert found.relative.value == pytest.approx((drawn - real) / (untrained - real))
    assert found.relative.value == pytest.approx(0.25, abs=0.06), "a squared distance: (2 / 4)²"
    assert found.relative.low is not None
    assert found.relative.high is not None
    assert found.relative.low < found.relative.value < found.relative.high


def test_the_interval_holds_what_many_films_show() -> None:
    """On the scale, a resample's greater distance cancels: the interval lies about the value, and
    holds what ten times as many films give in most of a dozen trials."""
    truth = frechet_scale(
        sets(
            films(14, 1.0, 2000),
            test=films(11, 0.0, 2000),
            train=films(12, 0.0, 2000),
            untrained=films(13, 4.0, 2000),
        ),
        seed=0,
        resamples=1,
    ).relative.value
    assert truth is not None
    held = 0
    for trial in range(12):
        drawn = FilmSets(
            films(100 + trial, 0.0), films(200 + trial, 0.0), films(300 + trial, 4.0),
            films(400 + trial, 1.0),
        )  # fmt: skip
        interval = frechet_scale(drawn, seed=trial, resamples=40).relative
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= truth <= interval.high
    assert held >= 9


def test_all_sets_are_cut_to_the_smallest() -> None:
    """A Fréchet distance falls with the number of films, so all are of as many."""
    found = frechet_scale(sets(films(4, 1.0, 50)), seed=0, resamples=5)
    assert found.films == 50
    assert found == frechet_scale(sets(films(4, 1.0, 50)), seed=0, resamples=5)
    whole = frechet_scale(sets(films(4, 1.0, 200)), seed=0, resamples=5)
    assert found.real > whole.real


def test_an_untrained_model_among_the_real_films_is_no_end_of_a_scale() -> None:
    held = films(1, 0.0)
    with pytest.raises(InputError, match="untrained model further from real test films"):
        frechet_scale(FilmSets(held, films(2, 0.5), held, films(3, 1.0)), seed=0)


def test_too_few_films() -> None:
    with pytest.raises(InputError, match="found 1 features; expected two at least"):
        frechet_scale(sets(films(4, 1.0, 1)), seed=0)

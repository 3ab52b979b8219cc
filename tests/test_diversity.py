"""Similarity of a prompt's films: pairs within groups only, means of means, and seeds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from evaluation.diversity import diversity
from evaluation.ssim import multi_scale_ssim
from infra.errors import InputError
from tests.test_ssim import Grey, film


def group(*seeds: int) -> list[Grey]:
    return [film(seed) for seed in seeds]


def test_a_mean_over_groups_of_the_mean_over_pairs() -> None:
    films = {"a": group(1, 2, 3), "b": group(4, 5), "alone": group(6)}
    found = diversity(films, seed=0, resamples=20)
    expected = {
        name: np.mean([multi_scale_ssim(x, y) for x, y in combinations(films[name], 2)])
        for name in ("a", "b")
    }
    assert found.by_group == pytest.approx(expected)
    assert found.similarity.value == pytest.approx(np.mean(list(expected.values())))
    assert (found.groups, found.pairs, found.scales) == (2, 4, 2)


def test_a_model_that_draws_one_film_for_a_prompt_is_at_one() -> None:
    same = {f"p{number}": [film(number)] * 4 for number in range(5)}
    assert diversity(same, seed=0, resamples=20).similarity.value == pytest.approx(1.0)
    varied = {f"p{number}": group(*range(4 * number, 4 * number + 4)) for number in range(5)}
    found = diversity(varied, seed=0, resamples=20).similarity
    assert found.high is not None
    assert found.high < 0.9


def test_of_many_films_six_pairs_are_drawn_by_the_seed() -> None:
    films = {"a": group(*range(9))}
    found = diversity(films, seed=1, resamples=10)
    assert found.pairs == 6
    assert found == diversity(films, seed=1, resamples=10)
    assert found.by_group != diversity(films, seed=2, resamples=10).by_group
    assert diversity(films, seed=1, most_pairs=36, resamples=10).pairs == 36


def test_no_pairs_at_all() -> None:
    with pytest.raises(InputError, match="2 groups without two films"):
        diversity({"a": group(1), "b": []}, seed=0)

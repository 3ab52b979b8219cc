"""Zero-shot classification: which sentences, AUROC by observation, and their mean."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from test_retrieval import document, unit

from evaluation.clinical import LabelMatrix
from evaluation.retrieval_page import render_retrieval
from evaluation.statistics import make_bootstrap
from evaluation.zero_shot import (
    SENTENCES,
    auroc,
    prompt_scores,
    prompts,
    score_zero_shot,
    tracked_zero_shot,
)
from sources.record import LabelValue


def test_every_observation_has_two_sentences_a_side() -> None:
    assert len(prompts()) == 4 * len(SENTENCES) == 52
    assert len(set(prompts())) >= 50  # "The lungs are clear." may serve more than once
    for stated, denied in SENTENCES.values():
        assert len(stated) == len(denied) == 2


def test_a_film_at_the_stated_side_scores_above_one_at_the_denied() -> None:
    embedded = unit(np.random.default_rng(9).normal(size=(52, 16)))
    sides = embedded.reshape(13, 2, 2, 16).mean(axis=2)
    films = unit(np.stack([sides[3, 0], sides[3, 1]]))
    scores = prompt_scores(films, embedded)
    assert scores.shape == (2, 13)
    assert scores[0, 3] > 0 > scores[1, 3]


def labels(positive: list[bool], uncertain: int = 0) -> LabelMatrix:
    rows = [{"Edema": LabelValue.POSITIVE} if each else {} for each in positive]
    return LabelMatrix.of([*rows, *[{"Edema": LabelValue.UNCERTAIN}] * uncertain])


def test_auroc_by_observation_equals_scikit_learn() -> None:
    rng = np.random.default_rng(10)
    true = rng.random(80) < 0.4
    scores = np.zeros((90, 13))
    column = list(SENTENCES).index("Edema")
    scores[:, column] = np.round(rng.normal(size=90) + 0.0, 1)
    scores[:80, column] += true * 0.7
    people = [f"p{n}" for n in range(90)]
    bootstrap = make_bootstrap(people, 100, 0)
    found, mean = score_zero_shot(scores, labels(true.tolist(), uncertain=10), people, bootstrap)
    edema = next(item for item in found if item.observation == "Edema")
    assert edema.auroc.value == pytest.approx(roc_auc_score(true, scores[:80, column]))
    assert (edema.positive, edema.negative) == (int(true.sum()), int((~true).sum()))
    assert mean.value == edema.auroc.value  # no other observation has support
    assert edema.auroc.low is not None
    assert edema.auroc.low < edema.auroc.value < (edema.auroc.high or 0)
    assert set(tracked_zero_shot(found, mean)) == {
        "zero-shot/AUROC/Edema",
        "zero-shot/AUROC/mean",
    }


def test_too_few_films_are_no_auroc() -> None:
    people = [f"p{n}" for n in range(20)]
    told, bootstrap = labels([True] * 4 + [False] * 16), make_bootstrap(people, 10, 0)
    found, mean = score_zero_shot(np.zeros((20, 13)), told, people, bootstrap)
    assert all(item.auroc.value is None for item in found)
    assert mean.value is None


def test_support_counts_subjects() -> None:
    """Ten positive films of two persons are no more than two."""
    people = [f"p{n // 5}" for n in range(10)] + [f"q{n}" for n in range(20)]
    told, bootstrap = labels([True] * 10 + [False] * 20), make_bootstrap(people, 10, 0)
    found, _ = score_zero_shot(np.zeros((30, 13)), told, people, bootstrap)
    edema = next(item for item in found if item.observation == "Edema")
    assert (edema.positive, edema.positive_subjects, edema.auroc.value) == (10, 2, None)
    page = render_retrieval(document() | {"zero_shot": {"observations": [asdict(edema)]}})
    assert "too few subjects" in page
    assert "10 (2)" in page


def test_a_rare_observation_does_not_take_the_means_interval_away() -> None:
    """Some of 500 draws lack all five of its positives; the mean is then over the other one."""
    rng = np.random.default_rng(12)
    rows: list[dict[str, LabelValue]] = [{} for _ in range(200)]
    for place in range(0, 200, 4):
        rows[place]["Edema"] = LabelValue.POSITIVE
    for place in range(5):
        rows[place]["Pneumonia"] = LabelValue.POSITIVE
    people, scores = [f"p{n}" for n in range(200)], rng.normal(size=(200, 13))
    bootstrap = make_bootstrap(people, 500, 3)
    found, mean = score_zero_shot(scores, LabelMatrix.of(rows), people, bootstrap)
    known = {item.observation: item for item in found if item.auroc.value is not None}
    assert set(known) == {"Edema", "Pneumonia"}
    assert known["Pneumonia"].auroc.low is None  # a draw lacks it, so its own interval is unknown
    assert mean.low is not None
    assert mean.high is not None
    assert mean.low < (mean.value or 0) < mean.high


def test_weights_of_auroc_are_copies_of_films() -> None:
    scores, true = np.array([0.1, 0.4, 0.4, 0.9]), np.array([0.0, 1.0, 0.0, 1.0])
    twice = np.repeat(np.arange(4), [1, 3, 2, 1])
    expected = roc_auc_score(true[twice], scores[twice])
    assert auroc(scores, true, np.array([[1.0, 3.0, 2.0, 1.0]]))[0] == pytest.approx(expected)
    assert np.isnan(auroc(scores, true, np.array([[1.0, 0.0, 1.0, 0.0]]))[0])

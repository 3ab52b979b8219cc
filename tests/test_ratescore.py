"""RaTEScore's arithmetic on entities made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from evaluation.ratescore import (
    AFFINITY,
    DENIAL,
    TYPES,
    Entities,
    rate_score,
    split_sentences,
)


def entities(*named: tuple[str, Sequence[float]]) -> Entities:
    kinds = np.array([TYPES.index(kind) for kind, _ in named], dtype=np.intp)
    return Entities(kinds, np.array([vector for _, vector in named]).reshape(len(named), 2))


def weight(seeking: str, found: str) -> float:
    return float(AFFINITY[TYPES.index(seeking), TYPES.index(found)])


EDEMA = ("disease", (1.0, 0.0))
LUNG = ("anatomy", (0.0, 2.0))


def test_the_same_entities_score_one() -> None:
    assert rate_score(entities(EDEMA, LUNG), entities(LUNG, EDEMA)) == pytest.approx(1)


def test_cosines_are_weighed_by_the_types_of_both_sides() -> None:
    told = entities(("abnormality", (3.0, 4.0)))
    both = entities(EDEMA, LUNG)
    one, other = weight("disease", "abnormality"), weight("anatomy", "abnormality")
    forth = (0.6 * one + 0.8 * other) / (one + other)
    back = 0.8  # the nearest of both is the lung
    assert rate_score(both, told) == pytest.approx(2 * forth * back / (forth + back))


def test_a_denied_finding_keeps_a_share_of_its_match() -> None:
    reference = entities(EDEMA)
    for kind in ("non-disease", "non-abnormality"):
        assert rate_score(reference, entities((kind, (1.0, 0.0)))) == pytest.approx(DENIAL)
        assert rate_score(entities((kind, (1.0, 0.0))), reference) == pytest.approx(DENIAL)
    for kind in ("disease", "abnormality", "anatomy"):
        assert rate_score(reference, entities((kind, (1.0, 0.0)))) == pytest.approx(1)
    both_denied = entities(("non-disease", (1.0, 0.0)))
    assert rate_score(both_denied, entities(("non-abnormality", (1.0, 0.0)))) == pytest.approx(1)
    assert rate_score(both_denied, entities(("anatomy", (1.0, 0.0)))) == pytest.approx(1)


def test_texts_without_entities_and_empty_texts_are_told_apart() -> None:
    none = entities()
    assert rate_score(none, none) == 0.5
    assert rate_score(entities(EDEMA), none) == 0.5
    assert rate_score(none, entities(EDEMA)) == 0.5
    assert rate_score(None, entities(EDEMA)) == 0
    assert rate_score(entities(EDEMA), None) == 0
    assert rate_score(None, None) == 0


def test_right_angles_score_zero() -> None:
    assert rate_score(entities(EDEMA), entities(("disease", (0.0, 1.0)))) == 0


def test_swapping_the_sides_swaps_the_halves_alone() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        sides = [
            Entities(random.integers(0, 5, size), random.random((size, 3)))
            for size in random.integers(1, 6, 2)
        ]
        assert rate_score(*sides) == pytest.approx(rate_score(*sides[::-1]))


def test_the_weights_are_the_published_profile() -> None:
    assert AFFINITY.shape == (5, 5)
    assert weight("disease", "anatomy") == pytest.approx(0.9950209388542061, abs=1e-8)
    assert weight("anatomy", "non-disease") == pytest.approx(0.00013736314126696204, abs=1e-8)
    assert weight("non-abnormality", "non-abnormality") == pytest.approx(0.00093571660, abs=1e-8)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("No edema. Heart is normal.", ["No edema.", "Heart is normal."]),
        ("Nodule of 3.5 cm.\nNo effusion", ["Nodule of 3.5 cm.", "No effusion"]),
        ("OK", []),
        ("", []),
        (" \n ", []),
        ("OK. Heart is normal.", ["OK.", "Heart is normal."]),
        ("1. Edema! Worse?  Yes.", ["Edema!", "Worse?", "Yes."]),
    ],
)
def test_sentences_of_three_letters_or_more(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences

"""ROUGE in every profile: equal to rouge-score on any text, COCO's by hand and by brute force."""

from __future__ import annotations

import warnings
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.rouge import (
    COCO_PROFILE,
    ROUGE_PROFILE,
    STEMMED_PROFILE,
    common_subsequence,
    rouge_l,
    rouge_l_sum,
    rouge_n,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from rouge_score.rouge_scorer import RougeScorer

WORDS = ["effusion", "effusions", "enlarged", "enlargement", "the", "lung", "3.5", "no,", "\n"]
texts = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


@cache
def scorer(stem: bool) -> RougeScorer:
    return RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=stem)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(texts, texts, st.booleans())
def test_every_kind_is_rouge_scores(reference: str, told: str, stem: bool) -> None:
    expected = scorer(stem).score(reference, told)
    profile = STEMMED_PROFILE if stem else ROUGE_PROFILE
    found = {
        "rouge1": rouge_n([reference], [told], 1, profile),
        "rouge2": rouge_n([reference], [told], 2, profile),
        "rougeL": rouge_l([reference], [told], profile),
        "rougeLsum": rouge_l_sum([reference], [told], profile),
    }
    for kind, score in found.items():
        assert score[0] == pytest.approx(expected[kind].fmeasure, abs=1e-12), kind


def test_stems_meet_where_words_do_not() -> None:
    pair = ["Pleural effusions."], ["pleural effusion"]
    assert rouge_l(*pair).tolist() == [0.5]
    assert rouge_l(*pair, STEMMED_PROFILE).tolist() == [1.0]


def test_short_words_are_not_stemmed() -> None:
    """Porter would cut "gas" to "ga"."""
    assert rouge_l(["gas"], ["ga"], STEMMED_PROFILE).tolist() == [0.0]


def test_coco_by_hand() -> None:
    """Two of three told, two of four true: beta 1.2 draws towards recall."""
    (score,) = rouge_l(["small left pleural effusion"], ["small right effusion"], COCO_PROFILE)
    precision, recall, square = 2 / 3, 2 / 4, 1.2**2
    assert score == pytest.approx((1 + square) * precision * recall / (recall + square * precision))


def test_coco_keeps_case_and_punctuation_and_counts_empty_words() -> None:
    assert rouge_l(["Heart."], ["heart"], COCO_PROFILE).tolist() == [0.0]
    assert rouge_l(["a b"], [""], COCO_PROFILE).tolist() == [0.0]
    (spaced,) = rouge_l(["a b"], ["a  b"], COCO_PROFILE)
    assert spaced < 1.0  # two spaces hold an empty word between them


def brute(one: list[str], other: list[str]) -> int:
    rows = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            rows[i + 1][j + 1] = rows[i][j] + 1 if a == b else max(rows[i][j + 1], rows[i + 1][j])
    return rows[-1][-1]


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_the_longest_common_subsequence_by_brute_force(one: list[str], other: list[str]) -> None:
    assert common_subsequence(one, other) == brute(one, other)


def test_lines_are_the_sentences_of_lsum() -> None:
    reference, told = "no effusion\nclear lungs", "clear lungs\nno effusion"
    assert rouge_l_sum([reference], [told]).tolist() == [1.0]
    assert rouge_l([reference], [told]).tolist() == [0.5]


def test_no_text_has_no_score() -> None:
    assert rouge_l([], []).shape == rouge_n([], [], 1).shape == rouge_l_sum([], []).shape == (0,)

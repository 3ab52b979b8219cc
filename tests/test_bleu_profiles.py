"""BLEU's other profiles: COCO's arithmetic against a plain rewriting of it, ReXrank's by hand."""

from __future__ import annotations

import warnings
from collections import Counter
from math import exp, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.lexical import (
    ARITHMETIC,
    BLEU_PROFILES,
    bleu_counts,
    coco_bleu,
    corpus_bleu,
    rexrank_bleu2,
)
from evaluation.tokens import TOKENIZERS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sacrebleu.metrics.bleu import BLEU

WORDS = ["The", "heart", "is", "normal.", "No", "effusion,", "(3.5", "cm)"]
texts = st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=5)


def plain_coco(rows: list[tuple[str, str]], profile: str, order: int) -> float:
    """COCO's corpus BLEU as its scorer goes about it: totals, then a product."""
    tokenize = TOKENIZERS[BLEU_PROFILES[profile].tokenizer]
    guessed, correct, length, told_length = [0] * 4, [0] * 4, 0, 0
    for reference, told in rows:
        true, own = tokenize(reference), tokenize(told)
        length, told_length = length + len(true), told_length + len(own)
        for n in range(1, 5):
            known = Counter(tuple(true[i : i + n]) for i in range(len(true) - n + 1))
            grams = Counter(tuple(own[i : i + n]) for i in range(len(own) - n + 1))
            guessed[n - 1] += max(0, len(own) - n + 1)
            correct[n - 1] += sum(min(known[gram], number) for gram, number in grams.items())
    score = 1.0
    for n in range(order):
        score *= (correct[n] + 1e-15) / (guessed[n] + 1e-9)
    ratio = (told_length + 1e-15) / (length + 1e-9)
    return float(score ** (1 / order) * (exp(1 - 1 / ratio) if ratio < 1 else 1.0))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(pairs, st.sampled_from(["coco-split-cased", "coco-split-lower", "coco-ptb", "r2gen"]))
def test_coco_profiles_are_cocos_arithmetic(rows: list[tuple[str, str]], profile: str) -> None:
    references, predictions = [r for r, _ in rows], [p for _, p in rows]
    sums = bleu_counts(references, predictions, profile).sum(axis=0)
    for order in (1, 2, 4):
        if sums[1] > 0 and sums[0] > 0:
            expected = plain_coco(rows, profile, order)
            assert float(coco_bleu(sums, order)) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(pairs)
def test_the_lower_case_profile_is_sacrebleus(rows: list[tuple[str, str]]) -> None:
    references, predictions = [r for r, _ in rows], [p for _, p in rows]
    sums = bleu_counts(references, predictions, "sacrebleu-13a-lower").sum(axis=0)
    expected = BLEU(lowercase=True).corpus_score(predictions, [references]).score
    assert float(corpus_bleu(sums)) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(texts, texts)
def test_sentence_bleu_is_sacrebleus(reference: str, told: str) -> None:
    counts = bleu_counts([reference], [told])
    expected = BLEU(effective_order=True).sentence_score(told, [reference]).score
    assert float(corpus_bleu(counts, effective_order=True)[0]) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=4))
def test_several_references_are_sacrebleus(rows: list[tuple[str, str, str]]) -> None:
    told = [one for one, _, _ in rows]
    counts = bleu_counts([(first, second) for _, first, second in rows], told)
    streams = [[first for _, first, _ in rows], [second for _, _, second in rows]]
    expected = BLEU().corpus_score(told, streams).score
    assert float(corpus_bleu(counts.sum(axis=0))) == pytest.approx(expected, abs=1e-9)


def test_profiles_differ_where_they_should() -> None:
    reference, told = ["The heart is normal in size."], ["the heart is normal in size"]
    scores = {
        name: float(
            ARITHMETIC[profile.arithmetic](bleu_counts(reference, told, name).sum(axis=0), order=1)
        )
        for name, profile in BLEU_PROFILES.items()
    }
    assert scores["coco-split-cased"] == pytest.approx(4 / 6, abs=1e-6)
    assert scores["coco-split-lower"] == pytest.approx(5 / 6, abs=1e-6)
    assert scores["coco-ptb"] == pytest.approx(1.0, abs=1e-6)
    assert scores["r2gen"] == pytest.approx(1.0, abs=1e-6)
    assert scores["sacrebleu-13a-cased"] == pytest.approx(100 * 5 / 6 * exp(1 - 7 / 6))
    assert scores["sacrebleu-13a-lower"] == pytest.approx(100 * exp(1 - 7 / 6))


def test_a_perfect_match_of_coco_stays_under_one() -> None:
    sums = bleu_counts(["a b c d e"], ["a b c d e"], "coco-split-cased").sum(axis=0)
    assert 1 - 1e-8 < float(coco_bleu(sums)) < 1.0


def test_rexranks_bleu_2_by_hand() -> None:
    """ "no acute disease ." told "no disease .": three words of three, one bigram of two."""
    (score,) = rexrank_bleu2(["No acute disease."], ["No disease."])
    assert score == pytest.approx(exp(1 - 4 / 3) * sqrt(3 / 3 * 1 / 2))
    assert rexrank_bleu2(["a b"], ["c d"]).tolist() == [0.0]
    assert rexrank_bleu2(["a b"], [""]).tolist() == [0.0]
    assert rexrank_bleu2(["a b c"], ["b a c"]).tolist() == pytest.approx([sqrt(0.1 / 2)])
    assert rexrank_bleu2(["Clear lungs."], ["clear lungs ."]).tolist() == pytest.approx([1.0])
    assert rexrank_bleu2(["a"], ["a"]).tolist() == pytest.approx([sqrt(0.1)])
    assert rexrank_bleu2([], []).shape == (0,)


def test_a_bootstrap_of_coco_scores_many_sums_at_once() -> None:
    references, told = ["a b c d e", "f g h i"], ["a b c d x", "f g h j"]
    counts = bleu_counts(references, told, "coco-split-cased")
    weights = np.array([[1.0, 1.0], [2.0, 0.0]])
    single = [float(coco_bleu(row @ counts)) for row in weights]
    assert coco_bleu(weights @ counts).tolist() == pytest.approx(single)

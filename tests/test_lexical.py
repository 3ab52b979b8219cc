"""BLEU and ROUGE-L: equal to the named packages, and summed from counts per report."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.lexical import bleu_counts, corpus_bleu
from evaluation.rouge import rouge_l

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.bleu import BLEU

REFERENCES = [
    "The heart is normal in size. The lungs are clear.",
    "Small left pleural effusion, unchanged; no pneumothorax.",
    "Right upper lobe nodule measures 3.5 cm (new).",
    'Endotracheal tube "in place" & well positioned.',
]
PREDICTIONS = [
    "The heart is normal. The lungs are clear.",
    "Small right pleural effusion. No pneumothorax.",
    "Nodule in the right upper lobe measures 3.5 cm.",
    "The lungs are clear.",
]
texts = st.lists(
    st.sampled_from(["the", "heart", "Heart", "is", "normal.", "no", "effusion,", "3.5", "-"]),
    max_size=12,
).map(" ".join)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=5)


def sacrebleu(references: list[str], predictions: list[str], order: int) -> float:
    return float(BLEU(max_ngram_order=order).corpus_score(predictions, [references]).score)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_corpus_bleu_is_sacrebleus(order: int) -> None:
    sums = bleu_counts(REFERENCES, PREDICTIONS).sum(axis=0)
    assert float(corpus_bleu(sums, order)) == pytest.approx(
        sacrebleu(REFERENCES, PREDICTIONS, order), abs=1e-9
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(pairs)
def test_corpus_bleu_is_sacrebleus_for_any_text(rows: list[tuple[str, str]]) -> None:
    references, predictions = [r for r, _ in rows], [p for _, p in rows]
    sums = bleu_counts(references, predictions).sum(axis=0)
    for order in (1, 4):
        expected = sacrebleu(references, predictions, order)
        assert float(corpus_bleu(sums, order)) == pytest.approx(expected, abs=1e-9)


def test_counts_of_two_sets_add_up_to_the_counts_of_both() -> None:
    whole = bleu_counts(REFERENCES, PREDICTIONS).sum(axis=0)
    first = bleu_counts(REFERENCES[:2], PREDICTIONS[:2]).sum(axis=0)
    second = bleu_counts(REFERENCES[2:], PREDICTIONS[2:]).sum(axis=0)
    assert np.array_equal(whole, first + second)


def test_counts_of_one_pair_by_hand() -> None:
    counts = bleu_counts(["no acute disease ."], ["no no disease ."])
    told, reference, *ngrams = counts[0].tolist()
    assert (told, reference) == (4, 4)
    assert ngrams[:4] == [3, 1, 0, 0]  # "no" is clipped to its one place in the reference
    assert ngrams[4:] == [4, 3, 2, 1]


def test_case_and_numbers_are_kept() -> None:
    sums = bleu_counts(["Heart size is 3.5 cm"], ["heart size is 3.5 cm"]).sum(axis=0)
    assert sums[2] == 4  # all but the first token; "3.5" is one


def test_equal_texts_score_a_hundred() -> None:
    sums = bleu_counts(REFERENCES, REFERENCES).sum(axis=0)
    assert float(corpus_bleu(sums)) == pytest.approx(100.0)


def test_an_empty_prediction_costs_brevity() -> None:
    sums = bleu_counts(["one two three four", "five six"], ["one two three four", ""]).sum(axis=0)
    assert float(corpus_bleu(sums)) == pytest.approx(100.0 * np.exp(1 - 6 / 4))


@pytest.mark.parametrize("predictions", [["", ""], ["completely different", "words here"]])
def test_no_match_at_all_is_zero(predictions: list[str]) -> None:
    sums = bleu_counts(["one two three four", "five six"], predictions).sum(axis=0)
    assert float(corpus_bleu(sums)) == 0.0


def test_many_sums_are_scored_at_once() -> None:
    counts = bleu_counts(REFERENCES, PREDICTIONS)
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 0, 0, 4]], dtype=float)
    scores = corpus_bleu(weights @ counts)
    single = [float(corpus_bleu(row @ counts)) for row in weights]
    assert scores.tolist() == pytest.approx(single)


def test_no_report_at_all_has_no_counts() -> None:
    assert bleu_counts([], []).shape == (0, 10)


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        bleu_counts(["a"], [])


def test_rouge_l_is_rouge_scores() -> None:
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    expected = [
        scorer.score(r, p)["rougeL"].fmeasure for r, p in zip(REFERENCES, PREDICTIONS, strict=True)
    ]
    assert rouge_l(REFERENCES, PREDICTIONS).tolist() == expected


@settings(max_examples=150, deadline=None, derandomize=True)
@given(pairs)
def test_rouge_l_is_rouge_scores_for_any_text(rows: list[tuple[str, str]]) -> None:
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    expected = [scorer.score(r, p)["rougeL"].fmeasure for r, p in rows]
    assert rouge_l([r for r, _ in rows], [p for _, p in rows]).tolist() == expected


def test_rouge_l_by_hand() -> None:
    # Longest common subsequence "small effusion": 2 of 3 told, 2 of 4 true.
    scores = rouge_l(["Small left pleural effusion."], ["small right effusion"])
    assert scores.tolist() == pytest.approx([2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)])


def test_rouge_l_of_empty_and_equal_texts() -> None:
    assert rouge_l(["a b", "a b", ""], ["", "a b", ""]).tolist() == [0.0, 1.0, 0.0]


def test_rouge_l_knows_no_stems() -> None:
    assert rouge_l(["effusions"], ["effusion"]).tolist() == [0.0]

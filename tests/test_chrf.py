"""chrF from counts per report is sacrebleu's corpus chrF, and a statistic of sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from evaluation.chrf import chrf_counts, corpus_chrf

TEXTS = st.lists(
    st.sampled_from(("left", "pleural effusion", "No", "edema.", "É", "  ", "a b", "x")), max_size=5
).map(" ".join)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5)


def ours(references: list[str], predictions: list[str]) -> float:
    return float(corpus_chrf(chrf_counts(references, predictions).sum(axis=0)))


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_it_is_sacrebleus(pairs: list[tuple[str, str]]) -> None:
    references, predictions = (list(texts) for texts in zip(*pairs, strict=True))
    expected = CHRF().corpus_score(predictions, [references]).score
    assert ours(references, predictions) == pytest.approx(expected, abs=1e-9)


def test_ends_of_the_scale() -> None:
    assert ours(["Left effusion."], ["Left effusion."]) == pytest.approx(100.0)
    assert ours(["Left effusion."], ["Left  effusion ."]) == pytest.approx(100.0)
    assert ours(["abc"], ["xyz"]) == 0.0
    assert ours(["abc"], [""]) == ours([""], [""]) == 0.0


def test_by_hand_for_two_letters() -> None:
    """``ab`` against ``ac``: one of two letters, none of one pair; the mean of .5 and 0."""
    assert ours(["ab"], ["ac"]) == pytest.approx(25.0)


def test_counts_of_a_corpus_are_sums_of_counts() -> None:
    counts = chrf_counts(["one effusion", "two"], ["an effusion", "too"])
    assert counts.shape == (2, 18)
    weights = np.array([[1.0, 1.0], [2.0, 0.0]])
    both, first = corpus_chrf(weights @ counts)
    assert both == pytest.approx(ours(["one effusion", "two"], ["an effusion", "too"]))
    assert first == pytest.approx(ours(["one effusion"] * 2, ["an effusion"] * 2))
    assert chrf_counts([], []).shape == (0, 18)

"""CIDEr-D on cases worked out by hand, and the traps that come with weights from the references."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.cider import cider_d

A, B = "small left pleural effusion", "no acute bony abnormality"


def test_identity_is_ten_where_every_order_tells_references_apart() -> None:
    assert cider_d([A, B], [A, B]).tolist() == pytest.approx([10.0, 10.0])


def test_what_is_in_every_reference_weighs_nothing() -> None:
    assert cider_d([A], [A]).tolist() == [0.0]
    assert cider_d([A, A], [A, B]).tolist() == [0.0, 0.0]


def test_one_word_of_four_by_hand() -> None:
    """One wrong word at the end: of orders 1 to 4 there agree 3/4, 2/3, 1/2 and none."""
    told = "small left pleural thickening"
    assert cider_d([A, B], [told, B])[0] == pytest.approx(10 * (3 / 4 + 2 / 3 + 1 / 2 + 0) / 4)


def test_a_longer_text_is_punished_and_repeats_are_clipped() -> None:
    doubled = f"{A} {A}"
    score = cider_d([A, B], [doubled, B])[0]
    assert score < 10 * exp(-(4**2) / (2 * 6**2))
    assert score > 0


def test_case_is_folded_and_empty_texts_score_nothing() -> None:
    assert cider_d([A, B], [A.upper(), ""]).tolist() == pytest.approx([10.0, 0.0])
    assert cider_d(["", B], ["", B])[0] == 0.0
    assert cider_d([], []).shape == (0,)


WORDS = st.lists(st.sampled_from("abcde"), max_size=6).map(" ".join)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6))
def test_values_stay_in_their_range_and_follow_their_pair(pairs: list[tuple[str, str]]) -> None:
    references, told = (list(texts) for texts in zip(*pairs, strict=True))
    scores = cider_d(references, told)
    assert ((scores >= 0) & (scores <= 10 + 1e-9)).all()
    assert cider_d(references[::-1], told[::-1]).tolist() == pytest.approx(scores[::-1].tolist())

"""Short answers are read as words: normalised, yes and no, overlaps and lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.answers import (
    exact_match,
    is_correct,
    normal_answer,
    parts_of,
    set_f1,
    things_of,
    token_overlap,
    words_of,
    yes_or_no,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Heart.", "heart"),
        (" Two  nodules ", "2 nodules"),
        ("x-ray", "x ray"),
        ("10 cm", "10 cm"),
        ("ten", "10"),
        ("Yes ", "yes"),
        ("\uff39es", "yes"),  # full-width, as published tables have it
        ("", ""),
        ("...", ""),
        ("P/A", "p"),
    ],
)
def test_answers_are_normalised(text: str, words: str) -> None:
    assert normal_answer(text) == words


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Yes.", "yes"),
        ("no", "no"),
        ("There is no effusion.", "no"),
        ("Yes, there is no effusion", "yes"),
        ("normal", None),
        ("I do not know", None),
        ("Yesterday", None),
        ("nodule", None),
        ("not seen", None),
        ("", None),
        ("yes/no", None),
        ("Yes or no.", None),
        ("yes no", None),
        ("No, or yes?", None),
        ("yes (no)", None),
        ("Yes, no pneumothorax.", "yes"),
        ("Yes. No effusion is seen.", "yes"),
        ("No. Yes", "no"),
        ("No; yes", "no"),
        ("No no, yes", "no"),
        ("no and yes", None),
        ("There is none: no. Or yes", None),
        ("No, it is clear; yes", "no"),
    ],
)
def test_yes_and_no_are_whole_words(text: str, read: str | None) -> None:
    assert yes_or_no(text) == read


def test_an_unparsed_answer_to_a_yes_or_no_question_is_wrong() -> None:
    assert not is_correct("normal", "no")
    assert not is_correct("", "yes")
    assert is_correct("No, it is clear", "No ")
    assert is_correct("left lung", "The left lung.")
    assert not is_correct("lung left", "left lung")


def test_an_article_is_no_answer_to_another() -> None:
    assert not is_correct("the", "a")
    assert not is_correct("", "a")
    assert is_correct("A ", "a")


def test_overlap_counts_words_as_often_as_they_stand() -> None:
    assert token_overlap("left left lung", "left lung base") == pytest.approx((4 / 6, 2 / 3))
    assert token_overlap("", "lung") == (0.0, 0.0)
    assert token_overlap("", "the") == (1.0, 1.0)


def test_lists_are_compared_in_any_order() -> None:
    assert things_of("edema, pleural effusion and atelectasis") == {
        "edema",
        "pleural effusion",
        "atelectasis",
    }
    assert set_f1("atelectasis; edema", ("Edema", "atelectasis")) == 1.0
    assert set_f1("edema", ("edema", "atelectasis")) == pytest.approx(2 / 3)
    assert set_f1("", ("",)) == set_f1("", ()) == 1.0
    assert set_f1("", ("edema",)) == 0.0
    assert things_of("sandwich sign") == {"sandwich sign"}, "and is a word of its own"


SLASHED = ("copd/emphysema", "hernia")
KNOWN = parts_of((*SLASHED, "tortuous aorta", "cysts/bullae", "scoliosis and kyphosis", "hernia"))


def test_a_publishers_answer_with_a_slash_is_one_thing() -> None:
    assert parts_of(SLASHED) == {"copd emphysema", "hernia"}
    assert set_f1("copd/emphysema", SLASHED, KNOWN) == pytest.approx(2 / 3)
    assert set_f1("Hernia, COPD / emphysema", SLASHED, KNOWN) == 1.0
    assert set_f1("hernia and copd/emphysema.", SLASHED, KNOWN) == 1.0
    assert set_f1("copd", SLASHED, KNOWN) == 0.0, "a half is another answer"
    assert things_of("scoliosis and kyphosis/hernia", KNOWN) == {"scoliosis and kyphosis", "hernia"}
    assert things_of("cysts/bullae/tortuous aorta", KNOWN) == {"cysts bullae", "tortuous aorta"}


def test_what_nobody_knows_is_split_and_the_longest_known_thing_wins() -> None:
    assert things_of("copd/emphysema") == {"copd", "emphysema"}
    assert things_of("a/b, c", {"b", "b c"}) == {"b c"}, "an article alone is nothing"
    assert things_of("x/y/z", {"x y", "x y z"}) == {"x y z"}
    assert things_of("x,,y", {"x y"}) == {"x y"}
    assert things_of(" , /and", {"x"}) == frozenset()


@given(st.text(alphabet="ab ,/;", max_size=60), st.sets(st.text(alphabet="ab ", max_size=3)))
def test_no_word_is_lost_or_made_up(answer: str, known: set[str]) -> None:
    words = [word for thing in things_of(answer, known) for word in thing.split()]
    assert set(words) == set(words_of(answer))


@given(st.text(), st.text())
def test_the_same_answer_is_right_and_measures_are_symmetric(one: str, other: str) -> None:
    assert exact_match(one, one)
    assert token_overlap(one, one) == (1.0, 1.0)
    assert set_f1(one, (one,), {normal_answer(one)}) == 1.0
    assert token_overlap(one, other)[0] == pytest.approx(token_overlap(other, one)[0])
    assert 0.0 <= token_overlap(one, other)[0] <= 1.0
    if exact_match(one, other):
        assert token_overlap(one, other)[0] == 1.0

"""How RadGraph's two models cut words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.radgraph_words import radgraph_words


@pytest.mark.parametrize(
    ("text", "v1", "xl"),
    [
        ("No edema.", ["No", "edema", "."], ["No", "edema", "."]),
        ("right-sided", ["right-sided"], ["right", "-", "sided"]),
        ("3.5 cm", ["3", ".", "5", "cm"], ["3", ".", "5", "cm"]),
        ("(left).", ["(", "left", ")", "."], ["(", "left", ")", "."]),
        ("50%, stable", ["50%", ",", "stable"], ["50", "%", ",", "stable"]),
        ("clear.'", ["clear", ".", "'"], ["clear", ".", "'"]),
        ("what?!", ["what", "?", "!"], ["what", "?!"]),
        ("T1-T2 ... end", ["T1-T2", ".", ".", ".", "end"], ["T1", "-", "T2", "...", "end"]),
        ('it\'s "fine"', ["it's", '"fine"'], ["it", "'", "s", '"', "fine", '"']),
        (r"a\nb", [r"a\nb"], ["a", "b"]),
        ("a\nb", ["a", "b"], ["a", "b"]),
        ("", [], []),
        (" \t\n", [], []),
    ],
)
def test_words_of_both_models(text: str, v1: list[str], xl: list[str]) -> None:
    assert radgraph_words(text, "v1") == v1
    assert radgraph_words(text, "xl") == xl


@given(st.text(alphabet="ab -/,:.!?()\n%'", max_size=40))
def test_v1_sets_its_marks_apart_and_nothing_else(text: str) -> None:
    apart = "".join(f" {letter} " if letter in "/,:.!?()" else letter for letter in text)
    assert radgraph_words(text, "v1") == apart.split()


@given(st.text(max_size=60))
def test_no_letter_is_lost_by_v1(text: str) -> None:
    assert "".join(radgraph_words(text, "v1")) == "".join(text.split())

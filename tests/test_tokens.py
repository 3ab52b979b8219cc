"""Tokenizer profiles on cases worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.tokens import TOKENIZERS, ptb, r2gen, rexrank


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The heart is normal.", "the heart is normal"),
        ("The patient's heart isn't enlarged.", "the patient 's heart is n't enlarged"),
        ("We can't exclude it; they've gone.", "we ca n't exclude it they 've gone"),
        ("Nodule (3.5 cm), follow-up advised!", "nodule -lrb- 3.5 cm -rrb- follow-up advised"),
        ("Taken at 10:30 a.m. by Dr. Roe", "taken at 10:30 a.m. by dr. roe"),
        ("A 2nd film: 50% left-sided -- stable...", "a 2nd film 50 % left-sided stable"),
        ("1,000 mL drained", "1,000 ml drained"),
        ("most. best.", "most best"),
        ("", ""),
        ("...", ""),
    ],
)
def test_penn_treebank_tokens_by_hand(text: str, tokens: str) -> None:
    assert ptb(text) == tokens.split()


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("The heart is normal. No effusion.", "the heart is normal . no effusion ."),
        ("1. Heart normal. 2. Lungs clear.", "heart normal . lungs clear ."),
        ("Size 3.5 cm, well-defined", "size 35 cm well-defined ."),
        ('"Mild" AC/DC\\x edema: __stable__', "mild acdcx edema stable ."),
        ("Line one\nline  two..", "line one line two ."),
        ("A. . B", "a . . b ."),
        ("", "."),
    ],
)
def test_r2gens_cleaning_and_its_traps(text: str, cleaned: str) -> None:
    assert r2gen(text) == cleaned.split()


def test_rexrank_sets_full_stops_apart() -> None:
    assert rexrank("Heart normal.  No 3.5") == ["heart", "normal", ".", "no", "3", ".5"]


def test_sacrebleus_own_tokenizers_are_used() -> None:
    assert TOKENIZERS["13a"]("No (3.5 cm) nodule.") == ["No", "(", "3.5", "cm", ")", "nodule", "."]
    assert TOKENIZERS["13a-lower"]("No Nodule.") == ["no", "nodule", "."]
    assert TOKENIZERS["none"]("No nodule. ") == ["No", "nodule."]
    assert TOKENIZERS["intl"]("3.5 cm-nodule") == ["3.5", "cm", "-", "nodule"]


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_text_has_tokens_without_white_space(text: str) -> None:
    for name, tokenize in TOKENIZERS.items():
        tokens = tokenize(text)
        if name != "rexrank":  # cut at single spaces, as published
            assert all(token and not any(c.isspace() for c in token) for token in tokens), name


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet="ab .,'()-3%", max_size=40))
def test_lower_case_profiles_do_not_know_case(text: str) -> None:
    for name in ("13a-lower", "split-lower", "ptb", "r2gen", "rexrank"):
        assert TOKENIZERS[name](text.upper()) == TOKENIZERS[name](text), name

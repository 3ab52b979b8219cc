"""METEOR's arithmetic against cases that were worked out by hand, and the texts it is given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.meteor import (
    METEOR_PROFILES,
    WIDTH,
    corpus_meteor,
    meteor_family,
    meteor_name,
    meteor_text,
    summable,
)
from evaluation.statistics import Floats, make_bootstrap, score_interval


def counted(
    words: tuple[int, int],
    function: tuple[int, int] = (0, 0),
    chunks: int = 1,
    matched: tuple[int, int] = (0, 0),
    **stages: tuple[int, int, int, int],
) -> Floats:
    """(23,) statistics; a stage is matched content of both, then matched function words of both."""
    rows = [stages.get(name, (0, 0, 0, 0)) for name in ("exact", "stem", "synonym", "paraphrase")]
    flat = [count for row in rows for count in row]
    return np.array([*words, *function, *flat, chunks, *matched], dtype=float)


SHORT = counted((1, 3), chunks=1, matched=(1, 1), exact=(1, 1, 0, 0))
"""One of three words: P 1, R 1/3, F (1/3) / (.85 + .15/3) = 10/27; all in one piece of one word, so
that the penalty is .6: 4/27."""
WHOLE = counted((2, 2), chunks=1, matched=(2, 2), exact=(2, 2, 0, 0))


def test_a_case_by_hand() -> None:
    assert float(corpus_meteor(SHORT)) == pytest.approx(4 / 27, abs=1e-15)


def test_a_whole_match_in_one_piece_is_one() -> None:
    assert float(corpus_meteor(summable(WHOLE[None])[0])) == 1.0
    assert float(corpus_meteor(WHOLE)) < 1.0, "as a fragment it would be punished"


def test_of_two_texts_counts_are_summed_and_scores_are_not() -> None:
    """P 3/3, R 3/5, one chunk of three words: F .6 / (.85 + .15 * .6)."""
    counts = summable(np.stack([WHOLE, SHORT]))
    expected = 0.6 / (0.85 + 0.15 * 0.6) * (1 - 0.6 * (1 / 3) ** 0.2)
    assert float(corpus_meteor(counts.sum(axis=0))) == pytest.approx(expected, abs=1e-15)
    assert corpus_meteor(counts).mean() == pytest.approx((1 + 4 / 27) / 2)


@pytest.mark.parametrize(
    ("stage", "weight"), [("exact", 1.0), ("stem", 0.6), ("synonym", 0.8), ("paraphrase", 0.6)]
)
def test_each_stage_has_its_weight(stage: str, weight: float) -> None:
    """P and R are both the weight, and so is F; one chunk of one word costs .6 of it."""
    found = corpus_meteor(counted((1, 1), matched=(1, 1), **{stage: (1, 1, 0, 0)}))
    assert float(found) == pytest.approx(weight * 0.4)


def test_a_function_word_weighs_a_third_of_another() -> None:
    """Of 'the heart' against 'the lung' .25 of 1 matches: P = R = .25."""
    half = counted((2, 2), (1, 1), matched=(1, 1), exact=(0, 0, 1, 1))
    assert float(corpus_meteor(half)) == pytest.approx(0.25 * 0.4)
    other = counted((2, 2), (1, 1), matched=(1, 1), exact=(1, 1, 0, 0))
    assert float(corpus_meteor(other)) == pytest.approx(0.75 * 0.4)


def test_recall_counts_more_than_precision() -> None:
    long = counted((4, 2), chunks=1, matched=(2, 2), exact=(2, 2, 0, 0))
    short = counted((2, 4), chunks=1, matched=(2, 2), exact=(2, 2, 0, 0))
    penalty = 1 - 0.6 * 0.5**0.2
    assert float(corpus_meteor(long)) == pytest.approx(0.5 / (0.85 * 0.5 + 0.15) * penalty)
    assert float(corpus_meteor(short)) == pytest.approx(0.5 / (0.85 + 0.15 * 0.5) * penalty)


def test_a_paraphrase_may_match_more_words_of_one_side() -> None:
    """Matched words of both sides are averaged under the number of chunks."""
    found = corpus_meteor(counted((2, 4), matched=(2, 4), chunks=2, paraphrase=(2, 4, 0, 0)))
    assert float(found) == pytest.approx(0.6 * (1 - 0.6 * (2 / 3) ** 0.2))


@pytest.mark.parametrize(
    "nothing", [counted((0, 0), chunks=0), counted((0, 5), chunks=0), counted((5, 5), chunks=0)]
)
def test_nothing_written_or_matched_is_zero(nothing: Floats) -> None:
    assert float(corpus_meteor(summable(nothing[None])[0])) == 0.0


def test_only_a_whole_match_in_one_piece_loses_its_chunk() -> None:
    pieces = counted((2, 2), chunks=2, matched=(2, 2), exact=(2, 2, 0, 0))
    longer = counted((2, 3), chunks=1, matched=(2, 2), exact=(2, 2, 0, 0))
    stems = counted((2, 2), (1, 1), chunks=1, matched=(2, 2), exact=(1, 1, 0, 0), stem=(0, 0, 1, 1))
    given = np.stack([WHOLE, pieces, longer, stems])
    found = summable(given)
    assert found[:, 20].tolist() == [0, 2, 1, 0]
    assert given[0, 20] == 1, "what the program said is left as it is"
    assert np.delete(found, 20, axis=1).tolist() == np.delete(given, 20, axis=1).tolist()


@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=6))
def test_sums_of_any_shape_score_as_one_by_one(rows: list[list[int]]) -> None:
    counts = np.stack(
        [
            counted((a + b, a + c), (0, 0), a, (a, a), exact=(a, a, 0, 0), stem=(0, 0, 0, d * 0))
            for a, b, c, d in rows
        ]
    )
    found = corpus_meteor(np.stack([counts, 2 * counts]))
    assert found.shape == (2, len(rows))
    assert found[0] == pytest.approx([float(corpus_meteor(row)) for row in counts])
    assert found[1] == pytest.approx(found[0]), "a score knows no size"
    assert ((found >= 0) & (found <= 1)).all()


def test_a_bootstrap_draws_counts() -> None:
    counts = summable(np.stack([WHOLE, SHORT] * 8))
    subjects = [f"p{place // 2}" for place in range(16)]
    interval = score_interval(make_bootstrap(subjects, 50, 3), corpus_meteor, counts)
    assert interval.value == pytest.approx(float(corpus_meteor(counts.sum(axis=0))))
    assert interval.low == pytest.approx(interval.value), "every subject has the same two texts"
    mixed = score_interval(
        make_bootstrap([f"p{place}" for place in range(16)], 50, 3), corpus_meteor, counts
    )
    assert mixed.low is not None and mixed.high is not None and mixed.value is not None
    assert mixed.low < mixed.value < mixed.high


def test_names() -> None:
    assert [meteor_name(profile) for profile in METEOR_PROFILES] == [
        *("METEOR[coco-ptb]", "METEOR[r2gen]", "METEOR[coco]")
    ]
    assert meteor_family("r2gen") == "meteor r2gen"
    assert counted((0, 0)).shape == (WIDTH,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The heart, 3.5 cm.", "The heart, 3.5 cm."),
        ("one\ntwo\r\n\r\nthree\rfour", "one two three four"),
        ("a ||| b", "a  b"),
        ("a||||b|||", "a|b"),
        ("||", "||"),
        ("", ""),
    ],
)
def test_a_text_is_one_line_without_the_separator(text: str, expected: str) -> None:
    assert meteor_text(text, "coco") == expected


@given(st.text(), st.sampled_from(sorted(METEOR_PROFILES)))
def test_no_text_can_break_the_protocol(text: str, profile: str) -> None:
    line = meteor_text(text, profile)
    assert "|||" not in line
    assert not {"\n", "\r"} & set(line)


def test_profiles_cut_texts_as_their_tables_do() -> None:
    text = "1. The heart isn't large. 2. A 3.5 cm mass, (left)."
    assert (
        meteor_text(text, "coco-ptb") == "1 the heart is n't large 2 a 3.5 cm mass -lrb- left -rrb-"
    )
    assert meteor_text(text, "r2gen") == "the heart isnt large . a 35 cm mass left ."

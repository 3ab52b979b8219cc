"""What is told of a film, a text and an answer for drift."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from pixel_samples import eight_bit, film

from evaluation.clinical import micro_f1
from evaluation.drift import compare_windows
from evaluation.drift_features import (
    METRIC,
    Seen,
    film_figures,
    label_counts,
    residuals,
    scored,
    unknown_share,
    windows,
    words_of,
)
from evaluation.drift_page import as_markdown, render_drift, verdict

CLEAR = "The lungs are clear. No pleural effusion."
EFFUSION = "There is a left pleural effusion. The heart is enlarged."


@cache
def _drawn(seed: int) -> np.ndarray:
    return eight_bit(film(seed=seed))


def grey(seed: int = 0) -> np.ndarray:
    return _drawn(seed % 16)


def test_each_figure_moves_with_what_it_is_named_for() -> None:
    plain = film_figures(grey())
    brighter = film_figures(np.clip(grey() * 1.2, 0, 255).astype(np.uint8))
    assert brighter["film mean"] > 1.1 * plain["film mean"]
    flat = film_figures((grey() // 2 + 60).astype(np.uint8))
    assert flat["film contrast"] == pytest.approx(plain["film contrast"] / 2, rel=0.05)
    blurred = film_figures(cv2.GaussianBlur(grey(), (0, 0), 2))
    assert blurred["film sharpness"] < 0.5 * plain["film sharpness"]
    wide = film_figures(cv2.resize(grey(), (400, 200)))
    assert wide["film aspect"] == 2.0
    bordered = film_figures(cv2.copyMakeBorder(grey(), 50, 50, 0, 0, cv2.BORDER_CONSTANT))
    assert bordered["film black border"] > plain["film black border"] + 0.15


def test_an_inverted_film_is_told() -> None:
    chest = np.zeros((100, 100), np.uint8)
    chest[20:80, 20:80] = 180
    assert film_figures(chest)["film inverted"] == 0.0
    assert film_figures(255 - chest)["film inverted"] == 1.0


def test_films_that_show_nothing_have_figures() -> None:
    for level in (0, 255):
        figures = film_figures(np.full((30, 40), level, np.uint8))
        assert all(np.isfinite(list(figures.values())))


def test_words_are_letters_and_unknown_ones_are_a_share() -> None:
    assert words_of("Effusion, 3.5 cm; pulmão ÍNTEGRO") == ["effusion", "cm", "pulmão", "íntegro"]
    assert unknown_share("clear lungs today", {"clear", "lungs"}) == pytest.approx(1 / 3)
    assert np.isnan(unknown_share("12 / 3", {"clear"}))


def test_residuals_are_zero_on_average_at_the_pooled_score_and_fall_with_it() -> None:
    references = [EFFUSION, CLEAR, EFFUSION, CLEAR] * 5
    good = [EFFUSION, CLEAR, CLEAR, CLEAR] * 5
    counts = label_counts(references, good)
    pooled = float(micro_f1(counts.sum(axis=0)))
    assert residuals(counts, pooled).sum() == pytest.approx(0.0, abs=1e-9)
    worse = residuals(label_counts(references, [CLEAR] * 20), pooled)
    assert worse.mean() < 0


def seen(number: int, *, bright: float = 1.0, text: str = "", answer: str = "") -> Seen:
    own = EFFUSION if number % 3 == 0 else CLEAR
    pixels = np.clip(grey(number).astype(np.float32) * bright, 0, 255).astype(np.uint8)
    small = cv2.resize(pixels, (64, 80))
    subject = f"s\tp{number // 2}"
    return Seen(f"e{number}", "s", subject, small, 2000, text or own, answer or own)


def test_windows_of_examples_find_what_was_planted() -> None:
    before = [seen(number) for number in range(160)]
    vocabulary = {word for one in before for word in words_of(one.reference)}
    odd = "Zurich wording throughout this new template of ours."
    after = [seen(1000 + number, bright=1.5, text=odd, answer=EFFUSION) for number in range(160)]
    both = [windows(each, vocabulary, 1.0) for each in (before, after)]
    look = compare_windows(*both)
    drifted = {test.quantity for test in look.drifted}
    assert {"film mean", "reference unknown words", METRIC, "written Pleural Effusion"} <= drifted
    assert "film aspect" not in drifted
    again = compare_windows(both[0], windows([seen(n + 500) for n in range(160)], vocabulary, 1.0))
    assert again.drifted == ()


def test_the_score_has_an_interval_by_subject() -> None:
    own = [seen(number, answer=CLEAR if number % 5 == 0 else "") for number in range(40)]
    found = scored(own, 200, 3)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    assert scored([], 200, 3).value is None


def document(*, drifted: bool = True, recent: int = 50, level: float = 1e-4) -> dict[str, object]:
    test = {
        "source": "s<b>", "quantity": "film mean", "form": "value", "reference": 100.0,
        "recent": 120.0, "reference_subjects": 90, "recent_subjects": 40, "p": 1e-9,
        "p_holm": 1e-8, "drifted": drifted, "reason": "",
    }  # fmt: skip
    untested = {**test, "quantity": "rare", "p": None, "p_holm": None, "drifted": False,
                "reference": None, "reason": "fewer than 5 of a kind"}  # fmt: skip
    score = {"source": "all", "metric": METRIC, "reference": [0.5, 0.45, 0.55],
             "recent": [None, None, None], "examples": [90, 40]}  # fmt: skip
    return {
        "model": "m", "version": 3, "look": "abc", "level": level, "yearly_rate": 0.05,
        "looks_per_year": 366, "tested": 1, "tests": [test, untested], "scores": [score],
        "recent_examples": recent, "reference_subjects": 90, "recent_subjects": 40,
        "only_recent": ["new"], "only_reference": [], "replicas": [], "looks_taken_before": 2,
    }  # fmt: skip


def test_pages_tell_the_verdict_the_rate_and_why_not() -> None:
    page = render_drift(document())
    assert "s&lt;b&gt;" in page
    assert "<b>" not in page
    assert "not tested: fewer than 5 of a kind" in page
    assert "Not a medical device" in page
    assert "http" not in page.replace("http-equiv", "")
    text = as_markdown(document())
    assert "| all | rule14-micro-F1 | 0.500 [0.450, 0.550] | unknown |" in text
    assert "| s<b> | film mean | 100 | 120 | 1.0e-08 |" in text
    assert "Sources that are new: new." in text


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "m version 3: 1 quantity has drifted, of 1"),
        ({"drifted": False}, "m version 3: no quantity has drifted, of 1"),
        ({"recent": 0}, "m version 3: nothing new to look at"),
        ({"level": 0.0}, "m version 3: the year's looks are used up, so nothing is judged"),
    ],
)
def test_the_verdict_is_one_line(told: dict[str, bool], words: str) -> None:
    assert verdict(document(**told)) == words

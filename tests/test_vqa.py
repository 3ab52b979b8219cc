"""Scores of answers: by kind and type, over images, beside the majority answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.vqa import (
    ALL,
    BY_TYPE,
    METRICS,
    Questions,
    VqaScore,
    counts_of,
    majority_answers,
    score_answers,
    score_rows,
)


def questions(rows: list[tuple[str, str, str, bool, str]]) -> Questions:
    """(question, reference, type, closed, image) each."""
    texts, references, types, closed, images = zip(*rows, strict=True)
    ids = tuple(f"q{number}" for number in range(len(rows)))
    return Questions(ids, texts, references, types, closed, images)


SIX = questions(
    [
        ("Is there an effusion?", "Yes", "presence", True, "a"),
        ("Is there a nodule?", "no", "presence", True, "a"),
        ("Which side?", "left", "location", True, "b"),
        ("What is seen?", "pleural effusion", "abnormality", False, "b"),
        ("What else?", "edema, atelectasis", "abnormality", False, "c"),
        ("Is it large?", "yes", "size", True, "c"),
    ]
)
ANSWERS = ["yes", "normal", "Left.", "effusion", "atelectasis and edema", "no"]


def by_name(scores: list[VqaScore], system: str, group: str) -> dict[str, float | None]:
    return {
        one.metric: one.interval.value
        for one in scores
        if (one.system, one.group) == (system, group)
    }


def test_every_metric_counts_its_own_questions() -> None:
    scores, _ = score_answers(SIX, {"model": ANSWERS}, "model", 50, 0)
    found = by_name(scores, "model", ALL)
    assert found["accuracy"] == pytest.approx(2 / 6)
    assert found["closed-accuracy"] == pytest.approx(2 / 4)
    assert found["open-exact-match"] == 0.0
    assert found["open-token-F1"] == pytest.approx((2 / 3 + 2 * 2 / 5) / 2)
    assert found["open-token-recall"] == pytest.approx((1 / 2 + 1.0) / 2)
    assert found["unparsed-share"] == pytest.approx(1 / 3)
    assert found["set-F1"] == pytest.approx((1 + 0 + 1 + 0 + 0 + 0) / 6)
    assert {one.signature.version for one in scores} == {"5"}
    support = {one.metric: one.questions for one in scores if one.group == ALL}
    assert (support["closed-accuracy"], support["open-token-F1"]) == (4, 2)
    assert support["unparsed-share"] == 3, "left or right is closed, but no yes or no"


def test_every_score_is_told_by_question_type_with_its_support() -> None:
    scores, gaps = score_answers(SIX, {"model": ANSWERS, "none": [""] * 6}, "model", 50, 0)
    told = {
        (one.group, one.metric): (one.interval.value, one.questions)
        for one in scores
        if one.group != ALL and one.system == "model"
    }
    types = ("abnormality", "location", "presence", "size")
    assert set(told) == {(group, metric) for group in types for metric in BY_TYPE}
    accuracy = {group: told[group, "accuracy"] for group in types}
    assert accuracy == {
        "abnormality": (0.0, 2),
        "location": (1.0, 1),
        "presence": (0.5, 2),
        "size": (0.0, 1),
    }
    assert told["presence", "closed-accuracy"] == (0.5, 2)
    assert told["presence", "open-token-F1"] == (None, 0), "none of them is open"
    assert told["abnormality", "closed-accuracy"] == (None, 0)
    assert told["abnormality", "open-exact-match"] == (0.0, 2)
    assert told["abnormality", "open-token-F1"][0] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert told["location", "set-F1"] == (1.0, 1)
    paired = {(one.group, one.metric) for one in gaps if one.group != ALL}
    assert paired == set(told), "and what a control lacks of it"


def test_a_types_scores_are_those_of_its_questions_alone_over_their_films() -> None:
    """Questions of type B do not change what A reaches, and are drawn beside them."""
    rows = [
        (f"q{n}", "yes" if n % 2 else "left lung", "A", bool(n % 2), f"a{n}") for n in range(40)
    ]
    other = [("q", "no", "B", True, f"b{n}") for n in range(40)]
    said = ["yes" if n % 3 else "lung" for n in range(40)]
    both = questions([*rows, *other])
    scores, _ = score_answers(both, {"model": [*said, *["yes"] * 40]}, "model", 200, 0)
    alone, _ = score_answers(questions(rows), {"model": said}, "model", 200, 0)
    own = {one.metric: one for one in scores if one.group == "A"}
    for one in alone:
        if one.group == ALL and one.metric in BY_TYPE and one.interval.value is not None:
            found = own[one.metric]
            assert found.interval.value == one.interval.value
            assert found.questions == one.questions == found.signature.examples
            low, high = found.interval.low, found.interval.high
            assert low is not None and high is not None
            assert (low < high) is (one.metric != "open-exact-match"), one.metric
    assert "mean over questions, A" in str(own["set-F1"].signature)


def test_a_publishers_parts_are_things_as_they_are() -> None:
    """Three questions with one set of answers, one of which has a slash in it."""
    parts = ("copd/emphysema", "hernia")
    rows = [("What is seen?", ", ".join(parts), "abnormality", False, str(n)) for n in range(3)]
    asked = replace(questions(rows), answers=(parts,) * 3)
    said = ["hernia and COPD/emphysema", "copd/emphysema", "copd, hernia"]
    counts = counts_of(asked, said)
    assert counts["set-F1"][:, 0] == pytest.approx([1.0, 2 / 3, 1 / 2])
    assert counts["accuracy"][:, 0].tolist() == [1.0, 0.0, 0.0]
    untold = counts_of(replace(asked, answers=((),) * 3), said)
    assert untold["set-F1"][:, 0].tolist() == [0.0, 0.0, 0.0], "a sentence is one answer"


def test_types_and_kinds_add_up() -> None:
    counts = counts_of(SIX, ANSWERS)
    whole = counts["accuracy"][:, 1].sum()
    parts = counts["closed-accuracy"][:, 1].sum() + counts["open-exact-match"][:, 1].sum()
    assert whole == parts == len(SIX)
    assert set(counts) == set(METRICS)


def test_the_majority_answer_is_of_the_same_words_then_of_the_type_then_of_all() -> None:
    train = questions(
        [
            ("Is there a nodule?", "no", "presence", True, "x"),
            ("Is there a nodule?", "No", "presence", True, "y"),
            ("is there a NODULE", "yes", "presence", True, "z"),
            ("Is there edema?", "yes", "presence", True, "x"),
            ("Is there air?", "yes", "presence", True, "x"),
            ("Where?", "left", "location", False, "x"),
        ]
    )
    asked = questions(
        [
            ("Is there a nodule?", "yes", "presence", True, "t"),
            ("Is there a mass?", "yes", "presence", True, "t"),
            ("How large?", "small", "size", False, "t"),
        ]
    )
    assert majority_answers(train, asked) == ("no", "yes", "yes")


def test_controls_are_compared_in_pairs_over_images() -> None:
    """One image with many right questions is one image: the interval stays wide."""
    many = questions([("q?", "yes", "presence", True, "a")] * 30 + [("q?", "yes", "", True, "b")])
    right, wrong = ["yes"] * 30 + ["no"], ["no"] * 31
    scores, gaps = score_answers(many, {"model": right, "majority answer": wrong}, "model", 200, 0)
    [all_gap] = [one for one in gaps if (one.group, one.metric) == (ALL, "accuracy")]
    assert all_gap.control == "majority answer"
    assert all_gap.difference.value == pytest.approx(30 / 31)
    assert all_gap.difference.low == 0.0
    apart = questions([("q?", "yes", "presence", True, str(n)) for n in range(31)])
    _, gaps = score_answers(apart, {"model": right, "majority answer": wrong}, "model", 200, 0)
    [all_gap] = [one for one in gaps if (one.group, one.metric) == (ALL, "accuracy")]
    assert all_gap.difference.low is not None and all_gap.difference.low > 0.8
    assert scores[0].signature.unit == "image with all its questions"


def test_scores_are_the_same_for_one_seed_and_in_any_order() -> None:
    first, _ = score_answers(SIX, {"model": ANSWERS}, "model", 50, 3)
    again, _ = score_answers(SIX, {"model": ANSWERS}, "model", 50, 3)
    assert score_rows(first) == score_rows(again)
    order = np.array([3, 1, 5, 0, 2, 4])
    turned = Questions(
        *(
            tuple(column[place] for place in order)
            for column in (SIX.ids, SIX.texts, SIX.references, SIX.types, SIX.closed, SIX.images)
        )
    )
    other, _ = score_answers(turned, {"model": [ANSWERS[n] for n in order]}, "model", 50, 3)
    assert [one.interval for one in other] == [one.interval for one in first]

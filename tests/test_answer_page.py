"""The page about answers: whole, self-contained, and honest about who wins."""

from __future__ import annotations

import re
from typing import Any

import pytest
from answers_world import predictions_of, question_row, questions_table, yes_and_no
from test_report_page import PIXEL

from evaluation.answer_page import (
    AnswersPage,
    ShownQuestion,
    choose_questions,
    metric_row,
    render_answers,
    type_rows,
    type_table,
    verdicts,
)
from evaluation.answer_scores import AnswerScores, nothing_answered, score_predicted
from evaluation.vqa import BY_TYPE
from sources.funnel import FunnelRow

FUNNEL = (
    FunnelRow("vqa_rad", "examples", "questions", 794, 403, (("film-of-held-out-question", 391),)),
)


@pytest.fixture(scope="module")
def scores() -> AnswerScores:
    questions = yes_and_no()
    return score_predicted(predictions_of(questions), questions, 100, 3, 48)


def shown(**changes: Any) -> ShownQuestion:
    values: dict[str, Any] = {
        "source": "vqa_rad",
        "study_id": "s1",
        "is_replica": False,
        "films_png": (PIXEL, PIXEL),
        "question": "Is <b>this</b> an effusion?",
        "reference": "yes",
        "said": {"none": "", "majority": "no"},
        "right": {"none": True, "majority": False},
    }
    return ShownQuestion(**{**values, **changes})


def page(scores: AnswerScores, **changes: Any) -> AnswersPage:
    values: dict[str, Any] = {
        "recipe": "medxchat",
        "scale": "tiny",
        "ability": "vqa",
        "made_on": "predictions 0123",
        "fingerprints": {"stages/finetune": "abcd"},
        "funnel": FUNNEL,
        "losses": {"finetune": [(1, 2.0), (2, 1.0)]},
        "scores": scores,
        "replicas": frozenset(),
        "right": [shown()],
        "wrong": [shown(study_id="s2")],
    }
    return AnswersPage(**{**values, **changes})


def test_the_page_says_what_it_is_and_what_was_left_out(scores: AnswerScores) -> None:
    html = render_answers(page(scores))
    assert "Not a medical device" in html
    assert "medxchat" in html
    assert "60 questions" in html
    assert "20 films" in html
    assert "film-of-held-out-question" in html
    assert "30 questions of 11 films" in " ".join(html.split())
    assert "Synthetic data" not in html
    replica = render_answers(page(scores, replicas=frozenset({"mimic_cxr_vqa"})))
    assert "Synthetic data" in replica
    assert "mimic_cxr_vqa" in replica


def test_it_fetches_nothing_and_escapes_the_data(scores: AnswerScores) -> None:
    html = render_answers(page(scores))
    assert "&lt;b&gt;this&lt;/b&gt;" in html
    assert "<b>this</b>" not in html
    assert re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", html) == []
    assert html.count("data:image/png;base64,") == 4, "two films of each of two questions"
    assert "<em>empty</em>" in html


def test_it_is_the_same_for_the_same_scores(scores: AnswerScores) -> None:
    assert render_answers(page(scores)) == render_answers(page(scores))


def test_verdicts_are_of_accuracy_and_closed_accuracy_against_every_control(
    scores: AnswerScores,
) -> None:
    found = verdicts(scores)
    assert [(row["metric"], row["control"]) for row in found] == [
        (metric, control)
        for metric in ("accuracy", "closed-accuracy")
        for control in ("Another study's image", "Blank image", "Majority answer")
    ]
    assert all(row["beats"] and not row["loses"] for row in found)
    assert found[0]["model"] == "0.950"
    assert found[0]["gain"] == "+0.450"


def test_metrics_without_a_question_have_no_row(scores: AnswerScores) -> None:
    assert metric_row(scores, "open-token-F1") is None
    row = metric_row(scores, "accuracy")
    assert row is not None
    assert row["questions"] == 60
    assert row["gains"]["blank"]["better"]
    unparsed = metric_row(scores, "unparsed-share")
    assert unparsed is not None
    assert not unparsed["gains"]["blank"]["better"], "nothing lost, nothing won"


def test_types_stand_with_their_support(scores: AnswerScores) -> None:
    support = [("POS", 30), ("PRES", 30)]
    for metric in ("accuracy", "closed-accuracy", "set-F1"):
        rows = type_rows(scores, metric)
        assert [(row["type"], row["questions"]) for row in rows] == support
        assert set(rows[0]["gains"]) == {"shuffled", "blank", "majority"}
    assert type_rows(scores, "open-token-F1") == [], "none is open"
    html = render_answers(page(scores))
    for metric in ("accuracy", "closed-accuracy", "set-F1"):
        assert f"<summary>{metric} by type, beside the controls</summary>" in html
    assert "<summary>open-token-F1 by type" not in html


def test_a_type_says_why_a_score_of_it_is_missing() -> None:
    rare = question_row(58, "test", "left lung", question_type="ORGAN", answer_type="OPEN")
    rows = [row for row in yes_and_no().to_pylist() if row["example_id"] != "q0058"]
    questions = questions_table([*rows, rare])
    found = type_table(score_predicted(predictions_of(questions), questions, 100, 3, 48))
    cells = {row["type"]: dict(zip(BY_TYPE, row["cells"], strict=True)) for row in found}
    assert [(row["type"], row["questions"], row["closed"]) for row in found] == [
        ("POS", 30, 30),
        ("PRES", 29, 29),
        ("ORGAN", 1, 0),
    ]
    assert cells["POS"]["open-token-F1"] == "none open"
    assert cells["ORGAN"]["closed-accuracy"] == "none closed"
    assert cells["ORGAN"]["open-exact-match"] == "0.000 too few films for an interval"
    assert cells["PRES"]["set-F1"].endswith("]")


def test_shown_questions_are_drawn_about_films_of_their_own(scores: AnswerScores) -> None:
    right, wrong = choose_questions(scores, 3)
    assert (len(right), len(wrong)) == (3, 3)
    films = [int(name[1:]) // 3 for name in (*right, *wrong)]
    assert len(set(films)) == 6
    marks = {
        row["example_id"]: row["right"]
        for row in scores.examples().to_pylist()
        if row["control"] == "none"
    }
    assert all(marks[name] for name in right)
    assert not any(marks[name] for name in wrong)
    assert choose_questions(scores, 3) == (right, wrong), "drawn by their ids"


def test_a_page_without_answers_says_why() -> None:
    nothing = nothing_answered("no test examples of vqa_rad")
    assert choose_questions(nothing, 4) == ([], [])
    html = render_answers(page(nothing, right=(), wrong=(), losses={}, funnel=()))
    assert "no test examples of vqa_rad" in html
    assert "this page cannot say" in html
    assert 'id="scores"' not in html

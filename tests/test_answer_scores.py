"""Scores of a model's answers beside its controls: the document, the numbers, the terminal."""

from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa
import pytest
from answers_world import (
    prediction_row,
    predictions_of,
    question_row,
    questions_table,
    yes_and_no,
)

from evaluation.answer_scores import (
    EXAMPLES_SCHEMA,
    MAJORITY,
    NO_TRAINING_QUESTION,
    AnswerScores,
    nothing_answered,
    questions_of,
    score_predicted,
)
from evaluation.vqa import BY_TYPE, LOWER_IS_BETTER, METRICS
from infra.errors import InputError
from sources.prediction import PREDICTION_SCHEMA
from tasks.score.answers_text import answers_text


@pytest.fixture(scope="module")
def scores() -> AnswerScores:
    questions = yes_and_no()
    return score_predicted(predictions_of(questions), questions, 200, 3, 48)


@pytest.fixture(scope="module")
def document(scores: AnswerScores) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(scores.to_dict()))
    return found


def row_of(document: dict[str, Any], kind: str, **wanted: Any) -> dict[str, Any]:
    [found] = [
        row for row in document[kind] if all(row[name] == value for name, value in wanted.items())
    ]
    assert isinstance(found, dict)
    return found


def test_three_controls_stand_beside_the_model(document: dict[str, Any]) -> None:
    assert list(document["systems"]) == ["none", "shuffled", "blank", "majority"]
    values = {
        name: row_of(document, "scores", control=name, metric="accuracy", group="all")["value"]
        for name in document["systems"]
    }
    # the model is wrong where it says no to one of the yes of every tenth question
    assert values["none"] == pytest.approx(1 - 3 / 60)
    assert values["shuffled"] == values["blank"] == values["majority"] == pytest.approx(0.5)


def test_differences_are_paired_and_say_who_wins(document: dict[str, Any]) -> None:
    for control in ("shuffled", "blank", "majority"):
        row = row_of(document, "differences", control=control, metric="accuracy", group="all")
        assert row["value"] == pytest.approx(0.45)
        assert row["low"] > 0
        assert (row["beats"], row["loses"]) == (True, False)
    unparsed = row_of(
        document, "differences", control="blank", metric="unparsed-share", group="all"
    )
    assert unparsed["value"] == 0.0
    assert (unparsed["beats"], unparsed["higher_is_better"]) == (False, False)


def test_a_model_that_is_worse_than_the_majority_is_told_so() -> None:
    rows = [question_row(n, "test", "no") for n in range(30)]
    train = [question_row(600 + n, "train", "no") for n in range(6)]
    questions = questions_table([*rows, *train])
    predictions = pa.Table.from_pylist(
        [prediction_row(row, "none", "yes" if n % 2 else "no") for n, row in enumerate(rows)],
        schema=PREDICTION_SCHEMA,
    )
    told = score_predicted(predictions, questions, 200, 3).to_dict()
    row = row_of(told, "differences", control="majority", metric="accuracy", group="all")
    assert (row["beats"], row["loses"]) == (False, True)
    assert "accuracy less that of the majority answer" in answers_text(told)
    assert "DOES NOT BEAT IT" in answers_text(told)


def test_films_are_what_intervals_draw(document: dict[str, Any]) -> None:
    assert (document["questions"], document["images"], document["closed"]) == (60, 20, 60)
    assert document["training"] == {"questions": 30, "images": 11}
    signature = row_of(document, "scores", control="none", metric="accuracy", group="all")
    assert signature["signature"]["unit"] == "image with all its questions"
    assert signature["signature"]["images"] == 20
    assert signature["signature"]["max_new_tokens"] == 48


def test_every_metric_has_its_direction_and_its_support(document: dict[str, Any]) -> None:
    whole = [row for row in document["scores"] if row["group"] == "all"]
    assert {row["metric"] for row in whole} == set(METRICS)
    for row in whole:
        assert row["higher_is_better"] is (row["metric"] not in LOWER_IS_BETTER)
    support = {row["metric"]: row["questions"] for row in whole}
    assert (support["accuracy"], support["closed-accuracy"], support["open-exact-match"]) == (
        60,
        60,
        0,
    )
    by_type = {
        (row["group"], row["metric"]): row["questions"]
        for row in document["scores"]
        if row["control"] == "blank" and row["group"] != "all"
    }
    support = [30, 30, 0, 0, 30]  # all of them are closed
    assert by_type == {
        (group, metric): count
        for group in ("PRES", "POS")
        for metric, count in zip(BY_TYPE, support, strict=True)
    }


def test_numbers_for_the_registry_are_over_all_questions(scores: AnswerScores) -> None:
    tracked = scores.tracked()
    assert tracked["none/accuracy"] == pytest.approx(0.95)
    assert tracked["majority/closed-accuracy"] == pytest.approx(0.5)
    assert not any("open" in name for name in tracked), "no open question, no number"
    assert all(isinstance(value, float) for value in tracked.values())
    assert not any(set(name) & set(",[]") for name in tracked), "MLflow refuses such names"


def test_the_document_and_the_table_hold_no_text(
    scores: AnswerScores, document: dict[str, Any]
) -> None:
    said = json.dumps(document)
    assert "Is there sign" not in said
    table = scores.examples()
    assert table.schema.equals(EXAMPLES_SCHEMA)
    assert table.num_rows == 4 * 60
    own = [row["right"] for row in table.to_pylist() if row["control"] == "none"]
    assert sum(own) == 57


def test_a_list_is_right_in_any_order_and_only_where_the_publisher_gives_one() -> None:
    rows = [
        question_row(0, "test", "edema, effusion", answers=["edema", "effusion"]),
        question_row(1, "test", "left and right"),
    ]
    said = ["Effusion, edema", "right and left"]
    predictions = pa.Table.from_pylist(
        [prediction_row(row, "none", text) for row, text in zip(rows, said, strict=True)],
        schema=PREDICTION_SCHEMA,
    )
    found = score_predicted(predictions, questions_table(rows), 20, 0)
    marks = {row["example_id"]: row["right"] for row in found.examples().to_pylist()}
    assert marks == {"q0000": True, "q0001": False}


def test_without_training_questions_there_is_no_majority_and_it_is_said() -> None:
    questions = yes_and_no(train=0)
    found = score_predicted(predictions_of(questions), questions, 20, 0)
    assert MAJORITY not in found.said
    assert found.unavailable == {"majority answer": NO_TRAINING_QUESTION}
    assert f"unavailable: majority answer: {NO_TRAINING_QUESTION}" in answers_text(found.to_dict())


def test_answers_are_taken_by_their_ids_not_their_place() -> None:
    questions = yes_and_no()
    straight = predictions_of(questions)
    turned = straight.take(list(reversed(range(straight.num_rows))))
    ahead = score_predicted(straight, questions, 20, 0)
    back = score_predicted(turned, questions.slice(5, 85), 20, 0)
    assert ahead.scores[0].interval == back.scores[0].interval


def test_answers_to_other_questions_are_refused() -> None:
    questions = yes_and_no()
    with pytest.raises(InputError) as error:
        score_predicted(predictions_of(questions).slice(1), questions, 20, 0)
    assert str(error.value) == (
        "found 59 answers of control none for 60 test questions; expected one for each; "
        "predict again"
    )


@pytest.mark.parametrize(
    ("answer", "kind", "closed"),
    [("yes", "OPEN", True), ("left", "CLOSED", True), ("left", None, False), ("No.", None, True)],
)
def test_a_question_is_closed_by_its_publisher_or_its_answer(
    answer: str, kind: str | None, closed: bool
) -> None:
    table = questions_table([question_row(0, "test", answer, answer_type=kind)])
    assert questions_of(table).closed == (closed,)


def test_equal_film_names_of_two_sources_are_two_films() -> None:
    rows = [
        question_row(0, "test", "no"),
        question_row(1, "test", "no", source="mimic_cxr_vqa", question_type=None),
    ]
    found = questions_of(questions_table(rows))
    assert found.images == ("vqa_rad\tfilm0.jpg", "mimic_cxr_vqa\tfilm0.jpg")
    assert found.types == ("PRES", "")


def test_the_terminal_shows_scores_types_and_verdicts(document: dict[str, Any]) -> None:
    lines = answers_text(document).splitlines()
    assert lines[0] == (
        "60 questions (60 closed) about 20 films; 30 questions about 11 films trained on"
    )
    assert lines[1].split() == [
        *("model", "shuffled", "image", "blank", "image", "majority", "answer")
    ]
    assert lines[2].startswith("accuracy (60)")
    assert "0.950 [" in lines[2]
    assert any(line.startswith("accuracy, PRES (30)") for line in lines)
    title = next(line for line in lines if line.startswith("model by type"))
    assert title.split() == ["model", "by", "type", *BY_TYPE[1:]]
    own = lines[lines.index(title) + 1]
    spanned, none = r"0\.\d{3} \[.+?\]", "-"
    assert re.fullmatch(" +".join(["P[A-Z]+", spanned, none, none, spanned]), own), "none is open"
    verdicts = [line for line in lines if " less that " in line]
    assert len(verdicts) == 6
    assert all(line.endswith(": beats it") for line in verdicts)
    assert verdicts[2].startswith("accuracy less that of the majority answer: +0.450 [")
    assert not any("–" in line or "−" in line for line in lines), "a terminal gets plain signs"


def test_many_types_are_cut_on_a_terminal() -> None:
    rows = [question_row(n, "test", "no", question_type=f"T{n % 11:02}") for n in range(44)]
    questions = questions_table(rows)
    found = score_predicted(predictions_of(questions), questions, 20, 0)
    text = answers_text(found.to_dict())
    assert text.count("\naccuracy, T") == text.count("\nT") == 8
    assert "and 3 rarer types: see the page" in text


def test_no_question_left_is_told_with_its_reason() -> None:
    found = nothing_answered("no test examples of vqa_rad").to_dict()
    assert found["questions"] == 0
    assert answers_text(found).splitlines() == [
        "NOT SCORED: no test question is left; the rows above say why",
        "unavailable: answers: no test examples of vqa_rad",
    ]

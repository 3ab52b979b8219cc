"""Answers of two models held against each other: films drawn, closed questions counted apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from answers_world import predictions_of, question_row, questions_table, yes_and_no

from evaluation.ablation import Variant, compare_variants
from evaluation.ablation_page import as_markdown, render_ablation
from evaluation.answer_scores import score_predicted
from evaluation.answer_system import answer_measures, read_answer_system
from evaluation.paired import System, paired_difference, why_not_paired
from evaluation.vqa import METRICS
from infra.errors import InputError

QUESTIONS = yes_and_no()


def answered(questions: pa.Table, answer: str | None = None, rights: int = 10) -> pa.Table:
    """PREDICTION_SCHEMA: right on so many of ten, or always the same answer."""
    rows = []
    for place, row in enumerate(predictions_of(questions, ("none",)).to_pylist()):
        right = place % 10 < rights
        rows.append({**row, "prediction": answer or (row["reference"] if right else "Perhaps")})
    return pa.Table.from_pylist(rows, schema=predictions_of(questions).schema)


def system(answer: str | None = None, rights: int = 10, questions: pa.Table = QUESTIONS) -> System:
    return read_answer_system(answered(questions, answer, rights), questions)


def variant(name: str, of: System) -> Variant:
    return Variant(name, f"What of {name}?", (), of, 60.0, 40)


def test_values_and_intervals_are_those_of_the_scores() -> None:
    """One bootstrap over films, whoever asks."""
    scored = score_predicted(predictions_of(QUESTIONS), QUESTIONS, resamples=200, seed=3)
    own = {
        one.metric: one.interval
        for one in scored.scores
        if (one.system, one.group) == ("none", "all")
    }
    first = read_answer_system(predictions_of(QUESTIONS), QUESTIONS)
    found = compare_variants("x", [variant("baseline", first)], METRICS, 200, 3)
    cells = {cell.metric: cell.value for cell in found.rows[0].cells}
    assert cells.keys() == own.keys()
    for metric, value in own.items():
        assert cells[metric] == value, metric
    assert (found.examples, found.subjects, found.unit) == (60, 20, "film")


def test_a_model_that_knows_is_told_from_one_that_always_says_no() -> None:
    pair = paired_difference(system("no"), system(), "accuracy", 500, 0)
    assert pair is not None
    assert pair.difference.value == pytest.approx(0.5)
    assert (pair.examples, pair.subjects) == (60, 20)
    found = compare_variants(
        "x", [variant("baseline", system("no")), variant("knows", system())], ["accuracy"], 500, 0
    )
    assert found.rows[1].cell("accuracy").better is True


def test_questions_about_one_film_are_drawn_and_exchanged_together() -> None:
    """All answers of half of the films are wrong: the interval is wider than that of as many
    questions which each have a film."""
    apart = questions_table(
        [{**row, "image_ids": [f"f{n}"]} for n, row in enumerate(QUESTIONS.to_pylist())]
    )

    def half_wrong(questions: pa.Table) -> System:
        rows = answered(questions).to_pylist()
        said = [
            {**row, "prediction": "Perhaps" if (n // 3) % 2 else row["prediction"]}
            for n, row in enumerate(rows)
        ]
        return read_answer_system(pa.Table.from_pylist(said, answered(questions).schema), questions)

    widths = []
    for questions in (QUESTIONS, apart):
        pair = paired_difference(
            system(questions=questions), half_wrong(questions), "accuracy", 500, 0
        )
        assert pair is not None
        assert pair.difference.low is not None and pair.difference.high is not None
        widths.append(pair.difference.high - pair.difference.low)
    assert widths[0] > 1.5 * widths[1]


def test_a_metric_of_some_questions_counts_those_alone() -> None:
    rows = [question_row(n, "test", "yes") for n in range(8)]
    rows += [question_row(n, "test", "left lung", answer_type="OPEN") for n in range(8, 12)]
    questions = questions_table(rows)
    own, other = system("no", questions=questions), system(questions=questions)
    examples = {
        metric: pair.examples
        for metric in METRICS
        if (pair := paired_difference(own, other, metric, 50, 0)) is not None
    }
    assert examples["accuracy"] == examples["set-F1"] == 12
    assert examples["closed-accuracy"] == examples["unparsed-share"] == 8
    assert examples["open-exact-match"] == examples["open-token-F1"] == 4


def test_no_open_question_is_no_number_and_says_so() -> None:
    variants = [variant("baseline", system("no")), variant("knows", system())]
    found = compare_variants("x", variants, ["open-token-F1"], 50, 0)
    assert [cell.unavailable for row in found.rows for cell in row.cells] == [
        "it is not a number on these examples"
    ] * 2


def test_fewer_unreadable_answers_are_better() -> None:
    found = compare_variants(
        "x",
        [variant("baseline", system(rights=2)), variant("reads", system())],
        ["unparsed-share"],
        500,
        0,
    )
    cell = found.rows[1].cell("unparsed-share")
    assert cell.higher_is_better is False
    assert cell.better is True
    assert {measure.name for measure in answer_measures() if not measure.higher_is_better} == {
        "unparsed-share"
    }


def test_other_questions_or_answers_are_not_paired() -> None:
    rows = [row for row in QUESTIONS.to_pylist() if row["split"] == "test"]
    fewer, changed = questions_table(rows[1:]), questions_table(
        [{**rows[0], "answer": "maybe"}, *rows[1:]]
    )  # fmt: skip
    assert why_not_paired(system(), system(questions=fewer)) == (
        "other test examples: 59 of 60 and 59 are shared"
    )
    assert "other references for 1 of 60" in str(
        why_not_paired(system(), system(questions=changed))
    )


def test_answers_to_other_questions_than_the_tests_are_refused() -> None:
    rows = [row for row in QUESTIONS.to_pylist() if row["split"] == "test"]
    with pytest.raises(InputError, match="60 answers for 59 test questions"):
        read_answer_system(answered(QUESTIONS), questions_table(rows[1:]))


def test_controls_and_training_questions_are_left_out() -> None:
    found = read_answer_system(predictions_of(QUESTIONS), QUESTIONS)
    assert len(found.outputs.example_ids) == len(found.films) == 60
    assert list(found.outputs.written) == ["none"]
    for counts in found.families.values():
        assert counts.shape == (60, 2)
        assert np.isfinite(counts).all()


def test_the_page_and_the_table_say_what_is_drawn() -> None:
    found = compare_variants(
        "x", [variant("baseline", system("no")), variant("knows", system())], ["accuracy"], 50, 0
    )
    text = as_markdown(found)
    assert "60 test examples of 20 films." in text
    assert "a bootstrap over films" in text
    page = render_ablation(found, "today", [])
    assert "20 films" in page
    document: dict[str, Any] = found.to_dict()
    assert document["unit"] == "film"

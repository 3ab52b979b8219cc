"""Small predictions and questions for the tests of scores of answers and of their page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from sources.prediction import PREDICTION_SCHEMA
from sources.question import QUESTION_SCHEMA

CONTROLS = ("none", "shuffled", "blank")


def question_row(number: int, split: str, answer: str, **changes: Any) -> dict[str, Any]:
    """Question ``number`` of 1000: three about each film, presence and location in turn."""
    film = f"film{number // 3}.jpg"
    row = {
        "example_id": f"q{number:04}",
        "source": "vqa_rad",
        "study_id": f"s{number // 3}",
        "dialogue_id": str(number),
        "split": split,
        "image_ids": [film],
        "question": f"Is there sign {number % 5}?",
        "answer": answer,
        "answers": [answer],
        "question_type": "PRES" if number % 2 == 0 else "POS",
        "question_form": "freeform",
        "answer_type": "CLOSED",
    }
    return {**row, **changes}


def questions_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=QUESTION_SCHEMA)


def yes_and_no(train: int = 30, test: int = 60) -> pa.Table:
    """Training says no twice as often as yes; half of the test is yes."""
    learned = [
        question_row(900 - n, "train", "no" if n % 3 else "yes", question=f"Seen {n}?")
        for n in range(train)
    ]
    asked = [question_row(n, "test", "yes" if n % 4 < 2 else "No") for n in range(test)]
    return questions_table([*learned, *asked])


def predictions_of(questions: pa.Table, controls: Sequence[str] = CONTROLS) -> pa.Table:
    """The model is right on nine of ten test questions, the controls always say no."""
    rows = []
    asked = [row for row in questions.to_pylist() if row["split"] == "test"]
    for control in controls:
        for place, row in enumerate(asked):
            right = control == "none" and place % 10 != 9
            rows.append(prediction_row(row, control, row["answer"] if right else "No."))
    return pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)


def prediction_row(
    question: dict[str, Any], control: str, text: str, **changes: Any
) -> dict[str, Any]:
    """What a system said to a question."""
    row = {
        "example_id": question["example_id"],
        "source": question["source"],
        "study_id": question["study_id"],
        "subject_id": None,
        "split": "test",
        "view": "UNKNOWN",
        "control": control,
        "image_study_id": None if control == "blank" else question["study_id"],
        "prediction": text,
        "reference": question["answer"],
        "finish_reason": "stop",
        "tokens": 1,
    }
    return {**row, **changes}

"""Scores of a model's answers beside three controls: the majority answer, another image, none.

The majority answer is learned from the training questions alone and looks at no image; the other
two are the same model with another study's film and with a blank one. Shapes: Q test questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from evaluation.answers import normal_answer
from evaluation.controls import CONTROLS, MODEL
from evaluation.vqa import (
    ALL,
    Questions,
    VqaDifference,
    VqaScore,
    counts_of,
    difference_rows,
    majority_answers,
    score_answers,
    score_rows,
)
from infra.errors import InputError
from sources.record import AnswerType, Split

FORMAT: Final = 1
"""Raise when a reader of ``to_dict`` must change."""
MAJORITY: Final = "majority"
NO_TRAINING_QUESTION: Final = "the set has no training question to learn it from"

Row = dict[str, Any]


@dataclass(frozen=True)
class AnswerScores:
    """Everything measured on one set of answers.

    Args:
        asked: the Q test questions, in the order of their ids.
        said: by system the Q answers.
        systems: by system how many answers, empty ones, and those cut at the token limit.
        trained: how many questions of how many films the majority answer was learned from.
        sources: test questions by source.
        unavailable: what could not be measured, and why.
    """

    asked: Questions
    said: Mapping[str, tuple[str, ...]]
    scores: tuple[VqaScore, ...]
    differences: tuple[VqaDifference, ...]
    systems: Mapping[str, Mapping[str, int]]
    trained: tuple[int, int]
    sources: Mapping[str, int]
    unavailable: Mapping[str, str]

    def to_dict(self) -> Row:
        """Plain values for JSON, without any text of the data."""
        return {
            "format": FORMAT,
            "kind": "vqa",
            "questions": len(self.asked),
            "closed": sum(self.asked.closed),
            "images": len(set(self.asked.images)),
            "sources": dict(self.sources),
            "training": {"questions": self.trained[0], "images": self.trained[1]},
            "systems": {name: dict(counts) for name, counts in self.systems.items()},
            "scores": score_rows(self.scores),
            "differences": difference_rows(self.differences),
            "unavailable": dict(self.unavailable),
        }

    def tracked(self) -> dict[str, float]:
        """``control/metric`` → value over all questions."""
        return {
            f"{score.system}/{score.metric}": score.interval.value
            for score in self.scores
            if score.group == ALL and score.interval.value is not None
        }

    def examples(self) -> pa.Table:
        """One row per system and question: whether it was right, without any text."""
        rows = [
            {"example_id": name, "control": system, "right": bool(right)}
            for system, answers in self.said.items()
            for name, right in zip(
                self.asked.ids, counts_of(self.asked, answers)["accuracy"][:, 0], strict=True
            )
        ]
        return pa.Table.from_pylist(rows, schema=EXAMPLES_SCHEMA)


EXAMPLES_SCHEMA: Final = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("control", pa.string(), nullable=False),
        pa.field("right", pa.bool_(), nullable=False),
    ]
)


def score_predicted(
    predictions: pa.Table,
    questions: pa.Table,
    resamples: int,
    seed: int,
    max_new_tokens: int | None = None,
) -> AnswerScores:
    """Scores of PREDICTION_SCHEMA rows on the test questions of a QUESTION_SCHEMA table.

    Raises:
        InputError: a system answered other questions than those of the test.
    """
    test = _of_split(questions, Split.TEST)
    asked, train = questions_of(test), questions_of(_of_split(questions, Split.TRAIN))
    said = _said(predictions, asked.ids)
    unavailable = {}
    if len(train):
        said[MAJORITY] = majority_answers(train, asked)
    else:
        unavailable["majority answer"] = NO_TRAINING_QUESTION
    scores, differences = score_answers(asked, said, MODEL, resamples, seed, max_new_tokens)
    return AnswerScores(
        asked,
        said,
        tuple(scores),
        tuple(differences),
        {name: _counts(predictions, name, answers) for name, answers in said.items()},
        (len(train), len(set(train.images))),
        _by_source(test),
        unavailable,
    )


def nothing_answered(why: str) -> AnswerScores:
    """The scores of no question at all."""
    none = Questions((), (), (), (), (), ())
    return AnswerScores(none, {}, (), (), {}, (0, 0), {}, {"answers": why})


def questions_of(table: pa.Table) -> Questions:
    """The rows of a QUESTION_SCHEMA table; a film is named with its source, by the first shown."""
    rows = table.sort_by("example_id").to_pylist()
    return Questions(
        tuple(row["example_id"] for row in rows),
        tuple(row["question"] for row in rows),
        tuple(row["answer"] for row in rows),
        tuple(row["question_type"] or "" for row in rows),
        tuple(_is_closed(row) for row in rows),
        tuple(f"{row['source']}\t{row['image_ids'][0]}" for row in rows),
        tuple(tuple(row["answers"]) for row in rows),
    )


def _is_closed(row: Row) -> bool:
    return row["answer_type"] == AnswerType.CLOSED or normal_answer(row["answer"]) in ("yes", "no")


def _of_split(questions: pa.Table, split: Split) -> pa.Table:
    return questions.filter(pc.equal(questions["split"], str(split)))


def _said(predictions: pa.Table, wanted: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By control, the model first, the answers in the order of ``wanted``."""
    found: dict[str, dict[str, str]] = {}
    for row in predictions.select(["control", "example_id", "prediction"]).to_pylist():
        found.setdefault(row["control"], {})[row["example_id"]] = row["prediction"]
    for control, answers in found.items():
        if answers.keys() != set(wanted):
            raise InputError(
                f"{len(answers)} answers of control {control} for {len(wanted)} test questions",
                "one for each",
                "predict again",
            )
    return {
        control: tuple(found[control][name] for name in wanted)
        for control in sorted(found, key=CONTROLS.index)
    }


def _counts(predictions: pa.Table, system: str, answers: Sequence[str]) -> dict[str, int]:
    own = predictions.filter(pc.equal(predictions["control"], system))
    return {
        "examples": len(answers),
        "empty": sum(not answer.strip() for answer in answers),
        "cut_short": own["finish_reason"].to_pylist().count("length"),
    }


def _by_source(questions: pa.Table) -> dict[str, int]:
    counted = questions["source"].value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in sorted(counted, key=lambda row: row["values"])}

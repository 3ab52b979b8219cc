"""Answers of one model as counts and measures, so that two models are held apart as reports are.

Intervals draw films with all their questions, as those of ``vqa`` do. Shapes: Q test questions.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from evaluation.answer_scores import questions_of
from evaluation.controls import MODEL, read_outputs
from evaluation.measures import OWN, Measure
from evaluation.paired import System
from evaluation.statistics import mean_of
from evaluation.vqa import LOWER_IS_BETTER, METRICS, VERSION, counts_of
from infra.errors import InputError
from sources.record import Split


def answer_measures() -> list[Measure]:
    """One measure for each metric of answers: the mean over the questions that it counts."""
    about = {"implementation": f"{OWN} answers", "version": VERSION}
    return [Measure(name, name, mean_of, name not in LOWER_IS_BETTER, about) for name in METRICS]


def read_answer_system(predictions: pa.Table, questions: pa.Table) -> System:
    """The model's own answers (no control's) to the test questions, and all of their counts.

    Args:
        predictions: PREDICTION_SCHEMA rows.
        questions: QUESTION_SCHEMA rows of the set.

    Raises:
        InputError: it answered other questions than those of the test, or none.
    """
    outputs = read_outputs(predictions.filter(pc.equal(predictions["control"], MODEL)))
    asked = questions_of(questions.filter(pc.equal(questions["split"], str(Split.TEST))))
    if outputs.example_ids != asked.ids:
        raise InputError(
            f"{len(outputs.example_ids)} answers for {len(asked)} test questions",
            "one for each",
            "predict again",
        )
    measures = answer_measures()
    return System(
        outputs,
        counts_of(asked, outputs.written[MODEL].predictions),
        {measure.name: measure for measure in measures},
        {measure.family: VERSION for measure in measures},
        asked.images,
    )

"""A model and one of its controls as two systems, so that they are held apart as two models are.

Both are of the examples that the control answered: it may have been asked fewer.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from evaluation.answer_scores import MAJORITY, questions_of
from evaluation.answer_system import read_answer_system
from evaluation.controls import MODEL
from evaluation.paired import System, read_system
from evaluation.vqa import majority_answers
from infra.settings.sections import ScoreSettings
from sources.record import Split

Pair = tuple[System, System]
"""The model, and the control."""


def report_pair(
    predictions: pa.Table, counts: pa.Table, judged: pa.Table, settings: ScoreSettings, control: str
) -> Pair | None:
    """Counts of both by example; None without predictions of the control.

    Raises:
        InputError: a table does not fit (see ``read_system``).
    """
    said, counted = (_named_as_model(table, control) for table in (predictions, counts))
    if not said.num_rows:
        return None
    asked = said["example_id"]
    own, mine = (_of(_named_as_model(table, MODEL), asked) for table in (predictions, counts))
    model = read_system(own, mine, judged, settings)
    return model, read_system(said, counted, judged, settings)


def answer_pair(predictions: pa.Table, questions: pa.Table, control: str) -> Pair | None:
    """The same of answers, also beside the majority answer; None without answers of the control.

    Raises:
        InputError: other questions were answered (see ``read_answer_system``).
    """
    own = _named_as_model(predictions, MODEL)
    other = _named_as_model(predictions, control)
    if control == MAJORITY:
        other = _majority(own, questions)
    if not other.num_rows:
        return None
    return read_answer_system(own, questions), read_answer_system(other, questions)


def _majority(own: pa.Table, questions: pa.Table) -> pa.Table:
    """The model's rows with the training questions' most common answer in place of its own."""
    train, test = (
        questions_of(questions.filter(pc.equal(questions["split"], str(split))))
        for split in (Split.TRAIN, Split.TEST)
    )
    if not len(train):
        return own.slice(0, 0)
    said = dict(zip(test.ids, majority_answers(train, test), strict=True))
    column = pa.array([said.get(name, "") for name in own["example_id"].to_pylist()], pa.string())
    return own.set_column(own.column_names.index("prediction"), "prediction", column)


def _named_as_model(table: pa.Table, control: str) -> pa.Table:
    """A system's rows as if they were the model's, for what reads those alone."""
    rows = table.filter(pc.equal(table["control"], control))
    name = pa.array([MODEL] * rows.num_rows, pa.string())
    named = rows.set_column(rows.column_names.index("control"), "control", name)
    return named.replace_schema_metadata(table.schema.metadata)


def _of(table: pa.Table, examples: pa.ChunkedArray) -> pa.Table:
    return table.filter(pc.is_in(table["example_id"], examples.combine_chunks()))

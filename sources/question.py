"""What is known of a question beside its example: a table without pixels, as the scores read it."""

from __future__ import annotations

import pyarrow as pa

_TEXT = pa.string()

QUESTION_SCHEMA = pa.schema(
    [
        pa.field("example_id", _TEXT, nullable=False),
        pa.field("source", _TEXT, nullable=False),
        pa.field("study_id", _TEXT, nullable=False),
        pa.field("dialogue_id", _TEXT, nullable=False),
        pa.field("split", _TEXT, nullable=False),
        pa.field("image_ids", pa.list_(_TEXT), nullable=False),
        pa.field("question", _TEXT, nullable=False),
        pa.field("answer", _TEXT, nullable=False),
        pa.field("answers", pa.list_(_TEXT), nullable=False),
        pa.field("question_type", _TEXT),
        pa.field("question_form", _TEXT),
        pa.field("answer_type", _TEXT),
    ]
)
"""One row per example of a set of questions. ``answer`` is the example's target and ``answers`` its
parts where it is a set; the other columns are the dialogue's (``sources.record.Dialogue``)."""

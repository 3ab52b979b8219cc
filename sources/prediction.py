"""What a model wrote for one example, as the scores read it."""

from __future__ import annotations

import pyarrow as pa

_TEXT = pa.string()
GENERATED_IDS = pa.field("generated_ids", pa.list_(pa.int32()))
"""The ids exactly as the model chose them, with the end token where it stopped."""

PREDICTION_SCHEMA = pa.schema(
    [
        pa.field("example_id", _TEXT, nullable=False),
        pa.field("source", _TEXT, nullable=False),
        pa.field("study_id", _TEXT, nullable=False),
        pa.field("subject_id", _TEXT),
        pa.field("split", _TEXT, nullable=False),
        pa.field("view", _TEXT, nullable=False),
        pa.field("control", _TEXT, nullable=False),
        pa.field("image_study_id", _TEXT),
        pa.field("prediction", _TEXT, nullable=False),
        pa.field("reference", _TEXT, nullable=False),
        pa.field("finish_reason", _TEXT, nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        GENERATED_IDS,
    ]
)
"""``image_study_id`` is the study whose image was shown, null for the blank one. A text that no
model of ours generated (a teacher's) has no ``generated_ids``."""

"""One row per example and system: the numbers behind the scores, for slicing and for the page.

It holds no text: predictions and references stay in the predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from evaluation.clinical import as_counts, report_f1
from evaluation.controls import Outputs
from evaluation.judged import JudgedCounts
from evaluation.texts import TextCounts
from sources.record import LABEL_TYPE

EXAMPLE_SCORES_SCHEMA = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("control", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("study_id", pa.string(), nullable=False),
        pa.field("subject_id", pa.string()),
        pa.field("image_study_id", pa.string()),
        pa.field("rouge_l", pa.float64()),
        pa.field("rule14_f1", pa.float64()),
        pa.field("true_positive", pa.int32()),
        pa.field("false_positive", pa.int32()),
        pa.field("missed", pa.int32()),
        pa.field("reference_labels", pa.list_(LABEL_TYPE)),
        pa.field("prediction_labels", pa.list_(LABEL_TYPE)),
        pa.field("judge", pa.string()),
        pa.field("significant_errors", pa.int32()),
        pa.field("insignificant_errors", pa.int32()),
    ]
)
"""``rule14_f1`` and its counts take uncertain as negative; labels keep four values (unmentioned
ones are absent). ``judge`` is the first judge by name; its counts are null where it did not judge.
"""


def example_rows(
    outputs: Outputs, texts: Mapping[str, TextCounts], judges: list[JudgedCounts]
) -> pa.Table:
    """Rows of EXAMPLE_SCORES_SCHEMA, by control and then by example."""
    first = min((item.judge for item in judges), default=None)
    rows: list[dict[str, Any]] = []
    for control in outputs.written:
        judged = [item for item in judges if (item.judge, item.control) == (first, control)]
        rows += _system_rows(outputs, control, texts[control], judged[0] if judged else None)
    return pa.Table.from_pylist(rows, schema=EXAMPLE_SCORES_SCHEMA)


def _system_rows(
    outputs: Outputs, control: str, texts: TextCounts, judged: JudgedCounts | None
) -> list[dict[str, Any]]:
    written = outputs.written[control]
    flat = texts.families["rule14-negative"][written.rows]
    sums = as_counts(flat).sum(axis=-2).astype(int)
    f1, overlap = report_f1(flat), texts.families["rouge"][written.rows, 0]
    true, told = texts.reference_labels.to_labels(), texts.prediction_labels.to_labels()
    return [
        {
            "example_id": outputs.example_ids[row],
            "control": control,
            "source": outputs.sources[row],
            "study_id": outputs.study_ids[row],
            "subject_id": outputs.subject_ids[row],
            "image_study_id": written.image_study_ids[at],
            "rouge_l": float(overlap[at]),
            "rule14_f1": float(f1[at]),
            "true_positive": int(sums[at, 0]),
            "false_positive": int(sums[at, 1]),
            "missed": int(sums[at, 2]),
            "reference_labels": true[at],
            "prediction_labels": told[at],
            **_judged_columns(judged, row),
        }
        for at, row in enumerate(written.rows)
    ]


def _judged_columns(judged: JudgedCounts | None, row: int) -> dict[str, Any]:
    if judged is None or not judged.column("judged")[row]:
        return {"judge": judged.judge if judged else None}
    return {
        "judge": judged.judge,
        "significant_errors": int(judged.column("significant errors")[row]),
        "insignificant_errors": int(judged.column("insignificant errors")[row]),
    }

"""Small predictions and judgements for the tests of scores and of the report page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from evaluation.judged import CATEGORIES, JUDGED_SCHEMA
from infra.settings.sections import ScoreSettings

NORMAL = "The heart is normal in size. The lungs are clear. No pneumothorax."
EFFUSION = "Small left pleural effusion. The heart is normal in size. No pneumothorax."
EDEMA = "Moderate pulmonary edema with cardiomegaly. No pneumothorax."
NODULE = "A nodule in the right upper lobe. No pleural effusion."
TEXTS = (NORMAL, EFFUSION, EDEMA, NODULE)
SETTINGS = ScoreSettings(bootstrap_resamples=200, seed=3, judges=("offline-rules",))


def prediction_row(place: int, control: str, text: str, /, **changes: Any) -> dict[str, Any]:
    """Example ``place`` of 1000: two studies for each subject, references in turn from TEXTS."""
    image = {"none": place, "shuffled": place + 1, "blank": None}[control]
    row = {
        "example_id": f"e{place:04}",
        "source": "mimic_cxr",
        "study_id": f"s{place:04}",
        "subject_id": f"p{place // 2:04}",
        "split": "test",
        "view": "PA",
        "control": control,
        "image_study_id": None if image is None else f"s{image:04}",
        "prediction": text,
        "reference": TEXTS[place % len(TEXTS)],
        "finish_reason": "stop",
        "tokens": 12,
    }
    return {**row, **changes}


def predictions_table(
    count: int = 40, controls: Sequence[str] = ("none", "shuffled", "blank")
) -> pa.Table:
    """The model is right on three of four examples, the controls always write a normal chest."""
    rows = []
    for place in range(count):
        for control in controls:
            right = control == "none" and place % 5 != 0
            text = TEXTS[place % len(TEXTS)] if right else NORMAL
            rows.append(prediction_row(place, control, text))
    return pa.Table.from_pylist(rows)


def judged_row(
    example_id: str, control: str, significant: int, insignificant: int = 0, /, **changes: Any
) -> dict[str, Any]:
    """One judgement with all errors in the second category (a missing finding)."""
    row = {
        "example_id": example_id,
        "control": control,
        "judge": "offline-rules",
        "judge_version": "v1",
        "significant": [0, significant, 0, 0, 0, 0],
        "insignificant": [0, insignificant, 0, 0, 0, 0],
        "failure": None,
    }
    assert len(CATEGORIES) == 6
    return {**row, **changes}


def judged_table(predictions: pa.Table) -> pa.Table:
    """One significant error wherever the prediction is not the reference."""
    rows = [
        judged_row(row["example_id"], row["control"], int(row["prediction"] != row["reference"]))
        for row in predictions.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=JUDGED_SCHEMA)

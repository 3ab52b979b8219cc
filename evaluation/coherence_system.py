"""What one model wants drawn upon requests, as counts and measures, so that two are held apart.

Requests in held-out words are examples of their own, with a metric of their own for each. Shapes:
N requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from evaluation import labeler_rules
from evaluation.coherence import METRICS, VERSION, counts_of, share_of
from evaluation.controls import MODEL, Outputs, Written
from evaluation.held_request import hold
from evaluation.measures import OWN, Measure
from evaluation.paired import System
from evaluation.statistics import Floats
from infra.errors import InputError
from sources.answered_request import AS_WRITTEN, HELD_OUT
from sources.xray_span import read_span

WORDINGS: Final = (AS_WRITTEN, HELD_OUT)


def coherence_metric_names() -> list[str]:
    """``span-recall``, …, and ``held-out-span-recall``, …."""
    return [measure.name for measure in coherence_measures()]


def coherence_measures() -> list[Measure]:
    """Shares of spans that say what was asked for, of requests as written and in other words."""
    about = {"implementation": f"{OWN} coherence", "version": VERSION}
    return [
        Measure(
            metric if wording == AS_WRITTEN else f"{wording}-{metric}",
            f"coherence {wording}",
            share_of(metric),
            higher_is_better=True,
            about=about,
        )
        for wording in WORDINGS
        for metric in METRICS
    ]


def read_coherence_system(answers: pa.Table) -> System:
    """The model's answers to requests, and the counts of their spans.

    Args:
        answers: ANSWERED_REQUEST_SCHEMA rows.

    Raises:
        InputError: no request was answered.
    """
    rows = answers.sort_by("example_id").to_pylist()
    if not rows:
        raise InputError("no request for a film", "one in the test split", "give more studies")
    held = counts_of([hold(row["prompt"], read_span(row["prediction"])) for row in rows])
    measures = {measure.name: measure for measure in coherence_measures()}
    families = {
        f"coherence {wording}": held * _of_wording([row["wording"] for row in rows], wording)
        for wording in WORDINGS
    }
    made_by = f"{VERSION}; rule14 {labeler_rules.REVISION}"
    said = tuple(row["prediction"] for row in rows)
    return System(
        Outputs(
            tuple(row["example_id"] for row in rows),
            tuple(row["source"] for row in rows),
            tuple(row["study_id"] for row in rows),
            tuple(row["subject_id"] for row in rows),
            tuple(row["prompt"] for row in rows),
            {MODEL: Written(MODEL, np.arange(len(rows)), said, (None,) * len(rows), 0)},
        ),
        families,
        measures,
        dict.fromkeys(families, made_by),
        of_some=frozenset(families),
    )


def _of_wording(wordings: Sequence[str], wanted: str) -> Floats:
    """(N, 1) ones where a request is in these words."""
    return np.array([[float(wording == wanted)] for wording in wordings])

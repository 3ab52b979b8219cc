"""Hold what the models of both sections wrote about the same test studies against each other."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact, build_artifact
from infra.pieces import BuiltPiece, Count
from infra.settings.abilities import section_pair
from tasks.context import Context
from tasks.predict.work import PREDICTIONS_FILE, no_test_examples

if TYPE_CHECKING:
    from evaluation.consistency import Consistency

PIECE: Final = "consistency"
FORMAT: Final = 1
"""Raise when a reader of ``consistency.json`` must change."""
SCORES_FILE: Final = "consistency.json"
PAGE_FILE: Final = "consistency.html"


def hold_together(context: Context) -> Artifact:
    """Agreement and contradictions of both sections, and their page."""
    step = context.step("consistency")
    return build_artifact(
        context.store, step, lambda: {PIECE: ""}, partial(_hold_together, context)
    )


def _hold_together(context: Context, key: str, folder: Path) -> BuiltPiece:
    from evaluation.consistency_page import (
        render_consistency,
    )  # numpy and more, that a cached run never pays

    del key
    pair = section_pair(context.settings.sets, context.settings.abilities)
    assert pair is not None, "the step is planned only where both sections are written"
    found = _measured(context, pair)
    document = _about(context, pair) | (found.to_dict() if found else _nothing(context, pair))
    (folder / SCORES_FILE).write_text(json.dumps(document, indent=1) + "\n")
    (folder / PAGE_FILE).write_text(render_consistency(document))
    studies = document["studies"]
    count = Count("studies of both sections", studies, studies)
    return BuiltPiece((count,), {"tracked": found.tracked() if found else {}})


def _measured(context: Context, pair: tuple[str, str]) -> Consistency | None:
    """None where one of the sections has no predictions at all."""
    from evaluation.consistency import join_sections, measure_consistency

    findings, impression = (_predictions(context, name) for name in pair)
    if not findings.num_rows or not impression.num_rows:
        return None
    score = context.settings.score
    joined = join_sections(findings, impression)
    return measure_consistency(joined, score.uncertain_as, score.bootstrap_resamples, score.seed)


def _nothing(context: Context, pair: tuple[str, str]) -> dict[str, Any]:
    bare = [name for name in pair if not _predictions(context, name).num_rows]
    return {
        "studies": 0,
        "subjects": 0,
        "measured": [],
        "totals": {},
        "signature": {},
        "unavailable": {"consistency": no_test_examples(context.doing(bare[0]))},
    }


def _predictions(context: Context, ability: str) -> pa.Table:
    files = context.artifact(f"predictions/{ability}").files(PREDICTIONS_FILE)
    return pa.concat_tables([pq.read_table(path) for path in files])


def _about(context: Context, pair: tuple[str, str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "recipe": context.settings.recipe,
        "scale": context.settings.scale,
        "fingerprint": context.step("consistency").fingerprint,
        "abilities": list(pair),
        "replicas": [step.name for step in context.graph.of_kind("replicas")],
        "unavailable": {},
    }

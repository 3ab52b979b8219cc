"""Gather what the report page shows: counts, losses, scores and chosen examples.

Text and pictures of a gated source never leave the data root; the page lies under it, so they are
shown there. What goes to MLflow is decided elsewhere. No time of day is on the page: two runs that
made the same thing write the same bytes, and the manifest has both.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from PIL import Image

from infra.tables import connect
from sources.record import Split
from tasks.context import Context
from tasks.monitor.kept import kept_weights
from tasks.monitor.outcome import funnel, losses
from tasks.predict.work import PREDICTIONS_FILE
from tasks.train.work import example_files

if TYPE_CHECKING:
    from evaluation.report import ReportPage, ShownExample
    from evaluation.scores import Scores
    from evaluation.slices import Slices

SHOWN = 4
"""Best and worst predictions on the page, each. Our choice: a person looks at that many."""


def make_page(context: Context, scores: Scores, slices: Slices | None) -> ReportPage:
    """Everything on the page of this run."""
    from evaluation.report import ReportPage, choose_examples  # a second, for its plots

    best, worst = choose_examples(scores.examples, SHOWN)
    shown = _shown(context, scores, [*best, *worst])
    replicas = frozenset(step.name for step in context.graph.of_kind("replicas"))
    return ReportPage(
        recipe=context.settings.recipe,
        scale=context.settings.scale,
        made_on=f"predictions {context.step('predictions').fingerprint}",
        fingerprints=fingerprints(context),
        funnel=funnel(context),
        losses=losses(context),
        kept=kept_weights(context),
        scores=scores,
        slices=slices,
        best=[shown[name] for name in best],
        worst=[shown[name] for name in worst],
        replicas=replicas,
    )


def fingerprints(context: Context) -> dict[str, str]:
    """Of the examples, stages and predictions of a run, by kind and name."""
    kinds = ("examples", "stages", "predictions")
    steps = [step for step in context.graph.steps.values() if step.kind in kinds]
    return {f"{step.kind}/{step.name}": step.fingerprint for step in steps}


def _shown(context: Context, scores: Scores, wanted: Iterable[str]) -> dict[str, ShownExample]:
    chosen = sorted(set(wanted))
    if not chosen:
        return {}  # nothing was predicted: there is no shard to look into
    from evaluation.report import ShownExample

    predictions = rows_of(prediction_files(context), chosen, "control = 'none'")
    pixels = rows_of([str(path) for path in example_files(context, Split.TEST)], chosen, "true")
    replicas = {step.name for step in context.graph.of_kind("replicas")}
    measured = {
        row["example_id"]: row for row in scores.examples.to_pylist() if row["control"] == "none"
    }
    return {
        name: ShownExample(
            source=predictions[name]["source"],
            study_id=predictions[name]["study_id"],
            view=predictions[name]["view"],
            is_replica=predictions[name]["source"] in replicas,
            image_png=as_png(pixels[name]["images"][0]["pixels"]),
            reference=predictions[name]["reference"],
            prediction=predictions[name]["prediction"],
            rule14_f1=measured[name]["rule14_f1"],
            significant_errors=measured[name]["significant_errors"],
        )
        for name in chosen
    }


def prediction_files(context: Context) -> list[str]:
    """Local paths of the ability's predictions."""
    artifact = context.artifact(f"predictions/{context.ability}")
    return [str(path) for path in artifact.files(PREDICTIONS_FILE)]


def rows_of(paths: list[str], chosen: list[str], condition: str) -> dict[str, dict[str, Any]]:
    """Rows of the chosen examples that meet an SQL condition, by example."""
    with connect() as connection:
        connection.register("wanted", pa.table({"example_id": pa.array(chosen, pa.string())}))
        rows = connection.sql(
            f"SELECT * FROM read_parquet($1) SEMI JOIN wanted USING (example_id) WHERE {condition}",
            params=[paths],
        ).to_arrow_table()
    return {row["example_id"]: row for row in rows.to_pylist()}


def as_png(pixels: bytes) -> bytes:
    """The stored picture as PNG; it is already as small as the model saw it."""
    with Image.open(BytesIO(pixels)) as image, BytesIO() as sink:
        image.save(sink, "PNG")
        return sink.getvalue()

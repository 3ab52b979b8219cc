"""Compare the scored variants of an ablation; the artifact holds one table and one plot."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact, build_artifact, read_artifact
from infra.log import LOGGER
from infra.pieces import BuiltPiece, Count
from infra.settings.matrix import MatrixSettings
from tasks.ablate.plan import PlannedVariant, comparison_step
from tasks.predict.work import PREDICTIONS_FILE
from tasks.score.work import COUNTS_FILE, JUDGED_FILE

if TYPE_CHECKING:
    from evaluation.ablation import Ablation, Variant

PIECE = "table"
TABLE_FILE = "ablation.json"
MARKDOWN_FILE = "ablation.md"
PLOT_FILE = "ablation.svg"
PAGE_FILE = "ablation.html"


def compare(matrix: MatrixSettings, variants: tuple[PlannedVariant, ...]) -> Artifact:
    """The table of all variants beside the baseline.

    Raises:
        ArtifactError: a variant has not been scored.
    """
    step = comparison_step(matrix, variants)
    store = variants[0].context.store
    return build_artifact(store, step, lambda: {PIECE: ""}, partial(_compare, matrix, variants))


def table_of(artifact: Artifact) -> dict[str, Any]:
    """The comparison's document."""
    found: dict[str, Any] = json.loads(artifact.files(TABLE_FILE)[0].read_text(encoding="utf-8"))
    return found


def _compare(
    matrix: MatrixSettings, variants: tuple[PlannedVariant, ...], key: str, folder: Path
) -> BuiltPiece:
    from evaluation.ablation import compare_variants

    del key
    baseline = variants[0]
    read = [_variant(item, baseline) for item in variants]
    found = compare_variants(matrix.name, read, matrix.metrics, matrix.resamples, matrix.seed)
    for name in set(matrix.metrics) - set(found.metrics):
        LOGGER.warning("%s: no %s in the table: the baseline was scored without", matrix.name, name)
    _write(found, matrix, variants, folder)
    scored = sum(row.apart is None for row in found.rows)
    apart = {"other test examples": len(found.rows) - scored} if scored < len(found.rows) else {}
    counts = Count("variants compared", len(variants), scored, apart)
    return BuiltPiece((counts,), {"tracked": {row.name: found.tracked(row) for row in found.rows}})


def _variant(item: PlannedVariant, baseline: PlannedVariant) -> Variant:
    """A variant's counts, from its predictions and judgements."""
    from evaluation.ablation import Variant
    from evaluation.paired import read_system

    context, recipe = item.context, item.context.settings.recipe
    predictions = _table(context.artifact(f"predictions/{recipe}"), PREDICTIONS_FILE)
    scores = context.artifact(f"scores/{recipe}")
    judged, counts = _table(scores, JUDGED_FILE), _table(scores, COUNTS_FILE)
    system = read_system(predictions, counts, judged, context.settings.score)
    stages = [context.artifact(f"stages/{stage.name}") for stage in context.settings.stages]
    others = {step.fingerprint for step in baseline.context.graph.of_kind("stages")}
    return Variant(
        item.name,
        item.question,
        item.overrides,
        system,
        round(sum(stage.seconds for stage in stages), 1),
        stages[-1].pieces[0].facts.get("examples"),
        tuple(stage.step.name for stage in stages if stage.fingerprint in others),
    )


def _table(artifact: Artifact, name: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(name)])


def _write(
    found: Ablation, matrix: MatrixSettings, variants: tuple[PlannedVariant, ...], folder: Path
) -> None:
    from evaluation.ablation_page import ablation_plot, as_markdown, render_ablation

    replicas = [step.name for step in variants[0].context.graph.of_kind("replicas")]
    made_on = f"table {comparison_step(matrix, variants).fingerprint}"
    (folder / TABLE_FILE).write_text(json.dumps(found.to_dict(), indent=1) + "\n")
    (folder / MARKDOWN_FILE).write_text(as_markdown(found))
    (folder / PLOT_FILE).write_text(ablation_plot(found))
    (folder / PAGE_FILE).write_text(render_ablation(found, made_on, replicas))


def last_comparison(
    matrix: MatrixSettings, variants: tuple[PlannedVariant, ...]
) -> Artifact | None:
    """The finished comparison, if there is one."""
    return read_artifact(variants[0].context.store, comparison_step(matrix, variants))

"""Compare the scored variants of an ablation; the artifact holds one table and one plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact, build_artifact, read_artifact
from infra.pieces import BuiltPiece, Count
from infra.settings.matrix import BASELINE, MatrixSettings
from tasks.ablate.plan import (
    AblationPlan,
    PlannedVariant,
    Unscored,
    comparison_step,
    metrics_of,
    scored,
)
from tasks.coherence.work import ANSWERS_FILE
from tasks.context import Context
from tasks.examples.question_shards import QUESTIONS_FILE
from tasks.monitor.pace import paces
from tasks.predict.work import PREDICTIONS_FILE
from tasks.score.work import COUNTS_FILE, JUDGED_FILE, unavailable_of

if TYPE_CHECKING:
    from evaluation.ablation import Ablation, Missing, Variant
    from evaluation.paired import System

PIECE = "table"
TABLE_FILE = "ablation.json"
MARKDOWN_FILE = "ablation.md"
PLOT_FILE = "ablation.svg"
PAGE_FILE = "ablation.html"


def compare(
    matrix: MatrixSettings, plan: AblationPlan, failed: Sequence[Unscored] = ()
) -> Artifact:
    """The table of all variants beside the baseline; one without scores stands there with why.

    Raises:
        ArtifactError: a variant that is not among ``failed`` has not been scored.
    """
    step = comparison_step(matrix, plan, failed)
    build = partial(_compare, matrix, plan, failed)
    return build_artifact(plan.baseline.context.store, step, lambda: {PIECE: ""}, build)


def table_of(artifact: Artifact) -> dict[str, Any]:
    """The comparison's document."""
    found: dict[str, Any] = json.loads(artifact.files(TABLE_FILE)[0].read_text(encoding="utf-8"))
    return found


def _compare(
    matrix: MatrixSettings,
    plan: AblationPlan,
    failed: Sequence[Unscored],
    key: str,
    folder: Path,
) -> BuiltPiece:
    from evaluation.ablation import compare_variants

    del key
    read = _in_order(matrix, plan, failed)
    metrics = metrics_of(matrix, plan)
    found = compare_variants(matrix.name, read, metrics, matrix.resamples, matrix.seed)
    fingerprint = comparison_step(matrix, plan, failed).fingerprint
    _write(found, plan.baseline, f"table {fingerprint}", folder)
    reasons = {
        "other test examples": sum(row.apart is not None for row in found.rows),
        "failed": len(failed),
        "not run": len(plan.skipped),
    }
    told = {reason: count for reason, count in reasons.items() if count}
    count = Count("variants compared", len(found.rows), len(found.rows) - sum(told.values()), told)
    rows = [row for row in found.rows if row.missing is None]
    return BuiltPiece((count,), {"tracked": {row.name: found.tracked(row) for row in rows}})


def _in_order(
    matrix: MatrixSettings, plan: AblationPlan, failed: Sequence[Unscored]
) -> list[Variant | Missing]:
    """What the table's rows are made from, the baseline first and the others as the matrix has
    them."""
    from evaluation.ablation import Missing

    found: dict[str, Variant | Missing] = {
        item.name: _variant(item, plan.baseline, again=item.name in matrix.trained_again)
        for item in scored(plan, failed)
    }
    for item in (*failed, *plan.skipped):
        found[item.name] = Missing(item.name, item.question, item.overrides, item.reason)
    names = [BASELINE, *(variant.name for variant in matrix.variants)]
    return [found[name] for name in names]


def system_of(context: Context) -> System:
    """What the ability's model wrote with what it is counted by: a report's counts and judgements
    are its scores', answers are held against the questions of their set."""
    from evaluation.answer_system import read_answer_system
    from evaluation.paired import read_system

    predictions = table_in(context.artifact(f"predictions/{context.ability}"), PREDICTIONS_FILE)
    scores = context.artifact(f"scores/{context.ability}")
    if context.asked.kind == "vqa":
        asked = context.artifact(f"examples/{context.asked.examples}")
        return read_answer_system(predictions, table_in(asked, QUESTIONS_FILE))
    judged, counts = table_in(scores, JUDGED_FILE), table_in(scores, COUNTS_FILE)
    return read_system(predictions, counts, judged, context.settings.score)


def _read_system(item: PlannedVariant) -> System:
    """What the model answered to requests for films, the one reading that a table is told by."""
    from evaluation.coherence_system import read_coherence_system

    artifact = item.context.artifact(f"{item.reading}/{item.context.ability}")
    return read_coherence_system(table_in(artifact, ANSWERS_FILE))


def _variant(item: PlannedVariant, baseline: PlannedVariant, *, again: bool) -> Variant:
    """A variant's counts, and what its training took."""
    from evaluation.ablation import Variant

    context = item.context
    stages = [context.artifact(f"stages/{stage.name}") for stage in context.settings.stages]
    asked = context.artifact(f"stages/{context.asked.stage}")
    others = {step.fingerprint for step in baseline.context.graph.of_kind("stages")}
    return Variant(
        item.name,
        item.question,
        item.overrides,
        system_of(context) if item.reading is None else _read_system(item),
        round(sum(stage.seconds for stage in stages), 1),
        asked.pieces[0].facts.get("examples"),
        tuple(stage.step.name for stage in stages if stage.fingerprint in others),
        unavailable_of(context) if item.reading is None else {},
        memory_gib(context),
        answer_seconds(context) if item.reading is None else None,
        again=again,
    )


def memory_gib(context: Context) -> float | None:
    """The most that a stage held at once in GiB; None where no stage measured itself."""
    return max((pace["peak_memory_gib"] for pace in paces(context).values()), default=None)


def answer_seconds(context: Context) -> float | None:
    """Seconds of generation by answer, loading of the model included."""
    facts = context.artifact(f"predictions/{context.ability}").pieces[0].facts
    if not facts.get("predictions"):
        return None
    return round(float(facts["seconds"]) / float(facts["predictions"]), 4)


def table_in(artifact: Artifact, name: str) -> pa.Table:
    """All rows of that table of an artifact."""
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(name)])


def _write(found: Ablation, baseline: PlannedVariant, made_on: str, folder: Path) -> None:
    from evaluation.ablation_page import ablation_plot, as_markdown, render_ablation

    replicas = [step.name for step in baseline.context.graph.of_kind("replicas")]
    (folder / TABLE_FILE).write_text(json.dumps(found.to_dict(), indent=1) + "\n")
    (folder / MARKDOWN_FILE).write_text(as_markdown(found))
    (folder / PLOT_FILE).write_text(ablation_plot(found))
    (folder / PAGE_FILE).write_text(render_ablation(found, made_on, replicas))


def last_comparison(
    matrix: MatrixSettings, plan: AblationPlan, failed: Sequence[Unscored] = ()
) -> Artifact | None:
    """The finished comparison, if there is one."""
    return read_artifact(plan.baseline.context.store, comparison_step(matrix, plan, failed))

"""Comparing variants as a Prefect task, with one MLflow run for each."""

from __future__ import annotations

from infra.artifact import Artifact
from infra.settings.matrix import MatrixSettings
from tasks.ablate.plan import PlannedVariant
from tasks.ablate.work import compare
from tasks.monitor.states import report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import HOUR, step_task
from tasks.monitor.tracked import run_book


@step_task("compare variants", tags={"evaluate"}, timeout=HOUR)
def compare_variants(
    matrix: MatrixSettings, variants: tuple[PlannedVariant, ...], ablation_id: str
) -> StepReport:
    """The table of all variants; a new one goes to MLflow too."""
    artifact = compare(matrix, variants)
    if artifact.built:
        _log(matrix, variants, artifact, ablation_id)
    return report_state(artifact)


def _log(
    matrix: MatrixSettings,
    variants: tuple[PlannedVariant, ...],
    artifact: Artifact,
    ablation_id: str,
) -> None:
    """A parent run for the matrix, and under it one run with the numbers of each variant."""
    book = run_book(variants[0].context)
    tags = {"cxrflow.ablation": matrix.name, "cxrflow.fingerprint": artifact.fingerprint}
    parent = book.pipeline_run(ablation_id, tags, f"ablation {matrix.name}")
    for item in variants:
        changes = {f"change {number}": text for number, text in enumerate(item.overrides, 1)}
        params = {"question": item.question, **changes}
        run = book.nested_run(parent, item.name, params, tags)
        run.log_metrics(artifact.pieces[0].facts["tracked"][item.name])
        run.end("FINISHED")
    book.end(parent, "FINISHED")

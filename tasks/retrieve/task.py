"""Retrieval as a Prefect task, with its MLflow run."""

from __future__ import annotations

from tasks.context import Context
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, step_task
from tasks.monitor.tracked import log_step
from tasks.retrieve.work import retrieve


@step_task("retrieve", tags={"evaluate", "gpu"}, timeout=DAY)
def run_retrieval(context: Context) -> StepReport:
    """Which films and texts find each other."""
    progress = Progress("embedding")
    artifact = retrieve(context, progress.follow)
    if artifact.built:
        log_step(context, artifact, "retrieval")
    return report_state(artifact)

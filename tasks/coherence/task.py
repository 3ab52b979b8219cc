"""Holding requests, spans and films together as a Prefect task, with its MLflow run."""

from __future__ import annotations

from tasks.coherence.work import check_coherence
from tasks.context import Context
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, step_task
from tasks.monitor.tracked import log_step


@step_task("check coherence", tags={"evaluate", "gpu"}, timeout=DAY)
def run_coherence(context: Context) -> StepReport:
    """Does the film that a model wants drawn show what it was asked for?"""
    artifact = check_coherence(context, Progress("coherence").follow)
    if artifact.built:
        log_step(context, artifact, "coherence")
    return report_state(artifact)

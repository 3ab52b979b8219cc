"""Holding both sections together as a Prefect task, with its MLflow run."""

from __future__ import annotations

from tasks.consistency.work import hold_together
from tasks.context import Context
from tasks.monitor.states import report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import HOUR, step_task
from tasks.monitor.tracked import log_step


@step_task("hold sections together", tags={"evaluate"}, timeout=HOUR)
def run_consistency(context: Context) -> StepReport:
    """Do findings and impression of one study agree?"""
    artifact = hold_together(context)
    if artifact.built:
        log_step(context, artifact, "consistency")
    return report_state(artifact)

"""Training the judge of drawn films as a Prefect task."""

from __future__ import annotations

from tasks.context import Context
from tasks.draw.classifier import build_classifier
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, step_task


@step_task("train classifier", tags={"evaluate", "gpu"}, timeout=DAY)
def run_classifier(context: Context) -> StepReport:
    """A classifier of real films, which reads drawn ones."""
    return report_state(build_classifier(context, Progress("classifier").follow))

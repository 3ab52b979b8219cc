"""Generating predictions as a Prefect task."""

from __future__ import annotations

from tasks.context import Context
from tasks.draw.films import draw_films
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, step_task
from tasks.predict.work import predict


@step_task("predict", tags={"evaluate", "gpu"}, timeout=DAY)
def run_predictions(context: Context) -> StepReport:
    """Findings or answers for the test examples and their image-blind controls, or films."""
    progress = Progress("predictions")
    make = draw_films if context.asked.kind == "draw" else predict
    return report_state(make(context, progress.follow))

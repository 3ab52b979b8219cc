"""Packing examples as a Prefect task."""

from __future__ import annotations

from tasks.context import Context
from tasks.examples.work import write_examples
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, step_task


@step_task("pack examples", tags={"examples"}, timeout=DAY)
def pack_examples(context: Context, name: str) -> StepReport:
    """Training shards of one set, from all sources."""
    return report_state(write_examples(context, name, Progress("examples")))

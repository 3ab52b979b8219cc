"""Routing a source's reports as a Prefect task."""

from __future__ import annotations

from tasks.context import Context
from tasks.monitor.live import LiveCounts
from tasks.monitor.states import report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import WEEK, step_task
from tasks.reports.connection import Teacher
from tasks.reports.work import write_reports


@step_task("route reports", tags={"reports", "llm"}, timeout=WEEK, run_name="reports of {name}")
def route_reports(context: Context, name: str, teacher: Teacher) -> StepReport:
    """Text versions of one source's reports."""
    state = context.store.state
    with LiveCounts(f"reports of {name}", state, lambda row: row.source == name) as live:
        artifact = write_reports(context, name, teacher, live.on_piece, live.on_answer)
    return report_state(artifact)

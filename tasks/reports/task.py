"""Routing a source's reports as a Prefect task."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.context import Context
from tasks.monitor.live import LiveCounts
from tasks.monitor.states import is_worth_retrying, report_state
from tasks.monitor.step_report import StepReport
from tasks.reports.connection import Teacher
from tasks.reports.work import write_reports

_WEEK_SECONDS = 7 * 24 * 3600.0


@task(
    name="route reports",
    task_run_name="reports of {name}",
    tags={"reports", "llm"},
    retries=1,
    retry_condition_fn=is_worth_retrying,
    timeout_seconds=_WEEK_SECONDS,
    cache_policy=NO_CACHE,
)
def route_reports(context: Context, name: str, teacher: Teacher) -> StepReport:
    """Text versions of one source's reports."""
    state = context.store.state
    with LiveCounts(f"reports of {name}", state, lambda row: row.source == name) as live:
        artifact = write_reports(context, name, teacher, live.on_piece, live.on_answer)
    return report_state(artifact)

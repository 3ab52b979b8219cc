"""Scoring as a Prefect task."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.context import Context
from tasks.monitor.states import Progress, is_worth_retrying, report_state
from tasks.monitor.step_report import StepReport
from tasks.reports.connection import Teacher
from tasks.score.work import score

_DAY_SECONDS = 24 * 3600.0


@task(
    name="score predictions",
    tags={"evaluate", "llm"},
    retries=1,
    retry_condition_fn=is_worth_retrying,
    timeout_seconds=_DAY_SECONDS,
    cache_policy=NO_CACHE,
)
def score_predictions(context: Context, teacher: Teacher) -> StepReport:
    """Judge, score, and write the page."""
    return report_state(score(context, teacher, Progress("judged pairs")))

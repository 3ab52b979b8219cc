"""Scoring as a Prefect task."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from evaluation.chexprompt_prompt import JUDGE
from infra.llm.ledger import task_of
from tasks.context import Context
from tasks.monitor.live import LiveCounts
from tasks.monitor.states import is_worth_retrying, report_state
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
    state, task_name = context.store.state, task_of(JUDGE.version)
    with LiveCounts("judged pairs", state, lambda row: row.task == task_name) as live:
        scored = score(context, teacher, live.on_piece)
    return report_state(scored)

"""Scoring as a Prefect task."""

from __future__ import annotations

from evaluation.chexprompt_prompt import JUDGE
from infra.llm.ledger import task_of
from tasks.context import Context
from tasks.monitor.live import LiveCounts
from tasks.monitor.states import report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, step_task
from tasks.reports.connection import Teacher
from tasks.score.work import score


@step_task("score predictions", tags={"evaluate", "llm"}, timeout=DAY)
def score_predictions(context: Context, teacher: Teacher) -> StepReport:
    """Judge, score, and write the page."""
    state, task_name = context.store.state, task_of(JUDGE.version)
    with LiveCounts("judged pairs", state, lambda row: row.task == task_name) as live:
        scored = score(context, teacher, live.on_piece)
    return report_state(scored)

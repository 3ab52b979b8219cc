"""Scoring as a Prefect task."""

from __future__ import annotations

from evaluation.chexprompt_prompt import JUDGE
from infra.artifact import Artifact
from infra.llm.ledger import task_of
from tasks.context import Context
from tasks.draw.score import score_films
from tasks.monitor.live import LiveCounts
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, step_task
from tasks.monitor.tracked import log_step
from tasks.reports.connection import Teacher
from tasks.score.answers import score_answers
from tasks.score.work import score


@step_task("score predictions", tags={"evaluate", "llm"}, timeout=DAY)
def score_predictions(context: Context, teacher: Teacher) -> StepReport:
    """Judge, score, and write the page; answers and films are scored without a judge."""
    if context.asked.kind == "vqa":
        return report_state(_score_answers(context))
    if context.asked.kind == "draw":
        return report_state(_score_films(context))
    state, task_name = context.store.state, task_of(JUDGE.version)
    with LiveCounts("judged pairs", state, lambda row: row.task == task_name) as live:
        scored = score(context, teacher, live.on_piece)
    return report_state(scored)


def _score_answers(context: Context) -> Artifact:
    """Scores of answers, with their MLflow run."""
    artifact = score_answers(context)
    if artifact.built:
        log_step(context, artifact, f"answers of {context.ability}")
    return artifact


def _score_films(context: Context) -> Artifact:
    """Scores of films, with their MLflow run."""
    artifact = score_films(context, Progress("readers of films").follow)
    if artifact.built:
        names = artifact.pieces[0].facts["pictures"]
        pictures = [path for name in names for path in artifact.files(name)]
        log_step(context, artifact, f"films of {context.ability}", pictures)
    return artifact

"""Rating a teacher as a Prefect task, with its numbers in MLflow."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from infra.artifact import Artifact
from tasks.context import Context
from tasks.monitor.states import Progress, is_worth_retrying, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.tracked import pipeline_run, run_book
from tasks.quality.work import rate_teacher
from tasks.reports.connection import Teacher

_DAY_SECONDS = 24 * 3600.0


@task(
    name="rate teacher",
    task_run_name="teacher of {name}",
    tags={"evaluate", "llm"},
    retries=1,
    retry_condition_fn=is_worth_retrying,
    timeout_seconds=_DAY_SECONDS,
    cache_policy=NO_CACHE,
)
def rate_teacher_of(context: Context, name: str, teacher: Teacher) -> StepReport:
    """The texts of one source's teacher beside better ones."""
    artifact = rate_teacher(context, name, teacher, Progress(f"judged texts of {name}"))
    if artifact.built:
        _log(context, artifact)
    return report_state(artifact)


def _log(context: Context, artifact: Artifact) -> None:
    """A nested run with the numbers, as a stage has."""
    step = artifact.step
    book = run_book(context)
    tags = {"cxrflow.fingerprint": step.fingerprint}
    title = f"teacher quality {step.name}"
    run = book.nested_run(pipeline_run(context, book), title, dict(step.settings), tags)
    run.log_metrics(artifact.pieces[0].facts["tracked"])
    run.end("FINISHED")

"""Retrieval as a Prefect task, with its MLflow run."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from infra.launch import Event
from tasks.context import Context
from tasks.monitor.states import Progress, is_worth_retrying, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.tracked import pipeline_run, run_book
from tasks.retrieve.work import retrieve

_DAY_SECONDS = 24 * 3600.0


@task(
    name="retrieve",
    tags={"evaluate", "gpu"},
    retries=1,
    retry_condition_fn=is_worth_retrying,
    timeout_seconds=_DAY_SECONDS,
    cache_policy=NO_CACHE,
)
def run_retrieval(context: Context) -> StepReport:
    """Which films and texts find each other."""
    progress = Progress("embedding")

    def follow(event: Event) -> None:
        if event["event"] == "progress":
            progress(int(event["step"]), int(event["steps"]))

    artifact = retrieve(context, follow)
    if artifact.built:
        book, step = run_book(context), artifact.step
        parent = pipeline_run(context, book)
        tags = {"cxrflow.fingerprint": step.fingerprint}
        run = book.nested_run(parent, "retrieval", dict(step.settings), tags)
        run.log_metrics(artifact.pieces[0].facts["tracked"])
        run.end("FINISHED")
    return report_state(artifact)

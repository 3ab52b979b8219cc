"""Grounding as a Prefect task, with its MLflow run."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from infra.artifact import Artifact
from infra.launch import Event
from tasks.context import Context
from tasks.ground.work import PIECE, ground
from tasks.monitor.states import Progress, is_worth_retrying, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.tracked import pipeline_run, run_book

_DAY_SECONDS = 24 * 3600.0


@task(
    name="ground",
    tags={"evaluate", "gpu"},
    retries=1,
    retry_condition_fn=is_worth_retrying,
    timeout_seconds=_DAY_SECONDS,
    cache_policy=NO_CACHE,
)
def run_grounding(context: Context) -> StepReport:
    """Maps of sentences against boxes."""
    progress = Progress("grounding")

    def follow(event: Event) -> None:
        if event["event"] == "progress":
            progress(int(event["step"]), int(event["steps"]))

    artifact = ground(context, follow)
    if not artifact.cached:
        _track(context, artifact)
    return report_state(artifact)


def _track(context: Context, artifact: Artifact) -> None:
    """A nested run with the numbers; of pictures those of replicas and open data alone."""
    book = run_book(context)
    step, facts = artifact.step, artifact.pieces[0].facts
    parent = pipeline_run(context, book)
    tags = {"cxrflow.fingerprint": step.fingerprint}
    run = book.nested_run(parent, "grounding", dict(step.settings), tags)
    run.log_metrics(facts["tracked"])
    folder = artifact.local_folder(PIECE)
    run.log_pictures([folder / name for name in facts["shareable"]], "overlays")
    run.end("FINISHED")

"""Training a stage as a Prefect task, with its progress and its MLflow run."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from infra.launch import Event
from tasks.context import Context
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.tracked import tracked_stage
from tasks.train.work import train_stage

_WEEK_SECONDS = 7 * 24 * 3600.0


@task(
    name="train stage",
    task_run_name="stage {name}",
    tags={"train", "gpu"},
    timeout_seconds=_WEEK_SECONDS,
    cache_policy=NO_CACHE,
)
def run_stage(context: Context, name: str) -> StepReport:
    """One stage; a failed one is not retried by itself, for divergence would only repeat."""
    progress = Progress(f"stage {name}")
    with tracked_stage(context, name) as log:

        def follow(stage: str, event: Event) -> None:
            log(stage, event)
            if event["event"] == "progress":
                progress(int(event["step"]), int(event["steps"]))

        artifact = train_stage(context, name, follow)
    return report_state(artifact)

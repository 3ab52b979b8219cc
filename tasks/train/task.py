"""Training a stage as a Prefect task, with its progress and its MLflow run."""

from __future__ import annotations

from infra.launch import Event
from tasks.context import Context
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import WEEK, step_task
from tasks.monitor.tracked import tracked_stage
from tasks.train.work import train_stage


@step_task("train stage", tags={"train", "gpu"}, timeout=WEEK, run_name="stage {name}", retries=0)
def run_stage(context: Context, name: str) -> StepReport:
    """One stage; a failed one is not retried by itself, for divergence would only repeat."""
    progress = Progress(f"stage {name}")
    with tracked_stage(context, name) as log:

        def follow(stage: str, event: Event) -> None:
            log(stage, event)
            progress.follow(event)

        artifact = train_stage(context, name, follow)
    return report_state(artifact)

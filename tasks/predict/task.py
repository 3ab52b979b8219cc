"""Generating predictions as a Prefect task."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from infra.launch import Event
from tasks.context import Context
from tasks.monitor.states import Progress, is_worth_retrying, report_state
from tasks.monitor.step_report import StepReport
from tasks.predict.work import predict

_DAY_SECONDS = 24 * 3600.0


@task(
    name="predict",
    tags={"evaluate", "gpu"},
    retries=1,
    retry_condition_fn=is_worth_retrying,
    timeout_seconds=_DAY_SECONDS,
    cache_policy=NO_CACHE,
)
def run_predictions(context: Context) -> StepReport:
    """Findings for the test examples and their image-blind controls."""
    progress = Progress("predictions")

    def follow(event: Event) -> None:
        if event["event"] == "progress":
            progress(int(event["step"]), int(event["steps"]))

    return report_state(predict(context, follow))

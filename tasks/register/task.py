"""Registering the model as a Prefect task."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.context import Context
from tasks.monitor.states import is_worth_retrying, report_state
from tasks.monitor.step_report import StepReport
from tasks.register.work import register

_HOUR_SECONDS = 3600.0


@task(
    name="register model",
    tags={"register"},
    retries=1,
    retry_condition_fn=is_worth_retrying,
    timeout_seconds=_HOUR_SECONDS,
    cache_policy=NO_CACHE,
)
def register_model(context: Context) -> StepReport:
    """A new version of the recipe's registered model."""
    return report_state(register(context))

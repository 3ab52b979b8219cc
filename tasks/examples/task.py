"""Packing examples as a Prefect task."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.context import Context
from tasks.examples.work import write_examples
from tasks.monitor.states import Progress, is_worth_retrying, report_state
from tasks.monitor.step_report import StepReport

_DAY_SECONDS = 24 * 3600.0


@task(
    name="pack examples",
    tags={"examples"},
    retries=1,
    retry_condition_fn=is_worth_retrying,
    timeout_seconds=_DAY_SECONDS,
    cache_policy=NO_CACHE,
)
def pack_examples(context: Context) -> StepReport:
    """Training shards of all sources."""
    return report_state(write_examples(context, Progress("examples")))

"""How a unit of work becomes a Prefect task; steps differ in name, tags and patience alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

from tasks.context import Context
from tasks.monitor.recorded import noted
from tasks.monitor.states import is_worth_retrying
from tasks.retention.runs import join_run

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
"""Timeouts in seconds. Our choice: well above what a step takes, so that only a hung one ends."""


def step_task(
    name: str,
    *,
    tags: set[str],
    timeout: float | None,
    run_name: str | None = None,
    retries: int = 1,
) -> Callable[[Callable[ArgumentsT, ResultT]], Task[ArgumentsT, ResultT]]:
    """A task that Prefect retries where that may help and never caches; its run's facts tell of it.

    Before the first step of a process its run is noted, with the artifacts that it needs.

    Args:
        timeout: seconds; None in a thread, where Prefect cannot interrupt a task.
        run_name: names each run, with the work's arguments in braces; else ``name`` does.
        retries: our choice: one more try gets over a place that hiccups.
    """
    make = task(
        name=name,
        task_run_name=run_name or name,
        tags=tags,
        retries=retries,
        retry_condition_fn=is_worth_retrying,
        timeout_seconds=timeout,
        cache_policy=NO_CACHE,  # artifacts are the cache: Prefect's does not look at the files
    )

    def decorate(work: Callable[ArgumentsT, ResultT]) -> Task[ArgumentsT, ResultT]:
        @wraps(work)
        def at_work(*args: ArgumentsT.args, **kwargs: ArgumentsT.kwargs) -> ResultT:
            for given in (*args, *kwargs.values()):
                if isinstance(given, Context):
                    join_run(given)
            return work(*args, **kwargs)

        return make(noted(name, at_work))

    return decorate

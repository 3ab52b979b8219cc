"""Every step's task: what Prefect shows of it, how often it is tried, how long it may take."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE

from infra.fingerprint import HOUSE
from tasks.monitor.states import is_worth_retrying
from tasks.monitor.step_task import DAY, HOUR, WEEK, step_task

TASKS = {
    "write replica": ("replica of {name}", {"ingest"}, 2, None),
    "ingest studies": ("studies of {name}", {"ingest"}, 2, None),
    "ingest images": ("images of {name}", {"ingest"}, 2, None),
    "route reports": ("reports of {name}", {"reports", "llm"}, 1, WEEK),
    "pack examples": ("examples {name}", {"examples"}, 1, DAY),
    "draw examples": ("films of {name}", {"train", "gpu"}, 1, DAY),
    "train stage": ("stage {name}", {"train", "gpu"}, 0, WEEK),
    "predict": ("predict", {"evaluate", "gpu"}, 1, DAY),
    "score predictions": ("score predictions", {"evaluate", "llm"}, 1, DAY),
    "retrieve": ("retrieve", {"evaluate", "gpu"}, 1, DAY),
    "ground": ("ground", {"evaluate", "gpu"}, 1, DAY),
    "hold sections together": ("hold sections together", {"evaluate"}, 1, HOUR),
    "train classifier": ("train classifier", {"evaluate", "gpu"}, 1, DAY),
    "check coherence": ("check coherence", {"evaluate", "gpu"}, 1, DAY),
    "write dialogues": ("dialogues of {name}", {"llm", "dialogues"}, 1, WEEK),
    "register model": ("register model", {"register"}, 1, HOUR),
    "rate teacher": ("teacher of {name}", {"evaluate", "llm"}, 1, DAY),
    "compare variants": ("compare variants", {"evaluate"}, 1, HOUR),
    "choose test studies": ("choose test studies", {"evaluate"}, 1, DAY),
    "pack test set": ("pack test set", {"evaluate"}, 1, DAY),
    "compare recipes": ("compare recipes", {"evaluate"}, 1, HOUR),
    "judge candidate": ("judge candidate", {"promote"}, 1, HOUR),
    "pack recent studies": ("pack recent studies", {"watch"}, 1, DAY),
    "ask champion": ("ask champion", {"watch"}, 1, DAY),
    "look for drift": ("look for drift", {"watch"}, 1, HOUR),
}
"""By name: how runs are named, tags, retries, timeout in seconds. Dashboards and work pools' limits
go by these."""


def all_tasks() -> dict[str, Task[..., Any]]:
    modules = [path.parent.name for path in sorted((HOUSE / "tasks").glob("*/task.py"))]
    return {
        value.name: value
        for name in modules
        for value in vars(importlib.import_module(f"tasks.{name}.task")).values()
        if isinstance(value, Task)
    }


def test_what_dashboards_know_of_each_step() -> None:
    found = {
        name: (each.task_run_name, each.tags, each.retries, each.timeout_seconds)
        for name, each in all_tasks().items()
    }
    assert found == TASKS


@pytest.mark.parametrize("each", all_tasks().values(), ids=lambda each: str(each.name))
def test_no_step_is_cached_by_prefect_or_retried_for_bad_input(each: Task[..., Any]) -> None:
    assert each.cache_policy == NO_CACHE
    assert each.retry_condition_fn is is_worth_retrying


def test_the_work_stays_callable_and_keeps_its_signature() -> None:
    @step_task("add", tags={"x"}, timeout=None)
    def add(one: int, other: int = 2) -> int:
        """The sum."""
        return one + other

    assert add.fn(1) == 3
    assert (add.name, add.description, add.tags, add.retries) == ("add", "The sum.", {"x"}, 1)

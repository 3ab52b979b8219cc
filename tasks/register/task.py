"""Registering the model as a Prefect task."""

from __future__ import annotations

from tasks.context import Context
from tasks.monitor.alias_facts import observe_aliases
from tasks.monitor.states import report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import HOUR, step_task
from tasks.register.work import register


@step_task("register model", tags={"register"}, timeout=HOUR)
def register_model(context: Context) -> StepReport:
    """A new version of the recipe's registered model."""
    artifact = register(context)
    if artifact.built:
        observe_aliases(context.store, context.environment)
    return report_state(artifact)

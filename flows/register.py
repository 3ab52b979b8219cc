"""The scored model goes into the registry as a candidate."""

from __future__ import annotations

from prefect import flow

from tasks.context import Order, open_context
from tasks.monitor.step_report import StepReport
from tasks.register.task import register_model


@flow(name="register")
def register(order: Order) -> list[StepReport]:
    """One new version of the recipe's registered model, with the alias candidate."""
    return [register_model(open_context(order), return_state=True).result()]

"""The scored models go into the registry as candidates."""

from __future__ import annotations

from prefect import flow

from tasks.context import Order, open_context
from tasks.monitor.recorded import recorded_run
from tasks.monitor.step_report import StepReport
from tasks.monitor.tracked import tracked_order
from tasks.register.task import register_model


@flow(name="register", flow_run_name="{order.recipe} {order.scale}")
def register(order: Order) -> list[StepReport]:
    """One new version of each of the recipe's registered models, with the alias candidate."""
    with tracked_order(order) as order, recorded_run(order) as order:
        context = open_context(order)
        return [
            register_model(context.doing(step.name), return_state=True).result()
            for step in context.graph.of_kind("models")
        ]

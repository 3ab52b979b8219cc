"""The recipe's training stages, one after the other."""

from __future__ import annotations

from prefect import flow

from tasks.context import Order, open_context
from tasks.monitor.step_report import StepReport
from tasks.train.task import run_stage


@flow(name="train")
def train(order: Order) -> list[StepReport]:
    """Stages run in the recipe's order; each in a process of its own."""
    context = open_context(order)
    return [
        run_stage(context, stage.name, return_state=True).result()
        for stage in context.settings.stages
    ]

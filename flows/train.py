"""The recipe's training stages, one after the other, and films that one draws for another."""

from __future__ import annotations

from prefect import flow

from tasks.context import Order, open_context
from tasks.drawn.task import draw_examples
from tasks.examples.task import pack_examples
from tasks.monitor.recorded import recorded_run
from tasks.monitor.step_report import StepReport
from tasks.monitor.tracked import tracked_order
from tasks.train.task import run_stage


@flow(name="train", flow_run_name="{order.recipe} {order.scale}")
def train(order: Order) -> list[StepReport]:
    """Stages run one by one, each in a process of its own, with drawn films before the first that
    trains on them."""
    with tracked_order(order) as order, recorded_run(order) as order:
        context = open_context(order)
        steps: list[StepReport] = []
        drawn: set[str] = set()
        for stage in context.settings.training_order:
            for name in context.settings.drawn_sets_of(stage):
                if name not in drawn:
                    steps.append(draw_examples(context, name, return_state=True).result())
                    steps.append(pack_examples(context, name, return_state=True).result())
                    drawn.add(name)
            steps.append(run_stage(context, stage.name, return_state=True).result())
        return steps

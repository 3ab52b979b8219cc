"""Studies, pixels and reports become training shards, behind the leakage guard."""

from __future__ import annotations

from prefect import flow

from tasks.context import Order, open_context
from tasks.examples.task import pack_examples
from tasks.monitor.recorded import recorded_run
from tasks.monitor.step_report import StepReport


@flow(name="write examples", flow_run_name="{order.recipe} {order.scale}")
def write_examples(order: Order) -> list[StepReport]:
    """One artifact of shards for each set of the recipe but those whose films a stage draws."""
    with recorded_run(order) as order:
        context = open_context(order)
        return [
            pack_examples(context, name, return_state=True).result()
            for name, examples in context.settings.sets.items()
            if examples.drawn is None
        ]

"""Studies, pixels and reports become training shards, behind the leakage guard."""

from __future__ import annotations

from prefect import flow

from tasks.context import Order, open_context
from tasks.examples.task import pack_examples
from tasks.monitor.step_report import StepReport


@flow(name="write examples")
def write_examples(order: Order) -> list[StepReport]:
    """One artifact of shards for the whole recipe."""
    return [pack_examples(open_context(order), return_state=True).result()]

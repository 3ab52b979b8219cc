"""Every source's reports go their routes, and dialogues are written from those that have any."""

from __future__ import annotations

from prefect import flow

from tasks.context import Order, open_context
from tasks.dialogues.task import ask_for_dialogues
from tasks.monitor.recorded import recorded_run
from tasks.monitor.step_report import StepReport
from tasks.reports.connection import Teacher
from tasks.reports.task import route_reports


@flow(name="write reports", flow_run_name="{order.recipe} {order.scale}")
def write_reports(order: Order) -> list[StepReport]:
    """One client serves all sources, so that they share its limits and its cache."""
    with recorded_run(order) as order:
        context = open_context(order)
        with Teacher(context.environment) as teacher:
            reports = [
                route_reports(context, name, teacher, return_state=True).result()
                for name in context.source_names
            ]
            dialogues = [
                ask_for_dialogues(context, step.name, teacher, return_state=True).result()
                for step in context.graph.of_kind("dialogues")
            ]
            return [*reports, *dialogues]

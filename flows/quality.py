"""How good the language model's texts are, source by source, beside better ones."""

from __future__ import annotations

from prefect import flow

from tasks.context import Order, open_context
from tasks.ingest.task import read_studies, write_replica
from tasks.monitor.recorded import recorded_run
from tasks.monitor.step_report import StepReport
from tasks.quality.task import rate_teacher_of
from tasks.reports.connection import Teacher


@flow(name="teacher quality", flow_run_name="{order.recipe} {order.scale}")
def teacher_quality(order: Order) -> list[StepReport]:
    """Studies of every source, then what the teacher makes of them; no pixel is read."""
    with recorded_run(order) as order:
        context = open_context(order)
        reports = []
        with Teacher(context.environment) as teacher:
            for name in context.source_names:
                if f"replicas/{name}" in context.graph.steps:
                    reports.append(write_replica(context, name, return_state=True).result())
                reports.append(read_studies(context, name, return_state=True).result())
                reports.append(rate_teacher_of(context, name, teacher, return_state=True).result())
        return reports

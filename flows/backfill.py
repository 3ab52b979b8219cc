"""A chosen part of the raw data is read again: sources, dates, shards."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from infra.step import made_again
from tasks.backfill.work import Backfill, chosen_shards, chosen_sources, days_of, pieces_again
from tasks.context import Context, Order, open_context
from tasks.ingest.task import read_studies, store_images, write_replica
from tasks.monitor.recorded import recorded_run
from tasks.monitor.step_report import StepReport
from tasks.reports.connection import Teacher
from tasks.reports.task import route_reports


@flow(name="backfill", flow_run_name="{order.recipe} {order.scale}")
def backfill(order: Order, asked: Backfill) -> list[StepReport]:
    """Studies and images of what is chosen, and reports if asked for; what is there is reused."""
    days_of(asked)
    with recorded_run(order, "backfill") as order:
        context = open_context(order, trains=False)
        names = chosen_sources(context, asked)
        found = [report for name in names for report in _read(context, name)]
        chosen = {name: chosen_shards(context.artifact(f"studies/{name}"), asked) for name in names}
        if asked.again:
            with made_again(pieces_again(chosen)):
                reports = _work(context, names, asked)
        else:
            reports = [*found, *_work(context, names, asked)]
        rows: list[dict[str, Any]] = [
            {"source": name, "shards": ", ".join(keys) or "none"} for name, keys in chosen.items()
        ]
        create_table_artifact(rows, key="backfill", description="shards that were chosen")
        return reports


def _read(context: Context, name: str) -> list[StepReport]:
    """A source's studies, by which shards are chosen."""
    reports = []
    if f"replicas/{name}" in context.graph.steps:
        reports.append(write_replica(context, name, return_state=True).result())
    return [*reports, read_studies(context, name, return_state=True).result()]


def _work(context: Context, names: tuple[str, ...], asked: Backfill) -> list[StepReport]:
    reports = []
    for name in names:
        if asked.again:
            reports.append(read_studies(context, name, return_state=True).result())
        reports.append(store_images(context, name, return_state=True).result())
    if asked.until == "reports":
        with Teacher(context.environment) as teacher:
            reports += [
                route_reports(context, name, teacher, return_state=True).result() for name in names
            ]
    return reports

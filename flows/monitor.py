"""The watch over a champion: what has arrived since it was judged, asked about and tested."""

from __future__ import annotations

from prefect import flow

from flows.ingest import ingest
from flows.reports import write_reports
from tasks.drift.order import MonitorOrder
from tasks.drift.plan import plan_drift
from tasks.drift.task import ask_about_recent, look_for_drift, pack_recent_studies
from tasks.monitor.recorded import recorded_run
from tasks.monitor.step_report import StepReport


@flow(name="monitor", flow_run_name="monitor {asked.model}")
def monitor(asked: MonitorOrder) -> list[StepReport]:
    """Ingest what is new, ask the champion about it, and look for drift."""
    with recorded_run(asked.order, f"look at {asked.model}") as order:
        asked = asked.model_copy(update={"order": order})
        plan = plan_drift(asked)  # a model that is not there is said before anything is read
        reports = [*ingest(order), *write_reports(order)]
        steps = (pack_recent_studies, ask_about_recent, look_for_drift)
        return [*reports, *(step(plan, return_state=True).result() for step in steps)]

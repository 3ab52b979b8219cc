"""From raw chest X-rays to a registered, scored model."""

from __future__ import annotations

from typing import Literal

from prefect import flow

from flows.evaluate import evaluate
from flows.examples import write_examples
from flows.ingest import ingest
from flows.quality import teacher_quality
from flows.register import register
from flows.reports import write_reports
from flows.train import train
from tasks.context import Order, open_context
from tasks.monitor.recorded import recorded_run
from tasks.monitor.step_report import StepReport
from tasks.monitor.tracked import tracked_order
from tasks.preflight import require_models

Goal = Literal["ingest", "reports", "examples", "train", "evaluate", "register", "quality"]
SUB_FLOWS = {
    "ingest": ingest,
    "reports": write_reports,
    "examples": write_examples,
    "train": train,
    "evaluate": evaluate,
    "register": register,
}


@flow(name="pipeline", flow_run_name="{order.recipe} {order.scale} to {until}")
def pipeline(order: Order, until: Goal = "register") -> list[StepReport]:
    """Run the recipe up to a goal; whatever is there already is shown as Cached."""
    own = order.model_copy(update={"pipeline_id": ""})  # as of this run, whoever asked for it
    with tracked_order(own) as order, recorded_run(order, until) as order:
        require_models(open_context(order), until)
        reports: list[StepReport] = []
        chosen = {"quality": teacher_quality} if until == "quality" else SUB_FLOWS
        for name, sub_flow in chosen.items():
            reports += sub_flow(order)
            if name == until:
                break
        return reports

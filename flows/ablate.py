"""Every variant of an ablation up to its scores, then the table that compares them."""

from __future__ import annotations

from prefect import flow
from prefect.context import FlowRunContext

from flows.pipeline import pipeline
from infra.settings.matrix import MatrixSettings
from tasks.ablate.plan import UNTIL, plan_variants, variant_orders
from tasks.ablate.task import compare_variants
from tasks.context import Order
from tasks.monitor.step_report import StepReport
from tasks.preflight import require_models


@flow(name="ablate", flow_run_name="ablate {matrix.name}")
def ablate(matrix: MatrixSettings, order: Order) -> list[StepReport]:
    """What variants share is built once: a second use of it shows as Cached."""
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    for variant in plan_variants(matrix, order):
        require_models(variant.context, UNTIL)
    reports: list[StepReport] = []
    for own in variant_orders(matrix, order).values():
        reports += pipeline(own, UNTIL)
    planned = plan_variants(matrix, order)
    ablation_id = str(context.flow_run.id)
    done = compare_variants(matrix, planned, ablation_id, return_state=True).result()
    return [*reports, done]

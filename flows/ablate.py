"""Every variant of an ablation up to its scores, then the table that compares them."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow
from prefect.context import FlowRunContext

from flows.evaluate import read_alone
from flows.pipeline import pipeline
from infra.errors import CxrError
from infra.log import LOGGER
from infra.settings.matrix import BASELINE, MatrixSettings
from tasks.ablate.plan import UNTIL, PlannedVariant, Unscored, plan_variants, twin
from tasks.ablate.task import compare_variants
from tasks.context import Order
from tasks.monitor.recorded import recorded_run
from tasks.monitor.step_report import StepReport
from tasks.preflight import require_models


class VariantsFailed(CxrError):
    """Some variants have no scores; the table of the others is there."""

    def __init__(self, failed: Sequence[Unscored], reports: Sequence[StepReport]) -> None:
        self.failed, self.reports = tuple(failed), tuple(reports)
        names = ", ".join(item.name for item in failed)
        one = "1 variant" if len(failed) == 1 else f"{len(failed)} variants"
        super().__init__(f"{one} without scores: {names}; the table tells why")

    def __reduce__(self) -> tuple[type[VariantsFailed], tuple[object, object]]:
        return VariantsFailed, (self.failed, self.reports)


def _evaluated(variant: PlannedVariant) -> list[StepReport]:
    """Up to what the table is made of: scores, or a reading without them."""
    if variant.reading is None:
        return pipeline(variant.context.order, UNTIL)
    trained = pipeline(variant.context.order, "train")
    return [*trained, *read_alone(variant.context.order, variant.reading)]


@flow(name="ablate", flow_run_name="ablate {matrix.name}")
def ablate(matrix: MatrixSettings, order: Order) -> list[StepReport]:
    """What variants share is built once: a second use of it shows as Cached. One whose examples
    turn out to be those of a variant before it is not trained again.

    A variant that fails leaves its reason in the table, and the others go on; without a baseline
    there is nothing to compare with.

    Raises:
        VariantsFailed: a variant failed; the table has been written.
    """
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    with recorded_run(order, matrix.name):
        return _ablated(matrix, order, str(context.flow_run.id))


def _ablated(matrix: MatrixSettings, order: Order, ablation_id: str) -> list[StepReport]:
    plan = plan_variants(matrix, order)
    for variant in plan.variants:
        require_models(variant.context, UNTIL)
    reports: list[StepReport] = []
    failed: list[Unscored] = []
    for place, variant in enumerate(plan.variants):
        try:
            if variant.name != BASELINE:
                reports += pipeline(variant.context.order, "examples")
                if twin(variant, plan.variants[:place]) is not None:
                    continue
            reports += _evaluated(variant)
        except CxrError as error:
            if variant.name == BASELINE:
                raise
            failed.append(_lost(variant, error))
    planned = plan_variants(matrix, order)
    done = compare_variants(matrix, planned, failed, ablation_id, return_state=True).result()
    reports.append(done)
    if failed:
        raise VariantsFailed(failed, reports)
    return reports


def _lost(variant: PlannedVariant, error: CxrError) -> Unscored:
    LOGGER.error("variant %s failed, the others go on: %s", variant.name, error)
    return Unscored(variant.name, variant.question, variant.overrides, f"failed: {error}")

"""Trained recipes on one test set: every model asked in its own way, all scored alike."""

from __future__ import annotations

from prefect import flow
from prefect.context import FlowRunContext

from flows.ingest import ingest
from flows.reports import write_reports
from tasks.examples.task import pack_examples
from tasks.ingest.task import store_images
from tasks.monitor.recorded import recorded_run
from tasks.monitor.step_report import StepReport
from tasks.one_set.order import ComparisonOrder
from tasks.one_set.plan import ComparisonPlan, Model, plan_comparison
from tasks.one_set.task import choose_test_studies, hold_side_by_side, show_test_set
from tasks.predict.task import run_predictions
from tasks.preflight import require_models
from tasks.reports.connection import Teacher
from tasks.score.task import score_predictions


@flow(name="compare recipes", flow_run_name="compare on {asked.on}")
def compare_on_one_set(asked: ComparisonOrder) -> list[StepReport]:
    """The host's test set, the studies that all may be asked about, answers, scores, the table."""
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    plan = plan_comparison(asked)
    with recorded_run(asked.order, asked.on):
        require_models(plan.host, "examples")
        for model in plan.models:
            require_models(model.shown, "evaluate")
        return _compared(plan, str(context.flow_run.id))


def _compared(plan: ComparisonPlan, comparison_id: str) -> list[StepReport]:
    reports = _host_set(plan)
    for model in plan.models:
        reports += _films(model)
    reports.append(choose_test_studies(plan, return_state=True).result())
    with Teacher(plan.host.environment) as teacher:
        for model in plan.models:
            reports += _answers(model, teacher)
    reports.append(hold_side_by_side(plan, comparison_id, return_state=True).result())
    return reports


def _host_set(plan: ComparisonPlan) -> list[StepReport]:
    order, name = plan.host.order, plan.host.asked.examples
    reports = [*ingest(order), *write_reports(order)]
    return [*reports, pack_examples(plan.host, name, return_state=True).result()]


def _films(model: Model) -> list[StepReport]:
    """The test sources' films at the size that the model's recipe stores."""
    shown = model.shown
    return [store_images(shown, name, return_state=True).result() for name in shown.source_names]


def _answers(model: Model, teacher: Teacher) -> list[StepReport]:
    shown = model.shown
    return [
        show_test_set(shown, return_state=True).result(),
        run_predictions(shown, return_state=True).result(),
        score_predictions(shown, teacher, return_state=True).result(),
    ]

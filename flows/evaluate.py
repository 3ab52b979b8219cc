"""Predictions on the test split, beside image-blind controls, their scores and other readings."""

from __future__ import annotations

from prefect import flow

from infra.settings.sections import Reading
from tasks.coherence.task import run_coherence
from tasks.consistency.task import run_consistency
from tasks.context import Order, open_context
from tasks.draw.task import run_classifier
from tasks.ground.task import run_grounding
from tasks.monitor.recorded import recorded_run
from tasks.monitor.step_report import StepReport
from tasks.monitor.tracked import tracked_order
from tasks.predict.task import run_predictions
from tasks.reports.connection import Teacher
from tasks.retrieve.task import run_retrieval
from tasks.score.task import score_predictions

READINGS = {
    "retrieval": run_retrieval,
    "grounding": run_grounding,
    "consistency": run_consistency,
    "coherence": run_coherence,
}


@flow(name="evaluate", flow_run_name="{order.recipe} {order.scale}")
def evaluate(order: Order) -> list[StepReport]:
    """Generate, judge and score by ability; then the readings that the recipe asks for."""
    with tracked_order(order) as order, recorded_run(order) as order:
        context = open_context(order)
        reports: list[StepReport] = []
        with Teacher(context.environment) as teacher:
            for ability in map(context.doing, context.settings.abilities):
                reports.append(run_predictions(ability, return_state=True).result())
                if ability.asked.kind == "draw":
                    reports.append(run_classifier(ability, return_state=True).result())
                reports.append(score_predictions(ability, teacher, return_state=True).result())
        readings = context.settings.readings
        reports += [READINGS[kind](context, return_state=True).result() for kind in readings]
        return reports


@flow(name="read", flow_run_name="{order.recipe} {order.scale} {reading}")
def read_alone(order: Order, reading: Reading) -> list[StepReport]:
    """One reading of trained models, without the scores beside it."""
    with tracked_order(order) as order, recorded_run(order) as order:
        return [READINGS[reading](open_context(order), return_state=True).result()]

"""Predictions on the test split, beside image-blind controls, their scores and their grounding."""

from __future__ import annotations

from prefect import flow

from tasks.context import Order, open_context
from tasks.ground.task import run_grounding
from tasks.monitor.step_report import StepReport
from tasks.predict.task import run_predictions
from tasks.reports.connection import Teacher
from tasks.score.task import score_predictions


@flow(name="evaluate")
def evaluate(order: Order) -> list[StepReport]:
    """Generate, judge and score, and hold heat maps of sentences against boxes."""
    context = open_context(order)
    predicted = run_predictions(context, return_state=True).result()
    with Teacher(context.environment) as teacher:
        scored = score_predictions(context, teacher, return_state=True).result()
    grounded = run_grounding(context, return_state=True).result()
    return [predicted, scored, grounded]

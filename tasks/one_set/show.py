"""The plan of a comparison for a terminal and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from infra.artifact import read_artifact
from infra.step import Step, why_absent
from infra.store import Store
from tasks.monitor.plan import PlanRow, plan_rows, plan_text
from tasks.one_set.plan import ComparisonPlan


def planned_rows(plan: ComparisonPlan) -> list[PlanRow]:
    """Every step once, the host's set first and the comparison last."""
    rows = {row.folder: row for row in plan_rows(plan.host, "examples")}
    for model in plan.models:
        rows |= {row.folder: row for row in plan_rows(model.shown, "evaluate")}
    last = _row(plan.host.store, plan.step)
    return [*rows.values(), last]


def _row(store: Store, step: Step) -> PlanRow:
    exists = read_artifact(store, step) is not None
    state, why = ("exists", "") if exists else ("absent", why_absent(store, step))
    return PlanRow(f"{step.kind}/{step.name}", step.folder, state, why)


def plan_json(plan: ComparisonPlan) -> dict[str, Any]:
    """How each model would be asked, and the steps."""
    ways = {model.recipe: model.way for model in plan.models}
    return {"ways": ways, "steps": [asdict(row) for row in planned_rows(plan)]}


def planned_text(plan: ComparisonPlan) -> str:
    """The same for a terminal."""
    lines = [f"on {plan.asked.host}/{plan.test_set.name}"]
    for model in plan.models:
        lines.append(model.recipe)
        lines += [f"  {what.ljust(10)}  {told}" for what, told in model.way.items()]
    return "\n".join([*lines, plan_text(planned_rows(plan))])

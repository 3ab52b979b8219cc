"""The commands that run, plan or follow a pipeline."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import asdict

from flows.cli_prefect import prefect_at
from flows.goals import Goal
from infra.errors import CxrError
from infra.log import LOGGER
from tasks.context import Context, Order, open_context
from tasks.monitor.outcome import outcome_json, outcome_text
from tasks.monitor.step_report import StepReport
from tasks.monitor.trace import trace_study, trace_text


def run(order: Order, goal: Goal, *, as_json: bool) -> None:
    """Run up to the goal, then print the funnel, the losses, the scores and where to look."""
    started = time.monotonic()
    context = open_context(order)
    with prefect_at(context.environment, "flows.pipeline"):
        from flows.pipeline import pipeline  # Prefect reads its settings on import

        _warn_of_room(context, goal)
        reports = pipeline(order, "register" if goal == "run" else goal)
    seconds = time.monotonic() - started
    if goal == "quality":
        _show_quality(context, reports, seconds, as_json=as_json)
        return
    if as_json:
        steps = [asdict(report) for report in reports]
        document = {"seconds": round(seconds, 1), "steps": steps, **outcome_json(context)}
        print(json.dumps(document, indent=1))
        return
    print(outcome_text(context, reports, seconds))


def _warn_of_room(context: Context, goal: Goal) -> None:
    """One line where the disk will not hold what the run writes, or where that cannot be told."""
    from tasks.retention.room import room_for  # it asks what a plan asks

    room = room_for(context, goal)
    if room.line is not None:
        LOGGER.log(logging.INFO if room.is_enough else logging.WARNING, room.line)


def _show_quality(
    context: Context, reports: list[StepReport], seconds: float, *, as_json: bool
) -> None:
    """What the teacher's texts scored, source by source."""
    from tasks.quality.page import quality_markdown  # half a second that other commands never pay
    from tasks.quality.work import qualities

    found = qualities(context)
    if as_json:
        steps = [asdict(report) for report in reports]
        document = {"seconds": round(seconds, 1), "steps": steps, "teachers": found}
        print(json.dumps(document, indent=1))
        return
    print("\n".join(quality_markdown(document) for document in found.values()))
    for step in context.graph.of_kind("teachers"):
        if step.name in found:
            print(f"written to {context.store.root}/{step.folder}")


def show_plan(order: Order, goal: Goal, *, as_json: bool) -> None:
    """What exists and what would be built, and why; nothing is written."""
    from tasks.monitor.plan import plan_rows, plan_text  # a quarter of a second, as above
    from tasks.preflight import require_models

    context = open_context(order, make=False)
    rows = plan_rows(context, goal)
    print(json.dumps([asdict(row) for row in rows], indent=1) if as_json else plan_text(rows))
    _warn_of_room(context, goal)
    try:
        require_models(context, "register" if goal == "run" else goal)
    except CxrError as error:
        print(f"the run would stop at once: {error}", file=sys.stderr)


def show_trace(order: Order, study_id: str, *, with_text: bool, as_json: bool) -> None:
    """One study in every artifact of the run."""
    found = trace_study(open_context(order, make=False), study_id, with_text=with_text)
    print(json.dumps(found, indent=1, default=str) if as_json else trace_text(study_id, found))

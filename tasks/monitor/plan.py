"""What a run would do: which artifacts exist, which would be built, and why."""

from __future__ import annotations

from dataclasses import dataclass

from infra.artifact import Artifact, damaged_pieces, read_artifact
from infra.step import Step, why_absent
from tasks.context import Context
from tasks.dialogues.estimate import estimate_dialogues
from tasks.reports.estimate import (
    Estimate,
    TaskEstimate,
    estimate_judging,
    estimate_reports,
    estimate_teacher,
)

KINDS_UNTIL = {
    "ingest": ("replicas", "studies", "images"),
    "reports": ("replicas", "studies", "images", "reports", "dialogues"),
    "examples": ("replicas", "studies", "images", "reports", "dialogues", "examples"),
    "train": (
        *("replicas", "studies", "images", "reports", "dialogues", "examples", "drawings"),
        "stages",
    ),
    "evaluate": (
        *("replicas", "studies", "images", "reports", "dialogues", "examples", "drawings"),
        "stages",
        *("test_sets", "predictions", "classifiers", "scores", "retrieval", "grounding"),
        *("consistency", "coherence"),
    ),
    "quality": ("replicas", "studies", "teachers"),
}
"""The kinds of artifact each goal needs; other goals need all but ASIDE."""

ASIDE = ("teachers",)
"""Kinds that no other step needs: only their own goal builds them."""


@dataclass(frozen=True)
class PlanRow:
    """One step of the plan.

    ``state`` is exists, damaged or absent. ``requests`` counts calls of a language model that the
    step would make at most and ``cost_usd`` prices them. Where they are not known before another
    step has run, both are None and ``asks_after`` names it; all three are None where there is
    nothing to ask. ``cached`` calls more are answered already. ``hours`` is None where neither
    limits nor latencies are known; ``tasks`` holds the same numbers per task.
    """

    key: str
    folder: str
    state: str
    why: str
    requests: int | None = None
    cost_usd: float | None = None
    asks_after: str | None = None
    cached: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    hours: float | None = None
    tasks: tuple[TaskEstimate, ...] = ()


def plan_rows(context: Context, goal: str) -> list[PlanRow]:
    """All steps up to a goal, in order; reads manifests and digests, writes nothing."""
    return [_plan_step(context, step) for step in steps_until(context, goal)]


def steps_until(context: Context, goal: str) -> list[Step]:
    """The steps that a goal needs, in an order in which they can run.

    Examples whose films a stage draws are made on the way to its training, not to examples.
    """
    kinds = KINDS_UNTIL.get(goal)
    return [
        step
        for step in context.graph.steps.values()
        if (step.kind not in ASIDE if kinds is None else step.kind in kinds)
        and not (goal == "examples" and f"drawings/{step.name}" in step.inputs)
    ]


def _plan_step(context: Context, step: Step) -> PlanRow:
    key = f"{step.kind}/{step.name}"
    artifact = read_artifact(context.store, step)
    if artifact is not None:
        damaged = damaged_pieces(artifact)
        if not damaged:
            return PlanRow(key, step.folder, "exists", "")
        return PlanRow(key, step.folder, "damaged", f"rebuild {', '.join(damaged)}")
    why = why_absent(context.store, step)
    estimate = _estimate(context, step)
    if isinstance(estimate, Estimate):
        return PlanRow(
            key,
            step.folder,
            "absent",
            why,
            estimate.requests,
            estimate.cost_usd,
            cached=estimate.cached,
            input_tokens=estimate.input_tokens,
            output_tokens=estimate.output_tokens,
            hours=estimate.hours,
            tasks=estimate.tasks,
        )
    return PlanRow(key, step.folder, "absent", why, asks_after=estimate)


def _estimate(context: Context, step: Step) -> Estimate | str | None:
    """Language-model calls of an absent step, or the key of the step that must run before."""
    settings = context.settings
    if step.kind == "reports":
        if all(route == "keep" for route in settings.sources.routes[step.name]):
            return None
        needed = f"studies/{step.name}"
        studies = _whole(context, needed)
        return needed if studies is None else estimate_reports(context, step.name, studies)
    if step.kind == "dialogues":
        for needed in (f"studies/{step.name}", f"reports/{step.name}"):
            if _whole(context, needed) is None:
                return needed
        return estimate_dialogues(context, step.name)
    if step.kind == "teachers":
        needed = f"studies/{step.name}"
        studies = _whole(context, needed)
        return needed if studies is None else estimate_teacher(context, studies)
    judged = step.kind == "scores" and settings.abilities[step.name].kind == "report"
    if judged and settings.score.judges:
        needed = f"examples/{settings.abilities[step.name].examples}"
        examples = _whole(context, needed)
        return needed if examples is None else estimate_judging(context, examples)
    return None


def _whole(context: Context, key: str) -> Artifact | None:
    """The artifact; None where it is absent, or damaged and will be another when it is read."""
    artifact = read_artifact(context.store, context.graph[key])
    return None if artifact is None or damaged_pieces(artifact) else artifact


def _asked_text(row: PlanRow) -> str:
    """Calls, tokens, price and hours of a step; one part for each task where there are several."""
    parts = [f"at most {row.requests:,} model calls"]
    if row.cached:
        parts.append(f"{row.cached:,} more answered already")
    if row.input_tokens is not None and row.output_tokens is not None:
        parts.append(f"{row.input_tokens:,} tokens in and {row.output_tokens:,} out")
    parts.append("price unknown" if row.cost_usd is None else f"about ${row.cost_usd:.2f}")
    if row.input_tokens is not None:
        parts.append("hours unknown" if row.hours is None else f"about {row.hours:.1f} h")
    if len(row.tasks) > 1:
        parts.append(" and ".join(f"{task.task} {task.requests:,}" for task in row.tasks))
    return ", ".join(parts)


def plan_text(rows: list[PlanRow]) -> str:
    """The plan for a terminal."""
    width = max(len(row.key) for row in rows)
    lines = []
    for row in rows:
        asked = ""
        if row.requests is not None:
            asked = f"  [{_asked_text(row)}]"
        elif row.asks_after is not None:
            asked = f"  [model calls: known after {row.asks_after}]"
        lines.append(f"{row.key.ljust(width)}  {row.state:7}  {row.why}{asked}".rstrip())
    absent = sum(row.state != "exists" for row in rows)
    lines.append(f"{len(rows)} steps: {len(rows) - absent} exist, {absent} would be built")
    return "\n".join(lines)

"""The variants of an ablation as orders and graphs over one store, and what each would add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Final

from infra.artifact import read_artifact
from infra.errors import SettingsError
from infra.settings.matrix import BASELINE, METRICS_OF_KIND, MatrixSettings, Told
from infra.step import Step
from tasks.ablate.content import answers_of
from tasks.context import Context, Order, open_context
from tasks.graph import CODE, REVISIONS
from tasks.monitor.plan import steps_until

KIND = "ablations"
UNTIL: Final = "evaluate"
_MADE_OF_STAGES: Final = ("scores", "retrieval", "grounding", "consistency", "coherence")
"""The kinds that a variant is run for."""
_NOT_READ: Final = ("predictions", "classifiers", "scores")
"""Kinds of the goal that a table told by a reading does without."""


@dataclass(frozen=True)
class PlannedVariant:
    """One variant with its plan; ``question`` is empty for the baseline. ``reading`` is what the
    table is told by, None for the ability's scores."""

    name: str
    question: str
    overrides: tuple[str, ...]
    context: Context
    reading: Told | None = None

    @property
    def step(self) -> Step:
        """What the table is made of."""
        return self.context.step(self.reading or "scores")

    @property
    def steps(self) -> list[Step]:
        """All that is built for it, in an order in which it can be."""
        every = steps_until(self.context, UNTIL)
        return [step for step in every if not self.reading or step.kind not in _NOT_READ]


@dataclass(frozen=True)
class Unscored:
    """A variant without scores, and why: it was not run, or it failed."""

    name: str
    question: str
    overrides: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class AblationPlan:
    """The variants to run, the baseline first, and those that this run cannot answer."""

    variants: tuple[PlannedVariant, ...]
    skipped: tuple[Unscored, ...]

    @property
    def baseline(self) -> PlannedVariant:
        return self.variants[0]


@dataclass(frozen=True)
class Addition:
    """What a variant adds to those before it: steps in all, there already, and to be built."""

    name: str
    steps: int
    shared: int
    exist: int
    build: tuple[str, ...]


def plan_variants(matrix: MatrixSettings, order: Order, *, make: bool = True) -> AblationPlan:
    """Every variant's settings and graph; nothing is built.

    A variant that asks for sources which are not in the run, or that would train and answer as the
    baseline or a variant before it does, is skipped; of sets that are built their bytes tell.

    Raises:
        InputError: a setting, source, path or metric is wrong.
    """
    questions = {variant.name: variant.question for variant in matrix.variants}
    base = _context(matrix, _order(matrix, order, matrix.set), make=make)
    _require_metrics(matrix, base)
    reasons = matrix.skipped(base.settings, base.source_names)
    about = "The recipe as it stands."
    planned = [PlannedVariant(BASELINE, about, (), base, matrix.reading)]
    common = len(matrix.set)
    for name, overrides in matrix.overrides(base.settings, base.source_names).items():
        if name == BASELINE:
            continue
        context = _context(matrix, _order(matrix, order, overrides), make=make)
        own = overrides[common:]
        planned.append(PlannedVariant(name, questions[name], own, context, matrix.reading))
        same = twin(planned[-1], [each for each in planned[:-1] if each.name not in reasons])
        if same is not None:
            reasons[name] = _same_as(same.name)
    skipped = [Unscored(name, questions[name], (), f"not run: {reasons[name]}") for name in reasons]
    return AblationPlan(tuple(item for item in planned if item.name not in reasons), tuple(skipped))


def _context(matrix: MatrixSettings, order: Order, *, make: bool) -> Context:
    """The plan of one variant, looking at the ability that is tabulated; stages that no score
    needs are not trained."""
    context = open_context(order, make=make)
    left_out = _unneeded(context)
    if left_out:
        every = (*order.overrides, *left_out)
        context = open_context(order.model_copy(update={"overrides": every}), make=make)
    if matrix.ability is None:
        return context
    if matrix.ability not in context.settings.abilities:
        raise SettingsError(
            f"ability '{matrix.ability}' in matrix {matrix.name}",
            f"one of {', '.join(context.settings.abilities)}",
            "correct the matrix",
        )
    return context.doing(matrix.ability)


def _unneeded(context: Context) -> list[str]:
    """Overrides that leave out stages, and their sets, which nothing that is scored or read
    depends on: those of abilities that are left out."""
    steps = context.graph.steps
    needed: set[str] = set()
    waiting = [key for key, step in steps.items() if step.kind in _MADE_OF_STAGES]
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting += [name for name in steps[key].inputs if name in steps]
    stages, sets = (
        [step.name for step in context.graph.of_kind(kind) if f"{kind}/{step.name}" not in needed]
        for kind in ("stages", "examples")
    )
    return [
        *(f"stages.{name}.skip=true" for name in stages),
        *(f"sets.{name}=null" for name in sets),
    ]


def _require_metrics(matrix: MatrixSettings, base: Context) -> None:
    """A misspelt metric would be missing from the table after hours of training; one that lacks
    weights here is known, and tabulated as unavailable."""
    kind = base.asked.kind
    if matrix.reading is None and kind not in METRICS_OF_KIND:
        raise SettingsError(
            f"ability '{base.ability}' of kind {kind} in matrix {matrix.name}",
            f"one of kind {' or '.join(METRICS_OF_KIND)}: others cannot be compared in pairs",
            "name another ability in the matrix",
        )
    names, place = matrix.metrics_of(kind), f"matrix {matrix.name}"
    if matrix.reading is None:
        require_metrics(names, base, place)
    else:
        from evaluation.coherence_system import coherence_metric_names

        _require_known(names, coherence_metric_names(), place)


def require_metrics(names: Sequence[str], base: Context, place: str) -> None:
    """Refuse a metric that the ability's scores cannot hold.

    Raises:
        SettingsError: no such metric; ``place`` says where it is named.
    """
    _require_known(names, _known_metrics(base) if names else [], place)


def _require_known(names: Sequence[str], known: Sequence[str], place: str) -> None:
    for name in names:
        if name not in known:
            like = get_close_matches(name, known, cutoff=0.0)
            raise SettingsError(
                f"metric '{name}' in {place}",
                f"a metric of its baseline, such as {', '.join(like)}",
                "correct the name, or name the judge in score.judges",
            )


def _known_metrics(base: Context) -> list[str]:
    """Names of all metrics that the baseline's scores may hold."""
    # both a third of a second that other commands never pay
    if base.asked.kind == "vqa":
        from evaluation.vqa import METRICS

        return list(METRICS)
    from evaluation.paired import known_metrics

    return known_metrics(base.settings.score)


def _same_as(name: str) -> str:
    whose = "the baseline" if name == BASELINE else f"variant {name}"
    return (
        f"the same as {whose} here: its stages train on the same data, and its predictions are "
        f"those of {whose}"
    )


def twin(item: PlannedVariant, others: Sequence[PlannedVariant]) -> PlannedVariant | None:
    """The first of the others that trains and answers on the same data, if any.

    Sets that are built are held against each other by their shards: two that were chosen by
    different settings may hold the same examples.
    """
    own = answers_of(item.context, item.reading)
    return next((it for it in others if answers_of(it.context, it.reading) == own), None)


def _order(matrix: MatrixSettings, order: Order, overrides: tuple[str, ...]) -> Order:
    """The order of one variant; those of the command come last."""
    every = matrix.settled((*overrides, *order.overrides))
    told = {"recipe": matrix.recipe, "scale": matrix.scale, "overrides": every}
    return order.model_copy(update=told)


def comparison_step(
    matrix: MatrixSettings, plan: AblationPlan, failed: Sequence[Unscored] = ()
) -> Step:
    """What the table is made from: the scores of every variant that has some."""
    compared = scored(plan, failed)
    scores = {item.name: item.step.fingerprint for item in compared}
    asked = {
        "metrics": list(metrics_of(matrix, plan)),
        "resamples": matrix.resamples,
        "seed": matrix.seed,
        **({"ability": matrix.ability} if matrix.ability else {}),
        **({"reading": matrix.reading} if matrix.reading else {}),
        "variants": [[item.name, item.question, list(item.overrides)] for item in compared],
        "again": sorted(matrix.trained_again),
        "unscored": [asdict(item) for item in (*failed, *plan.skipped)],
    }
    return Step(KIND, matrix.name, asked, scores, REVISIONS[KIND], CODE[KIND])


def metrics_of(matrix: MatrixSettings, plan: AblationPlan) -> tuple[str, ...]:
    """The metrics that are tabulated."""
    return matrix.metrics_of(plan.baseline.context.asked.kind)


def scored(plan: AblationPlan, failed: Sequence[Unscored]) -> tuple[PlannedVariant, ...]:
    """The variants that have scores, the baseline first."""
    lost = {item.name for item in failed}
    return tuple(item for item in plan.variants if item.name not in lost)


def additions(variants: Sequence[PlannedVariant]) -> list[Addition]:
    """What each variant would build that neither exists nor is built for one before it."""
    seen: set[str] = set()
    found = []
    for item in variants:
        steps = item.steps
        fresh = [step for step in steps if step.folder not in seen]
        absent = [
            f"{step.kind}/{step.name}"
            for step in fresh
            if read_artifact(item.context.store, step) is None
        ]
        shared = len(steps) - len(fresh)
        found.append(
            Addition(item.name, len(steps), shared, len(fresh) - len(absent), tuple(absent))
        )
        seen.update(step.folder for step in steps)
    return found


def additions_json(plan: AblationPlan) -> list[dict[str, Any]]:
    """What each variant adds, then those skipped, as JSON values."""
    rows = [asdict(item) for item in additions(plan.variants)]
    return [*rows, *({"name": item.name, "skipped": item.reason} for item in plan.skipped)]


def additions_text(plan: AblationPlan) -> str:
    """The plan for a terminal."""
    found = additions(plan.variants)
    width = max(len(name) for name in (*(a.name for a in found), *(s.name for s in plan.skipped)))
    lines = [
        f"{item.name.ljust(width)}  {item.steps:3} steps: {item.shared:3} shared with those above, "
        f"{item.exist:3} exist, {len(item.build):3} to build"
        + (f": {_short(item.build)}" if item.build and item.name != BASELINE else "")
        for item in found
    ]
    lines += [f"{item.name.ljust(width)}  {item.reason}" for item in plan.skipped]
    total = sum(len(item.build) for item in found)
    return "\n".join([*lines, f"{len(found)} variants, {total} steps to build"])


def _short(names: tuple[str, ...]) -> str:
    """The first names: after them a variant builds all that follows from those."""
    shown = 4  # our choice: stages from the first that differs
    return ", ".join(names[:shown]) + (" …" if len(names) > shown else "")

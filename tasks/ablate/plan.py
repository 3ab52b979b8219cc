"""The variants of an ablation as orders and graphs over one store, and what each would add."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Final

from infra.artifact import read_artifact
from infra.errors import SettingsError
from infra.settings.matrix import BASELINE, MatrixSettings
from infra.settings.sections import ScoreSettings
from infra.step import Step
from tasks.context import Context, Order, open_context
from tasks.graph import CODE, REVISIONS
from tasks.monitor.plan import steps_until

KIND = "ablations"
UNTIL: Final = "evaluate"


@dataclass(frozen=True)
class PlannedVariant:
    """One variant with its plan; ``question`` is empty for the baseline."""

    name: str
    question: str
    overrides: tuple[str, ...]
    context: Context


@dataclass(frozen=True)
class Addition:
    """What a variant adds to those before it: steps in all, there already, and to be built."""

    name: str
    steps: int
    shared: int
    exist: int
    build: tuple[str, ...]


def variant_orders(matrix: MatrixSettings, order: Order) -> dict[str, Order]:
    """One order for each variant, the baseline's first; the order's own overrides come last.

    Raises:
        SettingsError: a shorthand of the matrix does not fit the recipe.
    """
    return {
        name: order.model_copy(
            update={
                "recipe": matrix.recipe,
                "scale": matrix.scale,
                "overrides": (*overrides, *order.overrides),
            }
        )
        for name, overrides in matrix.overrides().items()
    }


def plan_variants(
    matrix: MatrixSettings, order: Order, *, make: bool = True
) -> tuple[PlannedVariant, ...]:
    """Every variant's settings and graph; nothing is built.

    Raises:
        InputError: a setting, source, path or metric is wrong.
    """
    questions = {variant.name: variant.question for variant in matrix.variants}
    common = len(matrix.set)
    found = tuple(
        PlannedVariant(
            name,
            questions.get(name, "The recipe as it stands."),
            own.overrides[common : len(own.overrides) - len(order.overrides)],
            open_context(own, make=make),
        )
        for name, own in variant_orders(matrix, order).items()
    )
    _require_metrics(matrix, found[0].context.settings.score)
    return found


def _require_metrics(matrix: MatrixSettings, settings: ScoreSettings) -> None:
    """A misspelt metric would be missing from the table after hours of training."""
    from evaluation.paired import known_metrics  # a third of a second that other commands never pay

    known = known_metrics(settings)
    for name in matrix.metrics:
        if name not in known:
            like = get_close_matches(name, known, cutoff=0.0)
            raise SettingsError(
                f"metric '{name}' in matrix {matrix.name}",
                f"a metric of its baseline, such as {', '.join(like)}",
                "correct the matrix, or name the judge in score.judges",
            )


def comparison_step(matrix: MatrixSettings, variants: tuple[PlannedVariant, ...]) -> Step:
    """What the table is made from: the scores of every variant."""
    scores = {
        item.name: item.context.graph[f"scores/{matrix.recipe}"].fingerprint for item in variants
    }
    asked = {
        "metrics": list(matrix.metrics),
        "resamples": matrix.resamples,
        "seed": matrix.seed,
        "variants": [[item.name, item.question, list(item.overrides)] for item in variants],
    }
    return Step(KIND, matrix.name, asked, scores, REVISIONS[KIND], CODE[KIND])


def additions(variants: tuple[PlannedVariant, ...]) -> list[Addition]:
    """What each variant would build that neither exists nor is built for one before it."""
    seen: set[str] = set()
    found = []
    for item in variants:
        steps = steps_until(item.context, UNTIL)
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


def additions_json(found: list[Addition]) -> list[dict[str, Any]]:
    """The same as JSON values."""
    return [asdict(item) for item in found]


def additions_text(found: list[Addition]) -> str:
    """The plan for a terminal."""
    width = max(len(item.name) for item in found)
    lines = [
        f"{item.name.ljust(width)}  {item.steps:3} steps: {item.shared:3} shared with those above, "
        f"{item.exist:3} exist, {len(item.build):3} to build"
        + (f": {_short(item.build)}" if item.build and item.name != BASELINE else "")
        for item in found
    ]
    total = sum(len(item.build) for item in found)
    return "\n".join([*lines, f"{len(found)} variants, {total} steps to build"])


def _short(names: tuple[str, ...]) -> str:
    """The first names: after them a variant builds all that follows from those."""
    shown = 4  # our choice: stages from the first that differs
    return ", ".join(names[:shown]) + (" …" if len(names) > shown else "")

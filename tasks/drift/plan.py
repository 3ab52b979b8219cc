"""Which studies a champion is asked about, and every step from there to the look at drift."""

from __future__ import annotations

from dataclasses import dataclass, replace

from infra.artifact import Artifact
from infra.errors import InputError
from infra.promotions import CHAMPION
from infra.step import Step
from tasks.context import Context, open_context
from tasks.drift.order import MonitorOrder
from tasks.graph import CODE, REVISIONS, Graph, read_of
from tasks.promote.lineage import Model, find_model, input_of, kind_of
from tasks.promote.work import open_registry

KIND = "watches"


@dataclass(frozen=True)
class DriftPlan:
    """The champion, its evaluation, and the recipe's context with the champion in it.

    ``shown`` is of the ability that is watched; its examples are the recent studies alone.
    """

    asked: MonitorOrder
    champion: Model
    scores: Artifact
    shown: Context

    @property
    def step(self) -> Step:
        """The look itself."""
        chosen = {
            "yearly_rate": self.asked.yearly_false_alarms,
            "looks_per_year": self.asked.looks_per_year,
            "version": self.champion.version.number,
        }
        inputs = {
            f"predictions/{self.shown.ability}": self.shown.step("predictions").fingerprint,
            f"scores/{self.scores.step.name}": self.scores.fingerprint,
        }
        return Step(KIND, self.asked.model, chosen, inputs, REVISIONS[KIND], CODE[KIND])

    @property
    def evaluated(self) -> Artifact:
        """Predictions that the champion was judged on."""
        return input_of(self.scores, "predictions")

    @property
    def tested(self) -> Artifact:
        """The examples behind them."""
        return input_of(self.evaluated, "examples")


def plan_drift(asked: MonitorOrder, *, make: bool = True) -> DriftPlan:
    """Find the champion, and put it where the recipe's own model would be.

    Raises:
        InputError: no such model or champion, its artifacts are not here, a setting or source is
            wrong, or the recipe has no ability of that model that writes reports.
    """
    host = open_context(asked.order, make=make)
    version = open_registry(host.environment).version(asked.model, f"@{CHAMPION}")
    champion = find_model(host.store, version)
    context = host.doing(_ability(host, asked.model))
    scores = champion.scores.get(context.ability)
    if scores is None or kind_of(scores) != "report":
        raise InputError(
            f"{version.uri} without scores of the ability {context.ability}",
            "a champion that was judged on reports by the same recipe",
            "give the recipe that it was made by",
        )
    return DriftPlan(asked, champion, scores, _shown(asked, context, champion))


def _ability(host: Context, model: str) -> str:
    """The ability of that registered model that writes reports."""
    known = {
        one.model_name: name
        for name, one in reversed(host.settings.abilities.items())
        if one.kind == "report"
    }
    if model not in known:
        raise InputError(
            f"model '{model}' with recipe '{host.settings.recipe}'",
            f"a model of it that writes reports: {', '.join(sorted(known))}",
            "give its recipe with --recipe",
        )
    return known[model]


def _shown(asked: MonitorOrder, context: Context, champion: Model) -> Context:
    """The context whose stage is the champion's and whose examples are the recent studies."""
    settings, ability = context.settings, context.asked
    own = f"stages/{ability.stage}"
    stage = champion.stage.step
    recent = f"{ability.examples}-recent"
    read = {
        key: step.fingerprint
        for key, step in context.graph.steps.items()
        if step.kind in ("studies", "images", "reports")
    }
    window = {"since": str(asked.since), "until": str(asked.until)}
    examples = Step(
        "examples",
        recent,
        {**read_of(settings.sets[ability.examples]), **window},
        {**read, f"models/{champion.receipt.step.name}": champion.receipt.fingerprint},
        REVISIONS["examples"],
        (*CODE["examples"], "tasks.drift.recent"),
    )
    generated = {**ability.generate.model_dump(mode="json"), "controls": []}
    predictions = Step(
        "predictions",
        f"{context.ability}-recent",
        generated,
        {own: stage.fingerprint, f"examples/{recent}": examples.fingerprint},
        REVISIONS["predictions"],
        CODE["predictions"],
    )
    name = f"{context.ability}-recent"
    steps = {
        **context.graph.steps,
        own: stage,
        f"examples/{recent}": examples,
        f"predictions/{name}": predictions,
    }
    sets = {**settings.sets, recent: settings.sets[ability.examples]}
    abilities = {**settings.abilities, name: ability.model_copy(update={"examples": recent})}
    score = settings.score.model_copy(update={"controls": (), "judges": ()})
    changed = {"sets": sets, "abilities": abilities, "score": score}
    return replace(
        context,
        settings=settings.model_copy(update=changed),
        graph=Graph(steps),
        ability=name,
    )

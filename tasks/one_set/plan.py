"""Which models are compared, on whose studies, and every step from there to the table."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from infra.artifact import read_artifact
from infra.errors import InputError, SettingsError
from infra.step import Step
from tasks.ablate.plan import require_metrics
from tasks.context import Context, Order, open_context
from tasks.graph import CODE, REVISIONS
from tasks.one_set.order import ComparisonOrder
from tasks.one_set.shown import ingested, sees_indications, shown_graph, shown_settings

TEST_SET, KIND = "test_sets", "comparisons"


@dataclass(frozen=True)
class Model:
    """One trained recipe.

    ``own`` is the plan that it was trained by, ``shown`` the one by which it is asked about the
    common studies. ``learned`` names the sets of examples that it was trained or chosen on.
    """

    recipe: str
    own: Context
    shown: Context
    learned: tuple[str, ...]
    with_indication: bool

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages behind the model, in the recipe's order."""
        return behind(self.own)[0]

    @property
    def way(self) -> dict[str, str]:
        """How it is asked, for a reader: films, words, indication, decoding."""
        return way_of(self.shown, with_indication=self.with_indication)


@dataclass(frozen=True)
class ComparisonPlan:
    """The models, the first of which the others are held against, and the host's own plan."""

    asked: ComparisonOrder
    models: tuple[Model, ...]
    host: Context
    test_set: Step

    @property
    def step(self) -> Step:
        """The comparison itself."""
        scores = {model.recipe: model.shown.step("scores").fingerprint for model in self.models}
        chosen = {
            "recipes": list(self.asked.recipes),
            "metrics": list(self.asked.metrics),
            "resamples": self.asked.resamples,
            "seed": self.asked.seed,
            "ways": {model.recipe: model.way for model in self.models},
        }
        inputs = {**scores, f"{TEST_SET}/{self.test_set.name}": self.test_set.fingerprint}
        return Step(KIND, self.test_set.name, chosen, inputs, REVISIONS[KIND], CODE[KIND])


def plan_comparison(asked: ComparisonOrder, *, make: bool = True) -> ComparisonPlan:
    """Every recipe's settings and graph; nothing is built.

    Raises:
        InputError: a setting or source is wrong, a recipe is not trained under the data root, or
            has no model that writes the section.
    """
    orders = asked.orders()
    host = _host(asked, open_context(orders[asked.host], make=make))
    own = {
        recipe: _that_writes(open_context(orders[recipe], make=make), host.examples.task)
        for recipe in asked.recipes
    }
    require_metrics(asked.metrics, host, "--metric")
    for context in own.values():
        _require_trained(context)
    told = {
        recipe: sees_indications(context.artifact(f"examples/{context.asked.examples}"))
        for recipe, context in own.items()
    }
    return _planned(asked, host, own, told)


def _planned(
    asked: ComparisonOrder,
    host: Context,
    own: Mapping[str, Context],
    told: Mapping[str, bool],
) -> ComparisonPlan:
    set_name = host.asked.examples
    settings = {
        recipe: shown_settings(
            context, host, f"{recipe}-on-{set_name}", with_indication=told[recipe]
        )
        for recipe, context in own.items()
    }
    steps = {recipe: ingested(host, each) for recipe, each in settings.items()}
    learned = {recipe: behind(context)[1] for recipe, context in own.items()}
    test_set = _test_set(host, own, steps, learned, {
        recipe: each.sets[f"{recipe}-on-{set_name}"].model_dump(mode="json")
        for recipe, each in settings.items()
    })  # fmt: skip
    models = []
    for recipe, context in own.items():
        graph = shown_graph(context, host, settings[recipe], steps[recipe], test_set)
        shown = replace(
            host,
            order=context.order,
            settings=settings[recipe],
            graph=graph,
            ability=f"{recipe}-on-{set_name}",
        )
        models.append(Model(recipe, context, shown, learned[recipe], told[recipe]))
    return ComparisonPlan(asked, tuple(models), host, test_set)


def _host(asked: ComparisonOrder, context: Context) -> Context:
    """The host's plan, looking at the ability that is scored on the set."""
    reports = {
        name: ability.examples
        for name, ability in context.settings.abilities.items()
        if ability.kind == "report"
    }
    for name, examples in reports.items():
        if asked.set_name in ("", examples):
            return context.doing(name)
    raise SettingsError(
        f"test set '{asked.on}'",
        f"a recipe, or recipe/set with one of its scored sets: {', '.join(reports.values())}",
        "correct --on",
    )


def _that_writes(context: Context, section: str) -> Context:
    """The recipe's plan, looking at its first ability that writes the section."""
    settings = context.settings
    for name, ability in settings.abilities.items():
        if ability.kind == "report" and settings.sets[ability.examples].task == section:
            return context.doing(name)
    raise SettingsError(
        f"recipe '{settings.recipe}' without an ability that writes {section}",
        "one in every recipe that is compared",
        "leave the recipe out, or choose another set with --on",
    )


def behind(context: Context) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ability's stage and every stage before it, and the sets that they trained or were chosen
    on, each in the recipe's order."""
    waiting, found = [f"stages/{context.asked.stage}"], dict[str, None]()
    while waiting:
        key = waiting.pop()
        found[key] = None
        if key.startswith("stages/"):
            inputs = context.graph[key].inputs
            waiting += [each for each in inputs if each.startswith(("stages/", "examples/"))]
    stages = [stage.name for stage in context.settings.stages if f"stages/{stage.name}" in found]
    sets = [name for name in context.settings.sets if f"examples/{name}" in found]
    return tuple(stages), tuple(sets)


def _require_trained(context: Context) -> None:
    """The model is there, and so are the examples that tell what it learned from."""
    needed = [f"stages/{context.asked.stage}"]
    needed += [f"examples/{name}" for name in behind(context)[1]]
    for key in needed:
        if read_artifact(context.store, context.graph[key]) is None:
            raise InputError(
                f"no {key} of recipe '{context.settings.recipe}' under {context.store.root}",
                "a trained model, by these settings and sources",
                f"run '{_run_command(context.order)}' first",
            )


def _run_command(order: Order) -> str:
    """The command that trains and scores the recipe."""
    words = ["cxr", "run", "--recipe", order.recipe, "--scale", order.scale]
    words += ["--replicas"] if order.replicas else []
    for option, values in (("--source", order.sources), ("--set", order.overrides)):
        words += [word for value in values for word in (option, value)]
    words += ["--data-root", order.data_root] if order.data_root else []
    return shlex.join(words)


def _test_set(
    host: Context,
    own: Mapping[str, Context],
    steps: Mapping[str, Mapping[str, Step]],
    learned: Mapping[str, tuple[str, ...]],
    shown: Mapping[str, Any],
) -> Step:
    """Which studies all may be asked about: by what each learned from, and is shown of them."""
    name = host.asked.examples
    inputs = {f"examples/{name}": host.graph[f"examples/{name}"].fingerprint}
    for recipe, context in own.items():
        read = {f"examples/{each}" for each in learned[recipe]}
        read |= {f"images/{source}" for source in context.source_names}
        inputs |= {f"{recipe}: {key}": context.graph[key].fingerprint for key in sorted(read)}
        inputs |= {
            f"{recipe} is shown {key}": step.fingerprint
            for key, step in steps[recipe].items()
            if step.kind != "replicas"
        }
    return Step(TEST_SET, name, {"shown": dict(shown)}, inputs, REVISIONS[TEST_SET], CODE[TEST_SET])


def way_of(context: Context, *, with_indication: bool) -> dict[str, str]:
    """How a model is asked about the common studies, in words."""
    examples, generate = context.examples, context.asked.generate
    vision = context.settings.models.vision
    many = examples.most_images > 1
    views = " or ".join(examples.views)
    films = (
        f"up to {examples.most_images} ({examples.choose}; {vision.layout}) of {views}"
        if many
        else f"one: the first {views}"
    )
    beams = "greedy" if generate.beams == 1 else f"{generate.beams} beams"
    indication = "in the request, where the exam has one" if with_indication else "not shown"
    if with_indication and generate.prompt == "no-indication":
        indication = "not shown, as its recipe asks"
    stage = context.asked.stage
    return {
        "model": f"stage {stage} {context.graph[f'stages/{stage}'].fingerprint}",
        "films": films,
        "film size": f"{vision.image_px} px, stored at {context.settings.images.short_side_px} px",
        "indication": indication,
        "decoding": f"{beams}, {generate.min_new_tokens} to {generate.max_new_tokens} new tokens",
    }

"""An ability that draws in a recipe: what is refused in a line, and what each step depends on."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, get_args

import pytest
from draw_ability_world import ABILITIES, drawn_recipe, inline

from evaluation.film_targets import FINDINGS
from infra.errors import SettingsError
from infra.settings.film_ability import FilmAbilitySettings, Finding, encoder_of, reporter_of
from infra.step import Step
from tasks.graph import DRAWN, MODELS_APART, SCORED_APART, Graph, build_graph
from tasks.monitor.plan import steps_until


def graph(*overrides: str, **more: Any) -> Graph:
    return build_graph(drawn_recipe(*overrides), {}, frozenset({"mimic_cxr"}), **more)


def changed(*overrides: str, **more: Any) -> set[str]:
    before, after = graph(), graph(*overrides, **more)
    return {key for key in before.steps if before[key].fingerprint != after[key].fingerprint}


def test_the_findings_that_may_be_judged_are_the_labelers() -> None:
    assert get_args(Finding) == tuple(FINDINGS)


def test_a_recipe_names_little_and_the_rest_follows() -> None:
    bare = {"kind": "draw", "stage": "guide", "examples": "reports", "model_name": "x"}
    settings = drawn_recipe(abilities={**ABILITIES, "draw": bare})
    films = settings.abilities["draw"].films
    assert films == FilmAbilitySettings()
    assert (films.sampler.steps, films.sampler.guidance) == (50, 1.1)
    assert reporter_of(films, settings.abilities) == "report"
    assert encoder_of(films, settings.abilities, settings.stages) == "pretrain"
    assert settings.drawer == "draw"
    assert settings.first_ability == "report"
    assert settings.asked_for_films == "requests"
    assert settings.abilities["report"].draw is None


def wrong(ability: str, **values: Any) -> dict[str, dict[str, Any]]:
    """The abilities with other values in one of them."""
    abilities = deepcopy(ABILITIES)
    for key, value in values.items():
        place: dict[str, Any] = abilities[ability]
        *parents, leaf = key.split("__")
        for parent in parents:
            place = place[parent]
        place[leaf] = value
    return abilities


@pytest.mark.parametrize(
    ("abilities", "message"),
    [
        (
            wrong("draw", stage="finetune"),
            "ability draw of kind draw asks stage finetune of kind finetune, which draws nothing",
        ),
        (
            wrong("draw", stage="autoencode"),
            "ability draw of kind draw asks stage autoencode of kind autoencode, which draws",
        ),
        (
            wrong("report", stage="guide"),
            "ability report of kind report asks stage guide of kind guide, which writes nothing",
        ),
        (
            wrong("draw", examples="requests"),
            "ability draw of kind draw reads requests, a set of generate",
        ),
        (
            wrong("report", draw={"steps": 3}),
            "an ability of kind report and a table draw do not go together",
        ),
        (
            wrong("draw", draw__encoder="guide"),
            "ability draw: draw.encoder is guide, which is no stage of kind pretrain, align",
        ),
        (
            wrong("draw", draw__reporter="draw"),
            "ability draw: draw.reporter is draw, which is no ability of kind report",
        ),
        (
            wrong("draw", draw__guide_parts="guess"),
            "ability draw: draw.guide_parts is guess, and models.diffusion.hint_weight is 0",
        ),
        (
            wrong("draw", stage="diffuse", draw__guide_parts="convolutions"),
            "draw.guide_parts is convolutions, and stage diffuse trains no zero convolutions",
        ),
        (
            wrong("draw", draw__findings=["Edema", "Edema"]),
            "draw.findings names a finding twice",
        ),
        (wrong("draw", draw__findings=["Gout"]), "found 'Gout' at 'abilities.draw.draw.findings"),
        (wrong("draw", draw__films=1), "found 1 at 'abilities.draw.draw.films'"),
        (wrong("draw", model_name="llava_rad"), "two stages are registered under one name"),
    ],
)
def test_what_does_not_fit_together_is_one_line(
    abilities: dict[str, dict[str, Any]], message: str
) -> None:
    abilities["report"].setdefault("model_name", "llava_rad")
    with pytest.raises(SettingsError) as error:
        drawn_recipe(abilities=abilities)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_coherence_needs_a_model_that_learned_requests() -> None:
    assert drawn_recipe('readings=["coherence"]').readings == ("coherence",)
    with pytest.raises(SettingsError, match="stage finetune learns no set of requests"):
        drawn_recipe(
            'readings=["coherence"]',
            "stages.finetune.examples={reports=1}",
            "stages.language.examples={reports=1,requests=1}",
        )


def test_films_are_drawn_before_they_are_judged() -> None:
    plan = graph('readings=["coherence"]')
    assert set(plan["predictions/draw"].inputs) == {"stages/guide", "examples/reports"}
    assert set(plan["classifiers/draw"].inputs) == {"examples/reports"}
    assert set(plan["scores/draw"].inputs) == {
        *("predictions/draw", "classifiers/draw", "examples/reports"),
        *("stages/pretrain", "stages/finetune"),
    }
    assert set(plan["coherence/report"].inputs) == {
        *("stages/finetune", "examples/requests", "stages/guide", "classifiers/draw"),
    }
    assert told(plan["predictions/draw"]) == DRAWN
    assert told(plan["scores/draw"]) == SCORED_APART["draw"]
    assert told(plan["models/draw"]) == MODELS_APART


def told(step: Step) -> tuple[int, tuple[str, ...]]:
    return step.revision, step.code


def test_two_models_are_registered() -> None:
    plan = graph('readings=["coherence"]')
    assert [step.name for step in plan.of_kind("models")] == ["report", "draw"]
    assert "coherence/report" in plan["models/report"].inputs
    assert set(plan["models/draw"].inputs) == {"stages/guide", "scores/draw"}


def test_each_step_depends_on_what_it_reads_alone() -> None:
    assert changed("abilities.draw.draw.steps=3") == {
        *("predictions/draw", "scores/draw", "models/draw"),
    }
    assert changed("abilities.draw.draw.classifier.steps=3") == {
        *("classifiers/draw", "scores/draw", "models/draw"),
    }
    assert changed('abilities.draw.draw.findings=["Edema"]') == {"scores/draw", "models/draw"}
    assert "predictions/draw" not in changed("stages.finetune.steps=4")
    assert "scores/draw" in changed("stages.finetune.steps=4"), "its model writes of the films"
    assert changed(extractors={"rad-dino": "a"}) == {"scores/draw", "models/draw"}


def test_a_recipe_without_a_report_model_is_planned_too() -> None:
    alone = {"draw": ABILITIES["draw"]}
    settings = drawn_recipe(abilities=alone)
    plan = build_graph(settings, {}, frozenset({"mimic_cxr"}))
    assert plan["scores/draw"].settings["reporter"] is None
    assert settings.first_ability == "draw"
    assert "stages/pretrain" in plan["scores/draw"].inputs


def test_evaluation_needs_the_judge(tmp_path: Any) -> None:
    from draw_ability_world import drawn_context

    context = drawn_context(tmp_path, f"readings={inline(['coherence'])}")
    kinds = {step.kind for step in steps_until(context, "evaluate")}
    assert {"classifiers", "coherence"} <= kinds
    assert "classifiers" not in {step.kind for step in steps_until(context, "train")}

"""Sets of drawn films in a recipe: what is refused, in which order, and what each step covers."""

from __future__ import annotations

from typing import Any

import pytest
from drawn_world import BASE, drawing_tree, drawn_recipe, drawn_tree
from pydantic import ValidationError

from infra.errors import SettingsError
from infra.settings import Settings, load_settings
from infra.settings.abilities import spread
from tasks.graph import Graph, build_graph
from tasks.monitor.plan import steps_until


def graph(settings: Settings) -> Graph:
    return build_graph(settings, {}, frozenset(settings.sources.names))


# The order of training.


def test_a_stage_waits_for_the_one_that_draws_its_films() -> None:
    settings = drawn_recipe()
    named = [stage.name for stage in settings.stages]
    assert named.index("finetune") < named.index("guide"), "the recipe names it first"
    order = [stage.name for stage in settings.training_order]
    assert order == ["language", "pretrain", "align", "autoencode", "diffuse", "guide", "finetune"]
    assert settings.drawn_sets_of(settings.stage("finetune")) == ("drawn",)
    assert settings.drawn_sets_of(settings.stage("align")) == ()


@pytest.mark.parametrize(("recipe", "scale"), [("llava_rad", "tiny"), ("gla_rrg24", "paper")])
def test_without_drawn_films_the_order_is_the_recipes(recipe: str, scale: str) -> None:
    settings = load_settings(recipe, scale)
    assert settings.training_order == settings.stages


def test_every_step_comes_after_its_inputs() -> None:
    plan = graph(drawn_recipe())
    keys = list(plan.steps)
    for key, step in plan.steps.items():
        inputs = [name for name in step.inputs if name in plan.steps]
        assert all(keys.index(name) < keys.index(key) for name in inputs), key


# What steps cover.


def test_a_recipe_without_drawn_films_keeps_its_fingerprints() -> None:
    """Its steps know no word of them; those of one with drawn films but for the stage that trains
    on them and what follows are the same."""
    plain, drawn = graph(Settings.model_validate(drawing_tree())), graph(drawn_recipe())
    assert not plain.of_kind("drawings")
    words = [str(step.settings) + str(step.inputs) for step in plain.steps.values()]
    assert not [text for text in words if "drawn" in text]
    assert drawn.steps.keys() - plain.steps.keys() == {"drawings/drawn", "examples/drawn"}
    differ = {
        key for key, step in plain.steps.items() if drawn[key].fingerprint != step.fingerprint
    }
    assert {key for key in differ if key.startswith("stages/")} == {"stages/finetune"}
    assert not {key for key in differ if key.startswith("examples/")}


def test_films_are_made_of_a_set_and_a_stage_and_become_examples() -> None:
    plan = graph(drawn_recipe(guidance=2.0))
    films, examples = plan["drawings/drawn"], plan["examples/drawn"]
    assert set(films.inputs) == {f"examples/{BASE}", "stages/guide"}
    assert films.settings["guidance"] == 2.0
    assert set(examples.inputs) == {f"examples/{BASE}", "drawings/drawn"}
    assert "examples/drawn" in plan["stages/finetune"].inputs
    assert "tasks.drawn.shards" in examples.code
    before = graph(drawn_recipe(guidance=2.0, seed=1))
    assert before["drawings/drawn"].fingerprint != films.fingerprint
    assert before["stages/guide"].fingerprint == plan["stages/guide"].fingerprint


class _Planned:
    """As much of a context as the plan's rows read."""

    def __init__(self, plan: Graph) -> None:
        self.graph = plan


def test_drawn_examples_are_made_on_the_way_to_training() -> None:
    context: Any = _Planned(graph(drawn_recipe()))
    until = {
        goal: {f"{step.kind}/{step.name}" for step in steps_until(context, goal)}
        for goal in ("examples", "train")
    }
    assert f"examples/{BASE}" in until["examples"]
    assert not {"drawings/drawn", "examples/drawn"} & until["examples"]
    assert {"drawings/drawn", "examples/drawn", "stages/finetune"} <= until["train"]


# A drawn set is the set that it is drawn of, but for its films.


def test_a_preset_says_of_a_drawn_set_only_how_it_is_drawn() -> None:
    tree: dict[str, Any] = {
        "recipe": "x",
        "examples": {"shard_rows": 9, "views": ["PA"]},
        "sets": {
            "reports": {"task": "impression", "views": ["AP"]},
            "drawn": {"drawn": {"stage": "guide", "of": "reports"}},
            "odd": {"drawn": 3},
            "lost": {"drawn": {"stage": "guide", "of": "nothing"}},
        },
    }
    sets = spread(tree)["sets"]
    assert sets["drawn"] == {**sets["reports"], "drawn": {"stage": "guide", "of": "reports"}}
    assert sets["odd"] == {"shard_rows": 9, "views": ["PA"], "drawn": 3}
    assert sets["lost"]["views"] == ["PA"]


# What is refused, in one line.


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        ({"stage": "diffuse"}, "drawn by diffuse, which is no stage that draws what a text asks"),
        ({"stage": "align"}, "drawn by align, which is no stage that draws"),
        ({"stage": "nothing"}, "drawn by nothing, which is no stage that draws"),
        ({"of": "nothing"}, "drawn of nothing, which is no set of reports"),
        ({"of": "drawn"}, "drawn of drawn, which is no set of reports"),
        ({"share": 0.0}, "greater than 0"),
        ({"steps": 0}, "greater than or equal to 1"),
        ({"colour": 1}, "Extra inputs"),
    ],
)
def test_a_set_that_cannot_be_drawn(drawn: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        drawn_recipe(**drawn)


def test_a_base_that_reads_reports_draws_what_they_ask_for() -> None:
    tree = drawn_tree(stage="diffuse")
    tree["models"]["diffusion"]["base_prompts"] = "reports"
    assert Settings.model_validate(tree).sets["drawn"].drawn is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "impression"}, "set drawn has another task than llava_rad"),
        ({"views": ["LATERAL"]}, "set drawn has another views than llava_rad"),
        ({"shard_rows": 7}, "set drawn has another shard_rows than llava_rad"),
    ],
)
def test_a_drawn_set_that_says_otherwise_than_its_own(changes: dict[str, Any], said: str) -> None:
    tree = drawn_tree()
    tree["sets"]["drawn"] |= changes
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(tree)


def test_whole_studies_and_questions_are_not_drawn() -> None:
    for changes in ({"images": "study"}, {"task": "vqa"}):
        tree = drawn_tree()
        tree["sets"]["other"] = {**tree["sets"][BASE], **changes}
        tree["sets"]["drawn"] |= {**changes, "drawn": {"stage": "guide", "of": "other"}}
        with pytest.raises(ValidationError, match="drawn of other, which is no set of reports"):
            Settings.model_validate(tree)


def test_nothing_is_tested_on_drawn_films() -> None:
    tree = drawn_tree()
    tree["abilities"][BASE]["examples"] = "drawn"
    with pytest.raises(
        ValidationError, match="reads drawn, a set of drawn films, which is trained"
    ):
        Settings.model_validate(tree)


def test_a_drawn_set_that_no_stage_trains_on() -> None:
    with pytest.raises(ValidationError, match="no stage or ability reads the set drawn"):
        drawn_recipe({"finetune": {"examples": {BASE: 1}}})


def test_a_stage_that_waits_for_films_of_its_own_is_refused_with_the_circle() -> None:
    with pytest.raises(ValidationError, match="other's models or films: guide → guide"):
        drawn_recipe({"guide": {"examples": {"drawn": 1}}})
    with pytest.raises(ValidationError, match="guide → diffuse → guide"):
        drawn_recipe({"diffuse": {"examples": {BASE: 1, "drawn": 1}}})


def test_the_command_says_it_in_one_line() -> None:
    override = f'sets.drawn={{drawn={{stage="finetune",of="{BASE}"}}}}'
    with pytest.raises(SettingsError) as error:
        load_settings(
            "llava_rad", "tiny", [override, f"stages.finetune.examples={{{BASE}=1,drawn=1}}"]
        )
    assert "set drawn is drawn by finetune, which is no stage that draws" in str(error.value)
    assert "\n" not in str(error.value)


def test_films_of_a_set_are_drawn_in_no_more_steps_than_the_noise_has() -> None:
    tree = drawn_tree()
    tree["sets"]["drawn"]["drawn"]["steps"] = 10**6
    with pytest.raises(ValidationError, match="set drawn draws in 1000000 steps"):
        Settings.model_validate(spread(tree))

"""Several sets of examples and several abilities in one recipe: settings, plan and registry."""

from __future__ import annotations

import pytest

from infra.errors import SettingsError
from infra.settings import Settings, load_settings
from infra.settings.abilities import merge, named, spread
from tasks.graph import Graph, build_graph

TWO = (
    "sets.words.task=impression",
    "abilities.sum.examples=words",
    "abilities.sum.stage=align",
    "abilities.sum.model_name=sum",
    "abilities.sum.generate.beams=2",
    "stages.align.examples={words=1}",
)
"""A second set and a second ability beside LLaVA-Rad's own."""


def two() -> Settings:
    return load_settings("llava_rad", "tiny", TWO)


def graph(settings: Settings) -> Graph:
    return build_graph(settings, {}, frozenset({"mimic_cxr"}))


def test_a_recipe_with_one_of_each_names_them_like_itself() -> None:
    settings = load_settings("llava_rad", "tiny", ["examples.shard_rows=7", "generate.beams=3"])
    assert settings.sets["llava_rad"].shard_rows == 7
    ability = settings.abilities["llava_rad"]
    assert (ability.stage, ability.examples) == ("finetune", "llava_rad")
    assert (ability.generate.beams, ability.model_name) == (3, "llava_rad")


def test_a_set_and_an_ability_of_one_name_are_two_tables() -> None:
    given = ["sets.llava_rad.shard_rows=7", "abilities.llava_rad.generate.beams=3"]
    settings = load_settings("llava_rad", "tiny", given)
    assert settings.sets["llava_rad"].shard_rows == 7
    assert settings.abilities["llava_rad"].generate.beams == 3


def test_what_is_shared_reaches_every_set_and_ability_and_own_values_win() -> None:
    settings = load_settings("llava_rad", "tiny", [*TWO, "examples.row_group_rows=9"])
    assert [one.row_group_rows for one in settings.sets.values()] == [9, 9]
    assert [one.task for one in settings.sets.values()] == ["findings", "impression"]
    assert [one.generate.beams for one in settings.abilities.values()] == [1, 2]
    longest = {one.generate.max_new_tokens for one in settings.abilities.values()}
    assert longest == {128}, "the shared table's other values stay"


def test_each_stage_reads_its_sets_and_each_ability_its_stage() -> None:
    settings = two()
    plan = graph(settings)
    assert [step.name for step in plan.of_kind("examples")] == ["llava_rad", "words"]
    assert "examples/words" in plan["stages/align"].inputs
    assert "examples/llava_rad" not in plan["stages/align"].inputs
    assert "examples/llava_rad" in plan["stages/finetune"].inputs, "the first set is the default"
    assert {"stages/align", "examples/words"} == set(plan["predictions/sum"].inputs)
    assert set(plan["scores/sum"].inputs) >= {"predictions/sum"}
    assert [step.name for step in plan.of_kind("models")] == ["llava_rad", "sum"]
    assert [step.name for step in plan.of_kind("grounding")] == ["llava_rad"]


def test_abilities_of_one_stage_are_one_model_with_both_scores() -> None:
    same = ("abilities.sum.examples=words", "sets.words.task=impression")
    plan = graph(load_settings("llava_rad", "tiny", same))
    [model] = plan.of_kind("models")
    assert {"scores/llava_rad", "scores/sum"} <= set(model.inputs)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("sets.words.task=impression",), "no stage or ability reads the set words"),
        (("abilities.sum.examples=words",), "ability sum reads the set words, and there is none"),
        (("stages.align.examples={words=1}",), "stage align reads the set words"),
        (("abilities.sum.stage=align",), "two stages are registered under one name"),
        (("abilities.sum.model_name=other",), "stage finetune is registered under two names"),
        (("abilities.sum.stage=nowhere",), "stage 'nowhere'"),
        (("abilities.sum.foo=1",), "found 1 at 'abilities.sum.foo'"),
        (("sets.llava_rad.foo=1",), "expected one of views, task"),
        (("generate.foo=1",), "found 1 at 'abilities.llava_rad.generate.foo'"),
        (("registry.model_name=a b",), "found 'a b' at 'abilities.llava_rad.model_name'"),
        (("examples=5",), "found 5 at 'examples' of llava_rad.tiny.toml; expected a table"),
        (("sets=5",), "found 5 at 'sets' of llava_rad.tiny.toml"),
        (("abilities.llava_rad=5",), "found 5 at 'abilities.llava_rad'"),
    ],
)
def test_what_does_not_fit_together_is_one_line(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings("llava_rad", "tiny", overrides)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_named_and_spread_leave_a_preset_that_names_its_own() -> None:
    tree = {"recipe": "r", "sets": {"a": {"x": 1}}, "examples": {"x": 0, "y": 2}}
    assert spread(named(tree))["sets"] == {"a": {"x": 1, "y": 2}}
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}
    assert merge({"a": [1]}, {"a": [2]}) == {"a": [2]}

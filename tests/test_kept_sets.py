"""``keep_sets`` of a matrix: a stage on some sets of its mixture, and what goes with the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_world import drawn_recipe

from infra.errors import SettingsError
from infra.settings import Settings, load_settings
from infra.settings.matrix import NO_READINGS, MatrixSettings
from tasks.ablate.plan import PlannedVariant, plan_variants
from tasks.context import Order

RECIPE = ("medxchat", "tiny")
VARIANT = {"name": "one", "question": "Why?", "stages": ["finetune"]}


def matrix(variant: dict[str, object], **more: object) -> MatrixSettings:
    recipe, scale = RECIPE
    tree = {"name": "small", "recipe": recipe, "scale": scale, **more}
    return MatrixSettings.model_validate({**tree, "variants": [{**VARIANT, **variant}]})


def overrides(variant: dict[str, object], **more: object) -> tuple[str, ...]:
    return matrix(variant, **more).overrides().get("one", ())


def settings(variant: dict[str, object], **more: object) -> Settings:
    return load_settings(*RECIPE, (NO_READINGS, *overrides(variant, **more)))


def test_a_stage_keeps_the_sets_that_are_named_with_their_shares() -> None:
    base = load_settings(*RECIPE).stage("finetune").examples
    found = settings({"keep_sets": ["reports", "requests"]}).stage("finetune").examples
    assert found == {name: base[name] for name in ("reports", "requests")}


def test_other_stages_keep_theirs() -> None:
    base, found = load_settings(*RECIPE), settings({"keep_sets": ["questions"]}, ability="vqa")
    for name in ("language", "pretrain", "align"):
        assert found.stage(name) == base.stage(name)


def test_an_ability_that_is_taught_no_more_is_not_asked() -> None:
    assert set(load_settings(*RECIPE).abilities) >= {"report", "vqa"}
    assert "vqa" not in settings({"keep_sets": ["reports"]}).abilities
    found = settings({"keep_sets": ["questions"]}, ability="vqa").abilities
    assert "vqa" in found
    assert "report" not in found


def test_the_ability_that_is_tabulated_stays_whatever_it_was_taught() -> None:
    found = settings({"keep_sets": ["reports"]}, ability="vqa")
    assert {"report", "vqa"} <= set(found.abilities)
    assert "questions" in found.sets, "it is still tested on them"


def test_a_set_that_nothing_reads_is_left_out_with_it() -> None:
    """The language stage reads all four sets: only without it are two of them unread."""
    kept = {"keep_sets": ["reports"]}
    assert set(settings(kept).sets) == set(load_settings(*RECIPE).sets)
    alone = settings(
        kept, set=["stages.language.examples={reports=1}", "stages.language.history=0"]
    )
    assert set(alone.sets) == {"reports"}


def test_keeping_all_is_no_change() -> None:
    every = list(load_settings(*RECIPE).stage("finetune").examples)
    assert overrides({"keep_sets": every}) == ()


def test_a_set_that_drawn_films_are_made_of_is_read() -> None:
    recipe = drawn_recipe({"align": {"examples": {"drawn": 1}}})
    tree = {"name": "one", "question": "Why?", "stages": ["finetune"], "keep_sets": ["drawn"]}
    given = MatrixSettings.model_validate(
        {"name": "small", "recipe": "llava_rad", "scale": "tiny", "variants": [tree]}
    )
    found = given.overrides(recipe)["one"]
    assert found == ('stages.finetune.examples={"drawn"=1.0}',)


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ({"keep_sets": ["report"]}, "found set 'report' in variant one; expected one of reports"),
        (
            {"keep_sets": ["questions"], "stages": ["align"]},
            "found no set for stage align in variant one; expected one at least of reports",
        ),
        ({"keep_sets": ["questions"], "stages": ["alignn"]}, "stage 'alignn'"),
    ],
)
def test_what_does_not_fit_the_recipe_is_one_line(variant: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError) as error:
        overrides(variant)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_variant_that_keeps_no_set_differs_by_nothing() -> None:
    with pytest.raises(ValueError, match="does not differ"):
        matrix({"keep_sets": []})


# What nothing that is compared depends on is not made.


def planned(tmp_path: Path, *left_out: str) -> list[PlannedVariant]:
    """RRG24's two models, told by findings, with these left out."""
    given = MatrixSettings.model_validate(
        {
            "name": "small",
            "recipe": "gla_rrg24",
            "scale": "tiny",
            "ability": "gla_findings",
            "set": list(left_out),
            "variants": [{"name": "half", "question": "?", "share": 0.5}],
        }
    )
    order = Order(replicas=True, data_root=str(tmp_path))
    return list(plan_variants(given, order, make=False).variants)


def test_a_stage_and_a_set_of_an_ability_that_is_left_out_are_left_out_too(tmp_path: Path) -> None:
    both, one = planned(tmp_path), planned(tmp_path, "abilities.gla_impression=null")
    made = [{stage.name for stage in each.context.settings.stages} for each in (*both, *one)]
    assert made[0] == made[1]
    assert made[2] == made[3] == made[0] - {"align-impression", "finetune-impression"}
    for before, after in zip(both, one, strict=True):
        for name in made[2]:
            key = f"stages/{name}"
            assert after.context.graph[key].fingerprint == before.context.graph[key].fingerprint
    assert set(one[1].overrides) == {
        change for change in both[1].overrides if "impression" not in change
    }


# ``null`` leaves a set or an ability out of any recipe.


def test_null_leaves_an_ability_out() -> None:
    base = load_settings(*RECIPE)
    found = load_settings(*RECIPE, ["abilities.vqa=null"])
    assert set(found.abilities) == set(base.abilities) - {"vqa"}


def test_null_of_a_set_that_is_read_is_refused() -> None:
    with pytest.raises(SettingsError, match="reads the set questions, and there is none"):
        load_settings(*RECIPE, ["sets.questions=null"])
    with pytest.raises(SettingsError, match="no set of examples, or no ability"):
        load_settings("llava_rad", "tiny", ["abilities.llava_rad=null"])

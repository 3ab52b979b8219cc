"""The plan of a comparison: how each model is asked, and which steps are whose."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import InputError
from infra.settings import load_settings
from tasks.context import Context, open_context
from tasks.monitor.plan import plan_rows
from tasks.one_set.plan import ComparisonPlan, behind, plan_comparison, way_of
from tasks.one_set.show import plan_json, planned_text
from tasks.one_set.shown import as_shown, ingested, shown_settings
from tests.one_set_world import OVERRIDES, RECIPES, comparison, train


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both recipes trained, no comparison made."""
    place = tmp_path_factory.mktemp("planned")
    for order in comparison(place).orders().values():
        train(open_context(order))
    return place


@pytest.fixture(scope="module")
def plan(root: Path) -> ComparisonPlan:
    return plan_comparison(comparison(root))


def shown(plan: ComparisonPlan, recipe: str) -> Context:
    [found] = [model.shown for model in plan.models if model.recipe == recipe]
    return found


def test_a_recipe_of_single_films_is_shown_the_first_of_each_study() -> None:
    own = load_settings("llava_rad", "paper").sets["llava_rad"]
    host = load_settings("gla_rrg24", "paper").sets["rrg24_impression"]
    found = as_shown(own, host)
    assert (found.images, found.most_images, found.choose) == ("study", 1, "first")
    assert (found.views, found.request) == (own.views, own.request)
    assert (found.task, found.test_sources) == ("impression", ("rrg24",))


def test_a_recipe_of_whole_studies_keeps_its_films() -> None:
    own = load_settings("gla_rrg24", "paper").sets["rrg24_findings"]
    host = load_settings("llava_rad", "paper").sets["llava_rad"]
    found = as_shown(own, host)
    assert (found.images, found.most_images, found.views) == ("study", 4, own.views)
    assert (found.request, found.test_sources) == (own.request, ("mimic_cxr",))


def test_a_model_that_never_saw_an_indication_is_not_shown_one(plan: ComparisonPlan) -> None:
    told = {model.recipe: model.with_indication for model in plan.models}
    assert told == {"gla_rrg24": False, "llava_rad": True}
    prompts = {recipe: shown(plan, recipe).asked.generate.prompt for recipe in RECIPES}
    assert prompts == {"gla_rrg24": "no-indication", "llava_rad": "turns"}
    ways = {model.recipe: model.way for model in plan.models}
    assert ways["gla_rrg24"]["indication"] == "not shown"
    assert ways["llava_rad"]["indication"].startswith("in the request")
    assert ways["llava_rad"]["films"] == "one: the first PA or AP"
    assert ways["gla_rrg24"]["films"].startswith("up to 4 (first; stitch) of PA or AP or LATERAL")


def test_stages_are_the_recipes_own_and_scoring_is_the_hosts(plan: ComparisonPlan) -> None:
    host = plan.host
    for model in plan.models:
        own, asked = model.own, model.shown
        stage = f"stages/{own.asked.stage}"
        assert asked.step("predictions").inputs[stage] == own.graph[stage].fingerprint
        assert asked.step("scores").settings == host.step("scores").settings
        assert asked.settings.score == host.settings.score
        assert asked.settings.images == own.settings.images
        assert asked.settings.models == own.settings.models
    names = {model.shown.step("scores").folder for model in plan.models}
    assert len(names) == 2 and host.step("scores").folder not in names


def test_films_are_stored_anew_only_where_the_recipe_wants_other_ones(root: Path) -> None:
    orders = comparison(root).orders()
    host, own = (open_context(orders[name], make=False) for name in RECIPES)
    settings = shown_settings(own, host, "x", with_indication=True)
    same = ingested(host, settings)
    assert same["images/rrg24"].fingerprint == host.graph["images/rrg24"].fingerprint
    large = settings.images.model_copy(update={"short_side_px": 224})
    other = ingested(host, settings.model_copy(update={"images": large}))
    assert other["images/rrg24"].fingerprint != same["images/rrg24"].fingerprint
    assert other["reports/rrg24"] == same["reports/rrg24"]
    assert set(same) == {f"{kind}/rrg24" for kind in ("replicas", "studies", "images", "reports")}


def test_the_test_set_hangs_on_all_that_the_models_learned_from(plan: ComparisonPlan) -> None:
    inputs = plan.test_set.inputs
    learned = {"llava_rad: examples/llava_rad", "gla_rrg24: examples/rrg24_findings"}
    assert learned <= set(inputs)
    assert "gla_rrg24: examples/rrg24_impression" in inputs, "its language stage read them"
    assert "llava_rad is shown images/rrg24" in inputs
    stages, sets = behind(plan.models[0].own)
    assert stages == ("language", "pretrain", "align-findings", "finetune-findings")
    assert sets == ("rrg24_findings", "rrg24_impression")


def test_the_order_of_recipes_is_part_of_the_comparison_alone(
    root: Path, plan: ComparisonPlan
) -> None:
    turned = plan_comparison(comparison(root, recipes=RECIPES[::-1]))
    assert turned.step.fingerprint != plan.step.fingerprint
    first, second = (shown(each, "llava_rad").step("scores") for each in (plan, turned))
    assert first.fingerprint == second.fingerprint


def test_a_dry_run_tells_ways_and_steps_and_writes_nothing(
    root: Path, plan: ComparisonPlan
) -> None:
    before = sorted(path.name for path in (root / "data").glob("*/*"))
    text = planned_text(plan)
    assert text.startswith("on gla_rrg24/rrg24_findings\ngla_rrg24\n  model ")
    assert "comparisons/rrg24_findings" in text
    found = plan_json(plan)
    states = {row["key"]: row["state"] for row in found["steps"]}
    assert states["stages/finetune"] == states["examples/rrg24_findings"] == "exists"
    assert states["predictions/llava_rad-on-rrg24_findings"] == "absent"
    assert states["test_sets/rrg24_findings"] == states["comparisons/rrg24_findings"] == "absent"
    assert len({row["folder"] for row in found["steps"]}) == len(found["steps"])
    assert plan_rows(shown(plan, "llava_rad"), "evaluate")
    assert sorted(path.name for path in (root / "data").glob("*/*")) == before


def test_a_recipe_that_is_not_trained_is_one_line_with_its_command(tmp_path: Path) -> None:
    asked = comparison(tmp_path)
    train(open_context(asked.orders()["gla_rrg24"]))
    with pytest.raises(InputError) as caught:
        plan_comparison(asked)
    line = str(caught.value)
    assert line.startswith("found no stages/finetune of recipe 'llava_rad' under ")
    assert "; expected a trained model, by these settings and sources; run 'cxr run" in line
    assert "--recipe llava_rad --scale tiny --replicas --set sources.pieces=1" in line
    assert "llava_rad:" not in line
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("on", "line"),
    [
        ("gla_rrg24/other", "found test set 'gla_rrg24/other'; expected a recipe, or recipe/set"),
        ("gla_rrg24/rrg24_impression", "found recipe 'llava_rad' without an ability that writes"),
        ("nobody", "found recipe 'nobody' at scale 'tiny'; expected one of"),
    ],
)
def test_a_test_set_that_is_none_is_one_line(root: Path, on: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        plan_comparison(comparison(root, on=on), make=False)
    assert str(caught.value).startswith(line)


def test_a_misspelt_metric_is_met_before_anything_is_asked(root: Path) -> None:
    asked = comparison(root, metrics=("rule14-micro-F2",))
    with pytest.raises(InputError, match="found metric 'rule14-micro-F2' in --metric; expected a"):
        plan_comparison(asked, make=False)


def test_a_recipe_that_asks_without_indication_says_so(plan: ComparisonPlan) -> None:
    context = shown(plan, "gla_rrg24")
    assert way_of(context, with_indication=True)["indication"] == "not shown, as its recipe asks"
    assert OVERRIDES[-1] == "readings=[]"

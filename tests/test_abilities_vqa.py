"""Questions as a set and as an ability: settings, plan, registry, and what reads reports alone."""

from __future__ import annotations

from typing import Any

import pytest

from infra.errors import SettingsError
from infra.settings import Settings, load_settings
from infra.settings.abilities import KIND_VALUES
from infra.settings.environment import Environment
from infra.settings.matrix import MatrixSettings
from infra.step import Step
from infra.store import Store
from tasks.ablate.plan import plan_variants
from tasks.adapt import add_sources, fit_to_sources
from tasks.compare.scored import find_scored, newest_scored
from tasks.context import Order
from tasks.graph import SCORED_APART, Graph, build_graph
from tests.test_compare import build, judgements, predictions

ROUTES = 'sources.routes={mimic_cxr=["keep"],vqa_rad=["keep"]}'
QUESTIONS = "sets.questions={task='vqa',test_sources=['vqa_rad'],validate_sources=['vqa_rad']}"
BOTH = (
    ROUTES,
    QUESTIONS,
    "abilities.vqa={kind='vqa',examples='questions'}",
    "stages.finetune.examples={llava_rad=0.5,questions=0.5}",
    "stages.finetune.sources=null",
)
"""Reports and questions of one model."""
ALONE = (
    'sources.routes={vqa_rad=["keep"]}',
    "sets={questions={task='vqa',test_sources=['vqa_rad'],validate_sources=['vqa_rad']}}",
    "abilities={vqa={kind='vqa',examples='questions',model_name='vqa'}}",
    "stages.align.prompt=turns",
    "readings=[]",
)
"""A model that answers questions and writes no report."""


def recipe(*overrides: str) -> Settings:
    return load_settings("llava_rad", "tiny", overrides)


def graph(settings: Settings) -> Graph:
    return build_graph(settings, {"mimic_cxr": "a", "vqa_rad": "b"}, frozenset())


def test_a_few_lines_add_questions_to_a_recipe() -> None:
    settings = recipe(*BOTH)
    ability = settings.abilities["vqa"]
    assert (ability.kind, ability.stage, ability.model_name) == ("vqa", "finetune", "llava_rad")
    assert settings.abilities["llava_rad"].kind == "report"
    assert settings.first_ability == "llava_rad"
    assert settings.abilities_of("finetune") == ("llava_rad", "vqa")
    assert not settings.sets["questions"].is_report


def test_answers_are_short_and_greedy_unless_the_ability_says_otherwise() -> None:
    short = KIND_VALUES["vqa"]["generate"]["max_new_tokens"]
    settings = recipe(*BOTH, "generate.beams=3", "generate.batch_size=5")
    asked = settings.abilities["vqa"].generate
    assert (asked.max_new_tokens, asked.beams, asked.batch_size) == (short, 1, 5)
    assert settings.abilities["llava_rad"].generate.max_new_tokens == 128
    own = recipe(*BOTH, "abilities.vqa.generate.max_new_tokens=7")
    assert own.abilities["vqa"].generate.max_new_tokens == 7


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            (*BOTH, "abilities.vqa.examples=llava_rad"),
            "ability vqa of kind vqa reads llava_rad, a set of findings",
        ),
        (
            (*BOTH, "abilities.vqa.kind=report"),
            "ability vqa of kind report reads questions, a set of vqa",
        ),
        ((*BOTH, "abilities.vqa.kind=draw"), "found 'draw' at 'abilities.vqa.kind'"),
        ((*BOTH, "abilities.vqa.kind=[1]"), "found [1] at 'abilities.vqa.kind'"),
        (
            (*ALONE, 'readings=["retrieval"]'),
            "readings are taken of an ability of kind report, and there is none",
        ),
        (
            (*ALONE, "stages.align.prompt=image-only"),
            "stage align reads the questions of questions, and its prompt image-only asks none",
        ),
    ],
)
def test_what_does_not_fit_together_is_one_line(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        recipe(*overrides)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_scores_of_answers_ask_no_judge_and_no_encoder() -> None:
    plan = graph(recipe(*BOTH))
    step = plan["scores/vqa"]
    assert set(step.inputs) == {"predictions/vqa", "examples/questions"}
    assert set(step.settings) == {"kind", "resamples", "seed"}
    assert (step.revision, step.code) == SCORED_APART["vqa"]
    assert "judges" in plan["scores/llava_rad"].settings


def test_one_model_is_registered_with_both_scores_and_the_readings() -> None:
    [model] = graph(recipe(*BOTH)).of_kind("models")
    assert model.name == "llava_rad"
    assert {"scores/llava_rad", "scores/vqa", "retrieval/llava_rad"} <= set(model.inputs)


def test_readings_are_of_the_first_ability_that_writes_reports() -> None:
    swapped = (*BOTH[:2], "abilities={vqa={kind='vqa',examples='questions'},words={}}", *BOTH[3:])
    settings = recipe(*swapped)
    assert settings.first_ability == "words"
    plan = graph(settings)
    assert [step.name for step in plan.of_kind("retrieval")] == ["words"]
    [model] = plan.of_kind("models")
    assert {"retrieval/words", "grounding/words"} <= set(model.inputs)
    assert model.name == "vqa", "registered under the stage's first ability"


def fingerprint(key: str, *overrides: str) -> str:
    return graph(recipe(*BOTH, *overrides))[key].fingerprint


@pytest.mark.parametrize("setting", ["views=['AP']", "choose=distinct", "request.plain=Say it."])
def test_what_questions_do_not_read_packs_them_not_again(setting: str) -> None:
    name, _, value = setting.partition("=")
    for of, changes in (("questions", False), ("llava_rad", True)):
        key = f"examples/{of}"
        assert (fingerprint(key) != fingerprint(key, f"sets.{of}.{name}={value}")) is changes


@pytest.mark.parametrize(("layout", "most"), [("first", 1), ("stitch", 4)])
def test_a_layout_of_one_film_shows_no_question_about_two(layout: str, most: int) -> None:
    settings = recipe(*BOTH, f"models.vision.layout={layout}")
    assert settings.shown("questions").most_images == most
    assert settings.shown("llava_rad") == settings.sets["llava_rad"]
    assert graph(settings)["examples/questions"].settings["most_images"] == most


def test_films_on_both_sides_is_a_matter_of_questions() -> None:
    for of, changes in (("questions", True), ("llava_rad", False)):
        key, other = f"examples/{of}", f"sets.{of}.films_on_both_sides=true"
        assert (fingerprint(key) != fingerprint(key, other)) is changes


def test_questions_are_tested_on_the_sources_that_have_some() -> None:
    settings, _ = add_sources(recipe(*BOTH), ["medical_diff_vqa"])
    assert settings.sources.routes["medical_diff_vqa"] == ("keep",)
    fitted, notes = fit_to_sources(settings, ("mimic_cxr", "medical_diff_vqa"))
    assert fitted.sets["questions"].test_sources == ("medical_diff_vqa",)
    assert fitted.sets["llava_rad"].test_sources == ("mimic_cxr",)
    assert notes == [
        "test_sources are medical_diff_vqa: none of the recipe's (vqa_rad) is in this run",
        "validate_sources are medical_diff_vqa: none of the recipe's (vqa_rad) is in this run",
    ]


# What compares reports leaves scores of answers alone.


def scored(store: Store, name: str, settings: dict[str, Any]) -> str:
    made = Step("predictions", name, {"of": name}, {}, 1, ("x",))
    texts = predictions(["The lungs are clear."])
    fingerprint = build(store, made, {"predictions.parquet": texts})
    step = Step("scores", name, settings, {f"predictions/{name}": fingerprint}, 1, ("x",))
    return build(store, step, {"judged.parquet": judgements(["The lungs are clear."])})


def test_compare_and_errors_take_the_newest_scores_of_reports(tmp_path: Any) -> None:
    store, place = Store(str(tmp_path / "data"), tmp_path / "state"), Environment()
    report = scored(store, "llava_rad", {"seed": 1})
    answers = scored(store, "vqa", {"kind": "vqa", "seed": 1})
    assert newest_scored(store).scores.fingerprint == report
    assert find_scored(store, place, "llava_rad").scores.fingerprint == report
    with pytest.raises(Exception, match=f"found scores/vqa-{answers} with scores of answers"):
        find_scored(store, place, "scores/vqa-")


def test_a_matrix_compares_reports(tmp_path: Any) -> None:
    matrix = MatrixSettings.model_validate(
        {
            "name": "m", "recipe": "llava_rad", "scale": "tiny", "set": list(ALONE),
            "metrics": ["rule14-micro-F1"],
            "variants": [{"name": "v", "question": "?", "set": ["stages.finetune.steps=7"]}],
        }
    )  # fmt: skip
    raw = tmp_path / "raw"
    (raw / "VQA_RAD Image Folder").mkdir(parents=True)
    (raw / "VQA_RAD Dataset Public.json").write_text("[]")
    order = Order(data_root=str(tmp_path / "data"), sources=(f"vqa_rad={raw}",))
    with pytest.raises(SettingsError, match="without an ability that writes reports"):
        plan_variants(matrix, order)

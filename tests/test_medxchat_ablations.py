"""MedXChat's matrices: their steps follow from the recipe's shares, and drawn films are added."""

from __future__ import annotations

import pytest

from infra.settings import Settings, load_settings
from infra.settings.matrix import NO_READINGS, MatrixSettings, VariantSettings, load_matrix


@pytest.fixture(scope="module")
def recipe() -> Settings:
    return load_settings("medxchat", "tiny")


def variant(matrix: MatrixSettings, name: str) -> VariantSettings:
    return next(each for each in matrix.variants if each.name == name)


def steps_with(recipe: Settings, rows: float) -> int:
    """Steps of a finetune stage with so many rows for those that it has, none of them fewer."""
    stage = recipe.stage("finetune")
    assert stage.steps is not None
    return round(stage.steps * rows / sum(stage.examples.values()))


@pytest.mark.parametrize(
    ("name", "ability", "one", "kept"),
    [
        ("medxchat_one_model", "report", "as-many-reports", "reports"),
        ("medxchat_one_model_answers", "vqa", "as-many-questions", "questions"),
    ],
)
def test_a_model_of_one_ability_reads_as_much_of_it_as_the_unified_one(
    recipe: Settings, name: str, ability: str, one: str, kept: str
) -> None:
    matrix = load_matrix(name)
    assert matrix.ability == ability
    assert recipe.abilities[ability].examples == kept
    chosen = variant(matrix, one)
    assert chosen.keep_sets == (kept,)
    assert chosen.stages == ("finetune",)
    shares = recipe.stage("finetune").examples
    assert chosen.set == (f"stages.finetune.steps={steps_with(recipe, shares[kept])}",)
    part = shares[kept] / sum(shares.values())
    assert f"{round(19 * part)} of 19 rows" in chosen.question
    assert part == pytest.approx(round(19 * part) / 19)


def test_the_unified_model_and_the_others_differ_in_their_mixture_alone(recipe: Settings) -> None:
    overrides = load_matrix("medxchat_one_model").overrides()
    base = load_settings("medxchat", "tiny", (NO_READINGS, *overrides["baseline"]))
    alone = load_settings("medxchat", "tiny", (NO_READINGS, *overrides["reports-alone"]))
    assert base.stage("finetune") == recipe.stage("finetune")
    assert alone.stage("finetune").examples == {
        "reports": base.stage("finetune").examples["reports"]
    }
    for stage in base.stages:
        if stage.name != "finetune":
            assert alone.stage(stage.name) == stage


def test_drawn_films_are_added_with_steps_of_their_own(recipe: Settings) -> None:
    matrix = load_matrix("medxchat_drawn")
    shares = recipe.stage("finetune").examples
    for name, part in (("drawn-half", 0.5), ("drawn-all", 1.0)):
        added = part * shares["reports"]
        steps = steps_with(recipe, sum(shares.values()) + added)
        told = variant(matrix, name).set
        assert f"stages.finetune.examples.drawn={added:g}" in told
        assert f"stages.finetune.steps={steps}" in told
        assert ("share=0.5" in told[0]) is (part == 0.5)
        assert 'stage="guide",of="reports"' in told[0]
    assert variant(matrix, "longer").set == (f"stages.finetune.steps={steps}",)


def test_a_model_without_a_real_film_of_a_report_keeps_all_else(recipe: Settings) -> None:
    shares = dict(recipe.stage("finetune").examples)
    reports = shares.pop("reports")
    others = ",".join(f"{name}={share:g}" for name, share in shares.items())
    told = variant(load_matrix("medxchat_drawn"), "drawn-alone").set[-1]
    assert told == f"stages.finetune.examples={{drawn={reports:g},{others}}}"

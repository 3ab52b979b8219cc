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
    ("name", "one", "kept", "rows"),
    [
        ("medxchat_one_model", "as-many-reports", "reports", "8 of 19 rows"),
        ("medxchat_one_model_answers", "as-many-questions", "questions", "8 of 19 rows"),
        ("medxchat_one_model_requests", "as-many-requests", "requests", "1 of 19 rows"),
    ],
)
def test_a_model_of_one_ability_reads_as_much_of_it_as_the_unified_one(
    recipe: Settings, name: str, one: str, kept: str, rows: str
) -> None:
    matrix = load_matrix(name)
    if matrix.ability is None:
        assert (matrix.reading, recipe.asked_for_films) == ("coherence", kept)
    else:
        assert recipe.abilities[matrix.ability].examples == kept
    chosen = variant(matrix, one)
    assert chosen.keep_sets == (kept,)
    assert chosen.stages == ("finetune",)
    shares = recipe.stage("finetune").examples
    assert chosen.set == (f"stages.finetune.steps={steps_with(recipe, shares[kept])}",)
    part = shares[kept] / sum(shares.values())
    assert rows in chosen.question
    assert part == pytest.approx(int(rows.split()[0]) / 19)


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


def test_requests_alone_are_a_models_whole_mixture_and_every_other_stage_stays() -> None:
    matrix = load_matrix("medxchat_one_model_requests")
    base, alone = (
        load_settings("medxchat", "tiny", matrix.settled(matrix.overrides()[name]))
        for name in ("baseline", "requests-alone")
    )
    assert alone.stage("finetune").examples == {"requests": 0.5}
    assert alone.stage("finetune").steps == base.stage("finetune").steps
    for stage in base.stages:
        if stage.name != "finetune":
            assert alone.stage(stage.name) == stage
    assert alone.readings == base.readings == ("coherence",)
    assert list(alone.abilities) == ["report"], "of whose stage readings are taken"


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

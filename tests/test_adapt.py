"""A recipe fits itself to the sources of a run and says how."""

from __future__ import annotations

import pytest

from infra.errors import InputError, SettingsError
from infra.settings import load_settings, preset_names
from tasks.adapt import add_sources, fit_to_sources, require_known

TINY = load_settings("llava_rad", "tiny")


def test_a_full_run_changes_nothing() -> None:
    settings, notes = fit_to_sources(TINY, TINY.sources.names)
    assert settings == TINY
    assert notes == []


def test_added_sources_get_routes_from_their_cards() -> None:
    settings, notes = add_sources(TINY, ["nih_cxr14", "openi", "brax"])
    assert settings.sources.routes["nih_cxr14"] == ("synthesize",)
    assert settings.sources.routes["openi"] == ("keep", "structure")
    assert settings.sources.routes["brax"] == TINY.sources.routes["brax"]
    assert notes == [
        "source nih_cxr14 is not in the recipe: its routes are synthesize",
        "source openi is not in the recipe: its routes are keep, structure",
    ]


def test_an_unknown_source_is_named() -> None:
    with pytest.raises(InputError, match="found source 'nowhere'"):
        add_sources(TINY, ["nowhere"])


def test_without_the_recipes_test_source_those_with_reports_are_tested() -> None:
    added, _ = add_sources(TINY, ["nih_cxr14", "openi"])
    settings, notes = fit_to_sources(added, ("nih_cxr14", "openi"))
    assert settings.sets["llava_rad"].test_sources == ("openi",)
    assert settings.sets["llava_rad"].validate_sources == ("openi",)
    assert [stage.sources for stage in settings.stages] == [None] * len(settings.stages)
    assert notes[0] == ("test_sources are openi: none of the recipe's (mimic_cxr) is in this run")
    assert notes[-1] == (
        "stage finetune trains on all sources: none of the recipe's (mimic_cxr) is in this run"
    )


def test_without_any_reports_all_sources_are_tested() -> None:
    added, _ = add_sources(TINY, ["nih_cxr14"])
    settings, _ = fit_to_sources(added, ("nih_cxr14",))
    assert settings.sets["llava_rad"].test_sources == ("nih_cxr14",)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ('examples.test_sources=["mimc_cxr"]', "sets.llava_rad.test_sources"),
        ('examples.validate_sources=["mimic_cxr","mimc_cxr"]', "sets.llava_rad.validate_sources"),
        ('stages.align.sources=["mimc_cxr"]', "stages.align.sources"),
        ("replicas.studies.mimc_cxr=3", "replicas.studies"),
        ('sources.routes.mimc_cxr=["keep"]', "sources.routes"),
    ],
)
def test_a_misspelt_source_does_not_pass_for_an_absent_one(override: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        require_known(load_settings("llava_rad", "tiny", [override]))
    assert str(caught.value).startswith(f"found 'mimc_cxr' in {key}; expected names of ")


def test_every_preset_names_sources_that_are_there() -> None:
    for recipe, scale in preset_names():
        require_known(load_settings(recipe, scale))

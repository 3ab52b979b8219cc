"""The plan of a recipe: what depends on what, and what a change touches."""

from __future__ import annotations

import pytest

from infra.errors import InputError
from infra.settings import load_settings
from tasks.graph import CODE, REVISIONS, Graph, build_graph

SEVEN = frozenset(load_settings("llava_rad", "tiny").sources.names)


def graph(*overrides: str, raw: dict[str, str] | None = None) -> Graph:
    settings = load_settings("llava_rad", "tiny", overrides)
    given = raw or {}
    return build_graph(settings, given, SEVEN - given.keys())


def changed(before: Graph, after: Graph) -> set[str]:
    return {
        key
        for key in before.steps.keys() | after.steps.keys()
        if key not in before.steps
        or key not in after.steps
        or before[key].fingerprint != after[key].fingerprint
    }


def test_every_step_comes_after_its_inputs() -> None:
    plan = graph()
    seen: set[str] = set()
    for key, step in plan.steps.items():
        assert {name for name in step.inputs if name != "raw"} <= seen, key
        seen.add(key)
    assert len(plan.of_kind("studies")) == 7
    across = {
        "ablations",
        "test_sets",
        "comparisons",
        "watches",
    }  # of several graphs, so a step of none
    spoken = graph('dialogues.routes={brax=["request"]}').of_kind("dialogues")
    other = {"consistency", "drawings"}  # of recipes that write both sections, or train on films
    drawing = {"classifiers", "coherence"}  # of recipes that draw (tests/test_draw_settings.py)
    kinds = {step.kind for step in (*plan.steps.values(), *spoken)} | across | other | drawing
    assert set(REVISIONS) == set(CODE) == kinds


def test_a_recipe_without_readings_has_no_such_steps() -> None:
    plan = graph("readings=[]")
    assert not plan.of_kind("retrieval")
    assert not plan.of_kind("grounding")
    assert "retrieval/llava_rad" not in plan["models/llava_rad"].inputs
    assert "retrieval/llava_rad" in graph()["models/llava_rad"].inputs


def test_a_stage_setting_touches_that_stage_and_what_follows() -> None:
    assert changed(graph(), graph("stages.finetune.steps=7")) == {
        "stages/finetune",
        "predictions/llava_rad",
        "scores/llava_rad",
        "retrieval/llava_rad",
        "grounding/llava_rad",
        "models/llava_rad",
    }


def test_the_language_model_does_not_touch_pretraining() -> None:
    touched = changed(graph(), graph("models.language.layers=3"))
    assert {"stages/language", "stages/align", "stages/finetune"} <= touched
    assert "stages/pretrain" not in touched


def test_pixels_do_not_touch_reports() -> None:
    touched = changed(graph(), graph("images.jpeg_quality=80"))
    assert not {key for key in touched if key.startswith(("studies/", "reports/"))}
    assert {f"images/{name}" for name in SEVEN} <= touched


def test_report_settings_do_not_touch_pixels() -> None:
    touched = changed(graph(), graph("reports.temperature=0.5"))
    assert not {key for key in touched if key.startswith(("studies/", "images/"))}
    assert {f"reports/{name}" for name in SEVEN} <= touched


def test_one_source_route_touches_only_that_sources_reports() -> None:
    touched = changed(graph(), graph('sources.routes.brax=["keep"]'))
    assert {key for key in touched if key.startswith("reports/")} == {"reports/brax"}


def test_real_data_takes_the_replicas_place() -> None:
    plan = graph(raw={"mimic_cxr": "d1"})
    assert "replicas/mimic_cxr" not in plan.steps
    assert plan["studies/mimic_cxr"].inputs == {"raw": "d1"}
    other = graph(raw={"mimic_cxr": "d2"})
    assert plan["images/mimic_cxr"].fingerprint != other["images/mimic_cxr"].fingerprint


def test_no_source_is_one_clear_line() -> None:
    with pytest.raises(InputError) as caught:
        build_graph(load_settings("llava_rad", "tiny"), {}, frozenset())
    assert str(caught.value).startswith(
        "found no raw data for any source of recipe 'llava_rad'; expected at least one of mimic_cxr"
    )
    assert str(caught.value).endswith(
        "give --source mimic_cxr=PATH, set CXR_SOURCE_MIMIC_CXR, or use --replicas"
    )


def test_golden_fingerprint_of_a_fixed_step() -> None:
    """A change here re-runs every user's pipeline: raise a revision on purpose instead."""
    from infra.step import Step

    step = Step("images", "openi", {"px": 112}, {"studies/openi": "0" * 16}, 1, ("x",))
    assert step.fingerprint == "e5b57cc9e28fe31c"

"""MedXChat at the demo's scale, whole, held against what the project promises."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from small_world import cxr_json

from evaluation.drawn_scores import FEWEST_FINDINGS
from evaluation.vqa import ALL

pytestmark = pytest.mark.slow

METRICS = {"report": "rule14-micro-F1", "vqa": "accuracy"}
CONTROLS = {"report": ("shuffled", "blank"), "vqa": ("shuffled", "blank", "majority")}
MODELS = ("registered model of report", "registered model of draw")
LEAST_DRAWN = {"prompted-finding-AUROC-macro": 0.75, "prompted-side-accuracy": 0.75}
FARTHEST = 0.35
"""Of the way from real films to an untrained model's, by the recipe's own vision tower."""
ON_REPLICAS = ("--recipe", "medxchat", "--scale", "tiny", "--replicas")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("medxchat")


@pytest.fixture(scope="module")
def demo(root: Path) -> Any:
    started = time.monotonic()
    found = cxr_json("run", *ON_REPLICAS, "--data-root", str(root))
    return {**found, "wall": time.monotonic() - started}


def test_both_models_are_registered_and_all_abilities_scored(
    demo: Any, record_property: Any
) -> None:
    record_property("seconds", round(demo["wall"]))
    record_property("seconds of the run itself", demo["seconds"])
    registered = [place for place in demo["places"] if place.startswith("registered model")]
    assert sorted(registered) == sorted(MODELS)
    assert set(demo["scores"]) == {*METRICS, "draw"}


def drawn(demo: Any) -> dict[str, float]:
    """The model's own numbers of its films."""
    rows = demo["scores"]["draw"]["scores"]
    return {row["metric"]: row["value"] for row in rows if row["control"] == "none"}


@pytest.mark.parametrize("metric", LEAST_DRAWN)
def test_films_show_what_was_asked_for_on_its_side(demo: Any, metric: str) -> None:
    assert len(demo["scores"]["draw"]["findings"]) >= FEWEST_FINDINGS
    assert drawn(demo)[metric] >= LEAST_DRAWN[metric]


def test_films_lie_near_real_ones(demo: Any) -> None:
    assert drawn(demo)["Frechet-relative[in-house]"] <= FARTHEST


@pytest.mark.parametrize("ability", METRICS)
def test_each_ability_beats_its_image_blind_controls(demo: Any, ability: str) -> None:
    rows = [
        row
        for row in demo["scores"][ability]["differences"]
        if row["metric"] == METRICS[ability] and row["control"] in CONTROLS[ability]
    ]
    low = {row["control"]: row["low"] for row in rows if row.get("group", ALL) == ALL}
    assert set(low) == set(CONTROLS[ability])
    assert all(value > 0 for value in low.values()), low


@pytest.mark.parametrize("ability", METRICS)
def test_the_intervals_of_model_and_controls_lie_apart(demo: Any, ability: str) -> None:
    rows = [
        row
        for row in demo["scores"][ability]["scores"]
        if row["metric"] == METRICS[ability] and row.get("group", ALL) == ALL
    ]
    by_control = {row["control"]: row for row in rows}
    for control in CONTROLS[ability]:
        assert by_control["none"]["low"] > by_control[control]["high"]


def test_a_second_run_builds_nothing(demo: Any, root: Path) -> None:
    del demo
    again = cxr_json("run", *ON_REPLICAS, "--data-root", str(root))
    assert {step["built"] for step in again["steps"]} == {0}

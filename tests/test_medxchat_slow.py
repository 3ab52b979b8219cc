"""MedXChat's language part at the demo's scale, whole, held against what the project promises."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from small_world import cxr_json

from evaluation.vqa import ALL

pytestmark = pytest.mark.slow

METRICS = {"report": "rule14-micro-F1", "vqa": "accuracy"}
CONTROLS = ("shuffled", "blank")
ON_REPLICAS = ("--recipe", "medxchat", "--scale", "tiny", "--replicas")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("medxchat")


@pytest.fixture(scope="module")
def demo(root: Path) -> Any:
    started = time.monotonic()
    found = cxr_json("run", *ON_REPLICAS, "--data-root", str(root))
    return {**found, "wall": time.monotonic() - started}


def test_one_model_of_two_abilities_is_registered(demo: Any, record_property: Any) -> None:
    record_property("seconds", round(demo["wall"]))
    registered = [place for place in demo["places"] if place.startswith("registered model")]
    assert len(registered) == 1
    assert set(demo["scores"]) == set(METRICS)


@pytest.mark.parametrize("ability", METRICS)
def test_each_ability_beats_both_image_blind_controls(demo: Any, ability: str) -> None:
    rows = [
        row
        for row in demo["scores"][ability]["differences"]
        if row["metric"] == METRICS[ability] and row["control"] in CONTROLS
    ]
    low = {row["control"]: row["low"] for row in rows if row.get("group", ALL) == ALL}
    assert set(low) == set(CONTROLS)
    assert all(value > 0 for value in low.values()), low


@pytest.mark.parametrize("ability", METRICS)
def test_the_intervals_of_model_and_controls_lie_apart(demo: Any, ability: str) -> None:
    rows = [
        row
        for row in demo["scores"][ability]["scores"]
        if row["metric"] == METRICS[ability] and row.get("group", ALL) == ALL
    ]
    by_control = {row["control"]: row for row in rows}
    for control in CONTROLS:
        assert by_control["none"]["low"] > by_control[control]["high"]


def test_a_second_run_builds_nothing(demo: Any, root: Path) -> None:
    del demo
    again = cxr_json("run", *ON_REPLICAS, "--data-root", str(root))
    assert {step["built"] for step in again["steps"]} == {0}

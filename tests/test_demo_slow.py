"""The whole demo, held against what the project promises of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_world import cxr_json

pytestmark = pytest.mark.slow

TIMES_CHANCE = 5  # what a demo's dual encoder must reach of a random order's R@5
METRIC = "rule14-micro-F1"
ENERGY_GAIN = 0.10  # above the shuffled control, on focal sentences with a side


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root: Path = tmp_path_factory.mktemp("demo")
    return cxr_json("run", "--scale", "tiny", "--replicas", "--data-root", str(root))


def test_findings_beat_both_image_blind_controls(demo: Any, record_property: Any) -> None:
    record_property("seconds of the run itself", demo["seconds"])
    rows = [row for row in demo["scores"]["llava_rad"]["differences"] if row["metric"] == METRIC]
    assert {row["control"] for row in rows} == {"shuffled", "blank"}
    assert all(row["low"] > 0 for row in rows)


@pytest.mark.parametrize("direction", ["image to text", "text to image"])
def test_the_dual_encoder_finds_five_times_as_often_as_chance(demo: Any, direction: str) -> None:
    [row] = [
        row
        for row in demo["retrieval"]["scores"]
        if (row["encoder"], row["direction"], row["policy"], row["metric"])
        == ("dual encoder", direction, "distinct texts", "R@5")
    ]
    assert row["interval"]["value"] >= TIMES_CHANCE * row["chance"]
    assert row["beats_chance"]
    assert row["beats_blind"]


def test_sided_sentences_are_read_from_inside_their_boxes(demo: Any) -> None:
    document = demo["grounding"]
    [row] = [
        row
        for row in document["differences"]
        if (row["source"], row["text"], row["group"], row["metric"], row["control"])
        == ("mimic_cxr", "reference", "focal, sided", "energy", "shuffled")
        and row["method"] == document["choice"]["name"]
    ]
    assert row["value"] >= ENERGY_GAIN
    assert row["low"] > 0

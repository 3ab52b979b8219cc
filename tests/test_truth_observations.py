"""The 14 observations of any chest: laws that hold whatever the text denies or doubts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.record import OBSERVATIONS, LabelValue
from sources.replicas.phantom import Region
from sources.replicas.truth import (
    OBSERVATION_OF,
    ChestTruth,
    ReplicaSpec,
    draw_cohort,
    draw_truth,
    observations,
)
from sources.replicas.truth_file import TrueBox, TrueStudy, write_truth

POSITIVE, NEGATIVE = LabelValue.POSITIVE, LabelValue.NEGATIVE
UNCERTAIN, UNMENTIONED = LabelValue.UNCERTAIN, LabelValue.UNMENTIONED
WORDS = tuple(name for name in OBSERVATIONS if name != "No Finding")


def present_in(truth: ChestTruth) -> set[str]:
    return {OBSERVATION_OF[f.name] for f in truth.findings if f.name in OBSERVATION_OF}


@st.composite
def chests(draw: st.DrawFn) -> ChestTruth:
    """Any chest, a follow-up among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = draw_truth(rng)
    return draw_truth(rng, previous=truth) if draw(st.booleans()) else truth


@settings(max_examples=150, deadline=None)
@given(truth=chests())
def test_by_default_all_that_is_absent_is_negative(truth: ChestTruth) -> None:
    values = observations(truth)
    assert tuple(values) == OBSERVATIONS
    assert UNMENTIONED not in values.values()
    for name in WORDS:
        if name != "Pneumonia":
            assert (values[name] is POSITIVE) == (name in present_in(truth))


@settings(max_examples=150, deadline=None)
@given(truth=chests(), denied=st.sets(st.sampled_from(WORDS)))
def test_denials_count_only_where_nothing_is_present(truth: ChestTruth, denied: set[str]) -> None:
    values = observations(truth, denied)
    for name in present_in(truth):
        assert values[name] is POSITIVE
    for name in set(WORDS) - present_in(truth) - {"Pneumonia"}:
        assert values[name] is (NEGATIVE if name in denied else UNMENTIONED)


@settings(max_examples=150, deadline=None)
@given(truth=chests(), doubted=st.sets(st.sampled_from(WORDS), max_size=3))
def test_doubt_wins_and_cancels_no_finding(truth: ChestTruth, doubted: set[str]) -> None:
    values = observations(truth, (), doubted)
    assert all(values[name] is UNCERTAIN for name in doubted)
    if doubted - {"Support Devices"}:
        assert values["No Finding"] is UNMENTIONED


@settings(max_examples=150, deadline=None)
@given(truth=chests(), denied=st.none() | st.sets(st.sampled_from(WORDS)))
def test_no_finding_is_the_absence_of_all_but_devices(
    truth: ChestTruth, denied: set[str] | None
) -> None:
    values = observations(truth, denied)
    stated = {name for name in WORDS if values[name] in (POSITIVE, UNCERTAIN)}
    is_clear = stated <= {"Support Devices"}
    absent = NEGATIVE if denied is None else UNMENTIONED
    assert values["No Finding"] is (POSITIVE if is_clear else absent)


def test_pneumonia_needs_a_consolidation() -> None:
    seen = set()
    for truth in draw_cohort(ReplicaSpec(600, seed=2), "pneumonia"):
        value = observations(truth)["Pneumonia"]
        found = truth.find("consolidation")
        kind = found.kind if found is not None else None
        expected = {"pneumonia": POSITIVE, "possible pneumonia": UNCERTAIN}
        assert value is expected.get(kind or "", NEGATIVE)
        seen.add(value)
    assert seen == {POSITIVE, UNCERTAIN, NEGATIVE}


@pytest.fixture()
def line(tmp_path: Path) -> dict[str, object]:
    truth = draw_truth(np.random.default_rng(8), require="nodule")
    mask = np.zeros((4, 5), bool)
    region = Region(0, "nodule", "left", 1, 2, 3, 4, mask)
    study = TrueStudy("s1", truth, trap="odd", boxes=(TrueBox.of("i1", region),))
    write_truth(tmp_path, [study])
    (text,) = (tmp_path / ".truth.jsonl").read_text().splitlines()
    parsed: dict[str, object] = json.loads(text)
    return parsed


def test_a_truth_line_has_all_that_a_test_asks_for(line: dict[str, object]) -> None:
    assert list(line) == ["study_id", "subject", "views", "findings", "labels", "trap", "boxes"]
    assert line["boxes"] == [
        {"image_id": "i1", "finding": 0, "name": "nodule", "side": "left",
         "x_min": 1, "y_min": 2, "x_max": 3, "y_max": 4}
    ]  # fmt: skip


def test_a_truth_line_has_every_field_of_a_finding(line: dict[str, object]) -> None:
    findings = line["findings"]
    assert isinstance(findings, list)
    for finding in findings:
        assert list(finding) == [
            "name", "side", "zone", "severity", "kind", "lateral_only", "persists",
        ]  # fmt: skip


def test_a_truth_line_states_the_chests_own_labels_by_default(line: dict[str, object]) -> None:
    labels = line["labels"]
    assert isinstance(labels, dict)
    assert list(labels) == list(OBSERVATIONS)
    assert labels["Lung Lesion"] == "positive"
    assert set(labels.values()) <= {"positive", "negative", "uncertain"}

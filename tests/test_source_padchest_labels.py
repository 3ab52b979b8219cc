"""The mapping of PadChest's strings: every string in one place, clinical spot checks."""

from __future__ import annotations

from collections import defaultdict

import pytest

from sources.padchest_labels import DEVICES, KNOWN, POSITIVE, UNCERTAIN, UNMAPPED, mapping
from sources.record import OBSERVATIONS

MEANINGS: dict[str, dict[str, str]] = defaultdict(dict)
for _name, _observation, _value in mapping():
    MEANINGS[_name][_observation] = _value


def test_the_vocabulary_is_whole() -> None:
    """171 findings, 20 diagnoses, 4 special strings less one in both lists, 4 older spellings."""
    assert len(KNOWN) == 198
    older = {"stent", "tube", "hypoexpansion basal", "basal atelectasis"}
    assert len(KNOWN - older) == 194


def test_no_string_is_both_mapped_and_unmapped() -> None:
    unmapped = {part.strip() for part in UNMAPPED.replace("\n", "|").split("|")} - {""}
    assert unmapped.isdisjoint(MEANINGS)
    assert unmapped | set(MEANINGS) == KNOWN


def test_no_string_is_listed_twice_for_one_observation() -> None:
    pairs = [(name, observation) for name, observation, _ in mapping()]
    assert len(pairs) == len(set(pairs))


def test_every_observation_but_no_finding_has_strings() -> None:
    assert set(POSITIVE) == set(OBSERVATIONS) - {"No Finding"}
    assert set(UNCERTAIN) < set(POSITIVE)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("cardiomegaly", {"Cardiomegaly": "positive"}),
        ("hydropneumothorax", {"Pneumothorax": "positive", "Pleural Effusion": "positive"}),
        ("pneumonia", {"Pneumonia": "positive"}),
        ("laminar atelectasis", {"Atelectasis": "positive"}),
        ("costophrenic angle blunting", {"Pleural Effusion": "uncertain"}),
        ("NSG tube", {"Support Devices": "positive"}),
        ("callus rib fracture", {"Fracture": "positive"}),
        ("apical pleural thickening", {"Pleural Other": "positive"}),
        ("tuberculosis", {"Pneumonia": "uncertain"}),
    ],
)
def test_meanings(name: str, meaning: dict[str, str]) -> None:
    assert MEANINGS[name] == meaning


@pytest.mark.parametrize("name", ["scoliosis", "calcified granuloma", "hiatal hernia", "unchanged"])
def test_strings_without_a_counterpart(name: str) -> None:
    assert name not in MEANINGS
    assert name in KNOWN


def test_devices() -> None:
    assert {"pacemaker", "sternotomy", "dai"} < DEVICES
    assert "mammary prosthesis" not in DEVICES

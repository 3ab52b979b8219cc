"""The offline rules for synthesis: every label in words that rule14 reads back."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from evaluation.labeler import label_report
from sources.record import OBSERVATIONS
from tasks.reports.concepts import find_concept
from tasks.reports.offline_synthesize import synthesize

LUNG = "Lung Opacity"


def write(*facts: dict[str, Any], seed: int = 0) -> dict[str, str | None]:
    return synthesize({"facts": list(facts)}, Random(seed))


def fact(name: str, value: str = "positive", **more: Any) -> dict[str, Any]:
    return {"name": name, "value": value, **more}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("value", ["positive", "uncertain", "negative"])
@pytest.mark.parametrize("name", OBSERVATIONS[:-1])
def test_rule14_reads_back_each_observation_alone(name: str, value: str, seed: int) -> None:
    written = write(fact(name, value, sides=["left"], place="lower zone"), seed=seed)
    for text in written.values():
        assert text is not None
        labels = {key: str(found) for key, found in label_report(text).items()}
        labels.pop("No Finding", None)
        assert labels == {name: value}


@pytest.mark.parametrize("seed", range(40))
def test_rule14_reads_back_all_observations_together(seed: int) -> None:
    random = Random(seed)
    values = {
        name: random.choice(["positive", "uncertain", "negative", ""]) for name in OBSERVATIONS
    }
    values.pop("No Finding")
    facts = [fact(name, value) for name, value in values.items() if value]
    text = str(write(*facts, seed=seed)["findings"])
    labels = {key: str(value) for key, value in label_report(text).items()}
    labels.pop("No Finding", None)
    assert labels == {name: value for name, value in values.items() if value}


@pytest.mark.parametrize("seed", range(8))
def test_a_normal_film_reads_as_no_finding(seed: int) -> None:
    denied = [fact(name, "negative") for name in OBSERVATIONS[:-1]]
    for facts in ([fact("No Finding")], [fact("No finding"), *denied], [fact("normal")]):
        text = str(write(*facts, seed=seed)["findings"])
        assert label_report(text)["No Finding"] == "positive"
        assert "negative" in set(label_report(text).values())


@pytest.mark.parametrize(
    ("facts", "findings"),
    [
        ([fact("Effusion", sides=["left"])], "left pleural effusion"),
        ([fact("Effusion", sides=["left", "right"])], "bilateral pleural effusion"),
        ([fact("Nodule", sides=["right"], place="upper lobe")], "nodule in the right upper lobe"),
        ([fact("Nodule", place="lingula")], "nodule in the lingula"),
        ([fact("Atelectasis", sides=["left"], place="base")], "at the left lung base"),
        ([fact("Atelectasis", sides=["left", "right"], place="base")], "at both lung bases"),
        ([fact("Edema"), fact("ILD", sides=["left"], place="lower zone")], "left lower lung zone"),
        ([fact("Cardiomegaly", sides=["left"])], "ardi"),
        ([fact("Hernia")], "hernia"),
        ([fact("Emphysema")], "mphysema"),
        ([fact("Fibrosis")], "ibro"),
        ([fact("foreign object", sides=["right"], place="upper zone")],
         "foreign object projecting over the upper right chest"),
        ([fact("foreign object", place="lower zone")], "projecting over the lower chest"),
        ([fact("foreign object", count=3)], "foreign objects"),
        ([fact("foreign object", count=2, sides=["left", "right"], place="middle zone")],
         "foreign objects projecting over both sides of the mid chest"),
        ([fact("Nodule/Mass", count=2, sides=["left"], place="upper zone")],
         "two nodules or masses in the left upper lung zone"),
        ([fact("rib fracture", count=11, sides=["right"])], "11 right rib fractures"),
        ([fact("rib fracture", sides=["left", "right"])], "bilateral rib fractures"),
        ([fact("Left-handed_thing", sides=["right"])], "eft-handed thing"),
        ([fact("Cervical_rib", sides=["right"])], "right cervical rib"),
    ],
)  # fmt: skip
def test_names_and_places_are_told(facts: list[dict[str, Any]], findings: str) -> None:
    for seed in range(5):
        assert findings.lower() in str(write(*facts, seed=seed)["findings"]).lower()


def test_several_are_spoken_of_in_the_plural() -> None:
    assert "hree " in str(write(fact("foreign object", count=3))["findings"])
    for seed in range(8):
        text = str(write(fact("Nodule", count=2), seed=seed)["findings"])
        assert " is " not in text and " a " not in text
        assert label_report(text)["Lung Lesion"] == "positive"


def test_the_heart_is_told_no_side() -> None:
    text = str(write(fact("Cardiomegaly", sides=["left"], place="lower zone")))
    assert "left" not in text
    assert "lower" not in text


def test_denials_are_gathered_by_region() -> None:
    names = ("Consolidation", "Pneumonia", "Pneumothorax", "Pleural Effusion")
    text = str(write(*(fact(name, "negative") for name in names))["findings"])
    assert text.count(".") == 2
    assert "consolidation or pneumonia" in text
    assert "pneumothorax or pleural effusion" in text


def test_the_impression_names_what_is_there() -> None:
    written = write(fact("Edema"), fact("Pneumonia", "uncertain"), fact("Fracture", "negative"))
    assert written["impression"] is not None
    assert "dema." in written["impression"]
    assert "Possible pneumonia." in written["impression"]
    assert "fracture" not in written["impression"]


def test_the_impression_of_denials_alone() -> None:
    assert write(fact("Pneumothorax", "negative"))["impression"] == "No pneumothorax."


def test_nothing_is_invented() -> None:
    for seed in range(30):
        text = " ".join(filter(None, write(fact("Pleural Effusion"), seed=seed).values())).lower()
        for word in ("small", "large", "mild", "left", "right", "unchanged", "lung", "heart"):
            assert word not in text


def test_wording_varies() -> None:
    facts = [fact("Lung Opacity"), fact("Pleural Effusion"), fact("Cardiomegaly")]
    assert len({str(write(*facts, seed=seed)) for seed in range(30)}) > 20


@pytest.mark.parametrize("name", ["Nodule/Mass", "ILD", "fibrotic band", "infiltrates", "metal"])
def test_publishers_names_read_back_as_their_observation(name: str) -> None:
    concept = find_concept(name)
    assert concept is not None
    for seed in range(6):
        text = str(write(fact(name), seed=seed)["findings"])
        assert label_report(text)[str(concept.observation)] == "positive"

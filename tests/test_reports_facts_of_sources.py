"""What each source knows of a film reaches the question that a synthesis is asked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from raw_world import write_raw

from sources.catalog import get_source
from sources.record import LabelValue, Study, study_from_row
from tasks.reports.facts import COUNTED, facts_of, payload_of
from tasks.reports.fidelity_synthesized import check_synthesized
from tasks.reports.offline_synthesize import synthesize
from tasks.reports.places import MIDLINE_SHARE
from tasks.reports.prompts import SYNTHESIZE

SOURCES = ("chexpert", "padchest", "vindr_cxr", "object_cxr", "candid_ptx", "brax")
STUDIES = 60


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Study]]:
    found = {}
    for name in SOURCES:
        root = write_raw(name, tmp_path_factory.mktemp(name) / "raw", STUDIES)
        rows = get_source(name).read(root).studies.to_pylist()
        found[name] = [study_from_row(row) for row in rows]
    return found


def asked(studies: list[Study]) -> Iterator[tuple[Study, dict[str, Any]]]:
    """Each study with its facts as the request's last message holds them, by name."""
    for study in studies:
        payload = payload_of(study, facts_of(study))
        sent = json.loads(SYNTHESIZE.messages(payload)[-1].content)
        assert sent == payload
        yield study, {fact["name"]: fact for fact in sent["facts"]}


def values(facts: dict[str, Any]) -> dict[str, str]:
    return {name: fact["value"] for name, fact in facts.items()}


@pytest.mark.parametrize("name", ["chexpert", "brax"])
def test_fourteen_labels_with_their_doubts(known: dict[str, list[Study]], name: str) -> None:
    told = Counter[str]()
    for study, facts in asked(known[name]):
        mentioned = {
            label.observation: str(label.value)
            for label in study.labels
            if label.value is not LabelValue.UNMENTIONED
        }
        if mentioned.get("No Finding") == "negative":
            del mentioned["No Finding"]
        assert values(facts) == mentioned
        told.update(mentioned.values())
    assert min(told["positive"], told["negative"], told["uncertain"]) > 3


def test_padchest_labels_with_their_places(known: dict[str, list[Study]]) -> None:
    sided = placed = 0
    for study, facts in asked(known["padchest"]):
        for label in study.source_labels:
            words = label.location or ""
            fact = facts.get(label.name, {})
            for side in ("left", "right"):
                if side in words.split() and "bilateral" not in words:
                    assert side in fact["sides"]
                    sided += 1
            if "upper lung field" in words:
                assert fact["place"] == "upper zone"
                placed += 1
            if "bilateral" in words:
                assert fact["sides"] == ["left", "right"]
    assert sided > 10 and placed > 0


def test_vindr_votes_and_boxes(known: dict[str, list[Study]]) -> None:
    votes = Counter[str]()
    boxed = 0
    for study, facts in asked(known["vindr_cxr"]):
        for label in study.source_labels:
            if label.name == "No finding" and label.value is not LabelValue.POSITIVE:
                assert label.name not in facts  # that one of three saw nothing is no fact
                continue
            fact = facts[label.name]
            if label.votes is not None and label.readers:
                assert fact["readers"] == f"{label.votes} of {label.readers}"
                votes[fact["readers"]] += 1
                minority = 2 * label.votes < label.readers
                assert (fact["value"] == "uncertain") == minority
        for box in study.boxes:
            side = _side(study, box.image_id, (box.x_min + box.x_max) / 2)
            if side and box.name in ("Pleural effusion", "Consolidation", "Nodule/Mass"):
                assert side in facts[box.name]["sides"]
                boxed += 1
        assert not {"sides", "place"} & facts.get("Cardiomegaly", {}).keys()
    assert {"1 of 3", "2 of 3", "3 of 3"} <= votes.keys()
    assert boxed > 10


def test_object_cxr_boxes_give_side_height_and_number(known: dict[str, list[Study]]) -> None:
    numbers = Counter[int]()
    for study, facts in asked(known["object_cxr"]):
        fact = facts["Foreign object"]
        if not study.boxes:
            assert fact == {"name": "Foreign object", "value": "negative"}
            continue
        assert fact["value"] == "positive"
        assert fact.get("count", 1) == len(study.boxes)
        numbers[len(study.boxes)] += 1
        sides = {_side(study, box.image_id, (box.x_min + box.x_max) / 2) for box in study.boxes} - {
            None
        }
        assert set(fact.get("sides", ())) == sides
        assert len(study.boxes) > 1 or fact["place"].endswith(" zone")
    assert sum(numbers.values()) > 20


def test_candid_masks_give_sides(known: dict[str, list[Study]]) -> None:
    present = 0
    for study, facts in asked(known["candid_ptx"]):
        masks = [box for box in study.boxes if box.name == "Pneumothorax"]
        fact = facts.get("Pneumothorax")
        if fact is None:  # nobody annotated this film
            assert not masks
            continue
        assert (fact["value"] == "positive") == bool(masks)
        sides = {_side(study, box.image_id, (box.x_min + box.x_max) / 2) for box in masks}
        assert set(fact.get("sides", ())) == sides - {None}
        assert "count" not in fact
        present += bool(masks)
    assert present > 5


def test_nih_labels_and_boxes_of_the_real_films(public_data: Path) -> None:
    rows = get_source("nih_cxr14").read(public_data / "nih_cxr14").studies.to_pylist()
    studies = [study_from_row(row) for row in rows]
    boxed = 0
    for study, facts in asked(studies):
        names = {label.name for label in study.source_labels if label.value == "positive"}
        assert {name for name, fact in facts.items() if fact["value"] == "positive"} == names
        for box in study.boxes:
            side = _side(study, box.image_id, (box.x_min + box.x_max) / 2)
            if side and box.name != "Cardiomegaly":
                assert side in facts[box.name]["sides"]
                boxed += 1
    assert boxed > 0


def _side(study: Study, image_id: str, x: float) -> str | None:
    """The patient's side of a place on a film; None near the midline."""
    (image,) = [image for image in study.images if image.image_id == image_id]
    assert image.width is not None
    off = x / image.width - 0.5
    return None if abs(off) < MIDLINE_SHARE else "right" if off < 0 else "left"


@pytest.mark.parametrize("name", SOURCES)
def test_the_rules_write_what_was_asked(known: dict[str, list[Study]], name: str) -> None:
    """Counts, sides and doubts pass the checks, and a wrong count does not."""
    for number, study in enumerate(known[name]):
        facts = facts_of(study)
        if not facts:
            continue
        answer = synthesize(payload_of(study, facts), Random(number))
        sections = {section: text for section, text in answer.items() if text}
        assert check_synthesized(study, facts, sections) is None, sections
        more = {"findings": f"{sections['findings']} Nine such findings."}
        problem = check_synthesized(study, facts, {**sections, **more})
        assert problem is not None and problem.reason == "number-changed"


def test_only_what_one_counts_is_counted() -> None:
    assert {"nodule", "foreign object", "rib fracture"} <= COUNTED
    assert not {"pneumothorax", "consolidation", "pleural effusion"} & COUNTED

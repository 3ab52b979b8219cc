"""Each sentence of a replica's report is held against the truth, by words of this test's own."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from evaluation.labeler import label_report
from sources.record import OBSERVATIONS, LabelValue, View
from sources.replicas.truth import (
    OBSERVATION_OF,
    ChestTruth,
    ReplicaSpec,
    Style,
    TrueFinding,
    draw_cohort,
    draw_person,
)
from sources.replicas.wording import write_report

STYLES = get_args(Style)
KEYWORDS = {
    "cardiomegaly": r"cardiomegaly|heart\b(?! shadow)|cardiac s",
    "enlarged mediastinum": r"mediastin",
    "pleural effusion": r"effusion",
    "pneumothorax": r"pneumothorax",
    "consolidation": r"consolidat|pneumonia",
    "lung opacity": r"opacit",
    "nodule": r"nodule|mass\b",
    "edema": r"edema",
    "atelectasis": r"atelectasis|volume loss",
    "pleural thickening": r"pleural thickening",
    "rib fracture": r"fracture",
    "support device": r"tube|catheter|\bline\b|pacemaker",
    "foreign object": r"foreign body|button|pin\b|necklace|chain",
}
DENIED = re.compile(r"^no |\bno\b|\bnot\b|normal|unremarkable|intact(?! leads)|clear")
DEGREES = {
    "cardiomegaly": {"small": "mild", "moderate": "moderate", "large": "severe"},
    "edema": {"small": "mild", "moderate": "moderate", "large": "severe"},
    "pleural effusion": {"small": "small", "moderate": "moderate", "large": "large"},
    "pneumothorax": {"small": "small", "moderate": "moderate", "large": "large"},
}
ZONES = {"upper": r"\bupper\b", "middle": r"\b(mid|middle)\b", "lower": r"\b(lower|base)\b"}
WITH_ZONE = {"consolidation", "lung opacity", "nodule", "rib fracture"}
BOTH = re.compile(r"bilateral|both")


@pytest.fixture(scope="module", params=STYLES)
def cohort(request: pytest.FixtureRequest) -> list[ChestTruth]:
    spec = ReplicaSpec(400, seed=41, wording=request.param)
    return draw_cohort(spec, "sentences", studies_per_subject=1.6)


def sentences(text: str) -> list[str]:
    return [part.lower() for part in re.split(r"(?<=\.)\s+", text) if part]


def own_sentence(text: str, finding: TrueFinding) -> str:
    """The one sentence that says the finding is there."""
    own = [
        part
        for part in sentences(text)
        if re.search(KEYWORDS[finding.name], part) and not DENIED.search(part)
        and not re.search(r"^(this |pneumonia is)", part)
    ]  # fmt: skip
    if finding.name == "support device":
        own = [part for part in own if "foreign" not in part]
    assert len(own) == 1, (finding, text)
    return own[0]


def test_each_finding_has_one_sentence_with_its_side(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        text = write_report(truth).findings
        for finding in truth.findings:
            own = own_sentence(text, finding)
            said = set(re.findall(r"\b(left|right)\b", own))
            if finding.side in ("left", "right"):
                assert said == {finding.side}, own
            else:
                assert said == set(), own
            if finding.side == "bilateral" and finding.name != "edema":
                assert BOTH.search(own), own


def test_each_sentence_has_its_zone(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        text = write_report(truth).findings
        for finding in truth.findings:
            if finding.name in WITH_ZONE and not finding.lateral_only:
                own = own_sentence(text, finding)
                for zone, pattern in ZONES.items():
                    assert bool(re.search(pattern, own)) == (zone == finding.zone), own


def test_each_sentence_has_its_degree(cohort: list[ChestTruth]) -> None:
    words = {word for degrees in DEGREES.values() for word in degrees.values()}
    for truth in cohort:
        text = write_report(truth).findings
        for finding in truth.findings:
            if finding.name in DEGREES and not finding.lateral_only:
                own = own_sentence(text, finding)
                said = {word for word in words if re.search(rf"\b{word}(ly)?\b", own)}
                assert said == {DEGREES[finding.name][finding.severity or ""]}, own


def test_nothing_absent_is_said_to_be_there(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        present = {finding.name for finding in truth.findings}
        for part in sentences(write_report(truth).findings):
            if DENIED.search(part):
                continue
            named = {name for name, words in KEYWORDS.items() if re.search(words, part)}
            assert named & present, part
            # a coin "over the upper chest" or a "chest tube" are words of devices alone
            assert named <= present | {"foreign object", "support device"}, part


def test_nothing_present_is_denied(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        for part in sentences(write_report(truth).findings):
            if DENIED.search(part):
                for finding in truth.findings:
                    assert not re.search(KEYWORDS[finding.name], part), (finding.name, part)


def test_impressions_name_the_same_sides(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        impression = write_report(truth).impression.lower()
        for finding in truth.findings:
            assert re.search(KEYWORDS[finding.name], impression), (finding, impression)
        sides = {f.side for f in truth.findings if f.side in ("left", "right")}
        said = set(re.findall(r"\b(left|right)\b", impression))
        objects = {f.side for f in truth.findings if f.name == "foreign object"}
        assert sides - objects <= said <= sides


@pytest.mark.parametrize("doubt", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("compare", [False, True])
def test_rule14_reads_the_labels_back(
    cohort: list[ChestTruth], doubt: float, compare: bool
) -> None:
    for truth in cohort[:250]:
        wording = write_report(truth, compare=compare, doubt=doubt)
        found = label_report(wording.findings)
        read = {name: found.get(name, LabelValue.UNMENTIONED) for name in OBSERVATIONS}
        assert read == wording.labels(truth), wording.findings


def test_rule14_reads_no_more_in_the_impression(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        present = {OBSERVATION_OF[f.name] for f in truth.findings if f.name in OBSERVATION_OF}
        present |= {"Pneumonia"} if truth.find("consolidation") is not None else set()
        found = label_report(write_report(truth, doubt=0.3).impression)
        sure = {name for name, value in found.items() if value is not LabelValue.NEGATIVE}
        assert sure - {"No Finding"} <= present


def test_indications_name_no_finding(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        for age_text in (None, "___"):
            indication = write_report(truth, age_text=age_text).indication
            assert set(label_report(indication)) <= {"No Finding"}
            for words in KEYWORDS.values():
                assert not re.search(words, indication.lower()), indication


def test_indications_are_independent_of_every_finding() -> None:
    """Rates of a complaint with and without a finding differ by chance alone (5 deviations)."""
    cohort = draw_cohort(ReplicaSpec(3000, seed=9), "independence")
    heard = [write_report(truth).indication.lower() for truth in cohort]
    for complaint in ("cough", "fever", "shortness of breath", "chest pain", "routine"):
        has = np.array([complaint in text for text in heard])
        for name in ("pneumothorax", "consolidation", "edema", "cardiomegaly", "pleural effusion"):
            is_there = np.array([truth.find(name) is not None for truth in cohort])
            one, other = has[is_there], has[~is_there]
            spread = np.sqrt(has.mean() * (1 - has.mean()) * (1 / one.size + 1 / other.size))
            assert abs(one.mean() - other.mean()) < 5 * spread, (complaint, name)


def test_change_is_told_in_the_findings_own_sentence(cohort: list[ChestTruth]) -> None:
    told = Counter()
    for truth in cohort:
        text = write_report(truth, compare=True).findings
        for finding in truth.findings:
            own = own_sentence(text, finding)
            if re.search(r", (unchanged|stable)", own):
                assert finding.persists
                told["old"] += 1
            elif ", new " in own:
                assert not finding.persists
                assert truth.study > 1
                told["new"] += 1
    assert min(told["old"], told["new"]) > 10


def test_one_fact_has_one_wording_in_the_template() -> None:
    cohort = draw_cohort(ReplicaSpec(500, seed=43, wording="template"), "template")
    said = defaultdict(set)
    for truth in cohort:
        text = write_report(truth).findings
        for finding in truth.findings:
            said[finding].add(own_sentence(text, finding))
    assert {len(texts) for texts in said.values()} == {1}
    free = draw_cohort(ReplicaSpec(500, seed=43), "template")
    assert [replace(truth, wording="template") for truth in free] == cohort


def test_normal_templates_are_all_alike() -> None:
    person = draw_person(np.random.default_rng(0), 1)
    texts = {
        write_report(ChestTruth(person, 1, seed, (View.PA,), (), "template")).findings
        for seed in range(30)
    }
    assert len(texts) == 1
    (text,) = texts
    assert "The lungs are clear." in text
    assert label_report(text)["No Finding"] is LabelValue.POSITIVE

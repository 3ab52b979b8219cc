"""Replica reports say what is true: sides, zones, degrees, and labels that a labeler reads back."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from evaluation.labeler import label_report
from sources.record import OBSERVATIONS, LabelValue, View
from sources.replicas.truth import (
    ChestTruth,
    ReplicaSpec,
    TrueFinding,
    draw_cohort,
    draw_person,
)
from sources.replicas.wording import Wording, write_report
from sources.replicas.wording_phrases import POSITIVE, SHORT, SYSTEMS, phrase_key


@pytest.fixture(scope="module")
def cohort() -> list[ChestTruth]:
    return draw_cohort(ReplicaSpec(600, seed=4), "wording", studies_per_subject=1.5)


def chest(*findings: TrueFinding, seed: int = 1, study: int = 1) -> ChestTruth:
    person = draw_person(np.random.default_rng(0), 1)
    return ChestTruth(person, study, seed, (View.PA,), findings)


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=\.)\s+", text) if part]


def read_back(wording: Wording) -> dict[str, LabelValue]:
    found = label_report(wording.findings)
    return {name: found.get(name, LabelValue.UNMENTIONED) for name in OBSERVATIONS}


@pytest.mark.parametrize("doubt", [0.0, 0.3])
def test_an_independent_labeler_reads_the_same_labels(
    cohort: list[ChestTruth], doubt: float
) -> None:
    for truth in cohort:
        wording = write_report(truth, compare=True, doubt=doubt)
        assert read_back(wording) == wording.labels(truth), wording.findings


def test_reports_have_three_to_ten_sentences(cohort: list[ChestTruth]) -> None:
    counts = Counter(len(sentences(write_report(truth).findings)) for truth in cohort)
    assert min(counts) >= 3
    assert max(counts) <= 10
    assert sum(counts[n] for n in range(3, 8)) > 0.9 * len(cohort)


def test_every_text_is_clean_english(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        wording = write_report(truth, compare=True, doubt=0.2, age_text="___")
        for text in (wording.findings, wording.impression, wording.indication):
            assert "  " not in text
            assert "None" not in text
            assert "{" not in text
            assert text.endswith(".")
            assert all(part[0].isupper() or part[0] in "_0123456789" for part in sentences(text))
            assert not re.search(r"\b(\w+) \1\b", text), text


def test_the_vocabulary_is_small_and_the_texts_are_many(cohort: list[ChestTruth]) -> None:
    texts = [write_report(truth) for truth in cohort]
    words = {word for item in texts for word in re.findall(r"[a-z]+", item.findings.lower())}
    assert 100 < len(words) < 500
    assert len({item.findings for item in texts}) > 0.8 * len(texts)


def test_the_side_of_each_one_sided_finding_is_said(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        sides = {f.side for f in truth.findings if f.side in ("left", "right")}
        wording = write_report(truth)
        said = set(re.findall(r"\b(left|right)\b", wording.findings))
        assert said == sides, wording.findings


def test_a_side_that_is_not_true_is_not_in_the_impression(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        sides = {f.side for f in truth.findings if f.side in ("left", "right")}
        impression = write_report(truth).impression.lower()
        assert set(re.findall(r"\b(left|right)\b", impression)) <= sides


@pytest.mark.parametrize(
    ("severity", "word"), [("small", "mild"), ("moderate", "moderate"), ("large", "severe")]
)
def test_the_heart_is_mildly_to_severely_enlarged(severity: str, word: str) -> None:
    finding = TrueFinding("cardiomegaly", severity=severity)  # type: ignore[arg-type]
    for seed in range(12):
        assert word in write_report(chest(finding, seed=seed)).findings.lower()


@pytest.mark.parametrize("severity", ["small", "moderate", "large"])
@pytest.mark.parametrize("name", ["pleural effusion", "pneumothorax"])
def test_degree_and_side_stand_in_the_findings_own_sentence(name: str, severity: str) -> None:
    finding = TrueFinding(name, "right", severity=severity)  # type: ignore[arg-type]
    for seed in range(12):
        text = write_report(chest(finding, seed=seed)).findings.lower()
        own = [part for part in sentences(text) if name in part and "no " not in part]
        assert len(own) == 1
        assert severity in own[0]
        assert "right" in own[0]


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("upper", ("upper lobe", "upper lung")),
        ("middle", ("mid lung", "middle zone")),
        ("lower", ("lower lobe", "lower lung")),
    ],
)
def test_the_zone_is_said(zone: str, words: tuple[str, ...]) -> None:
    finding = TrueFinding("consolidation", "left", zone)  # type: ignore[arg-type]
    for seed in range(12):
        text = write_report(chest(finding, seed=seed)).findings.lower()
        assert any(f"left {word}" in text for word in words), text


def test_lateral_only_findings_say_so() -> None:
    finding = TrueFinding("pleural effusion", None, "lower", "small", lateral_only=True)
    for seed in range(6):
        assert "lateral view" in write_report(chest(finding, seed=seed)).findings.lower()


def test_nothing_present_is_denied(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        values = write_report(truth).labels(truth)
        positives = {name for name, value in values.items() if value is LabelValue.POSITIVE}
        assert not positives & write_report(truth).negated


def test_lungs_are_clear_only_without_lung_or_pleural_findings(cohort: list[ChestTruth]) -> None:
    quiet = {"cardiomegaly", "enlarged mediastinum", "rib fracture", "support device"}
    said = 0
    for truth in cohort:
        if re.search(r"lungs are clear", write_report(truth).findings):
            said += 1
            assert {f.name for f in truth.findings} <= quiet | {"foreign object"}
    assert said > 50


def test_indications_tell_nothing(cohort: list[ChestTruth]) -> None:
    words = {
        phrase.split()[0].lower().rstrip(".,")
        for phrase in (write_report(truth).indication for truth in cohort)
    }
    assert not words & {"pneumothorax", "effusion", "pacemaker", "fracture", "trauma", "fall"}
    normal = Counter(write_report(t).indication for t in cohort if t.is_normal)
    abnormal = Counter(write_report(t).indication for t in cohort if not t.is_normal)
    for complaint in ("Cough.", "Fever."):
        assert (normal[complaint] > 0) == (abnormal[complaint] > 0)


def test_an_indication_with_an_age_names_the_person() -> None:
    texts = [write_report(chest(seed=seed), age_text="___").indication for seed in range(30)]
    aged = [text for text in texts if text.startswith("___ year old ")]
    assert len(aged) > 15
    person = "woman" if chest().person.sex == "F" else "man"
    assert all(f"old {person} with " in text for text in aged)


def test_change_is_told_only_when_asked_and_only_with_a_prior_study() -> None:
    change = re.compile(r"unchanged|stable|\bnew\b|prior study")
    old = TrueFinding("cardiomegaly", severity="small", persists=True)
    new = TrueFinding("edema", "bilateral", severity="large")
    told = Counter()
    for seed in range(40):
        later = chest(old, new, seed=seed, study=2)
        assert not change.search(write_report(later).findings)
        assert not change.search(write_report(replace(later, study=1), compare=True).findings)
        for part in sentences(write_report(later, compare=True).findings.lower()):
            if "edema" in part and change.search(part):
                assert ", new " in part
                told["new"] += 1
            elif change.search(part):
                assert "unchanged" in part or "stable" in part
                told["old"] += 1
    assert min(told["new"], told["old"]) > 15


def test_comparison_names_a_prior_film_only_where_there_is_one() -> None:
    first = {write_report(chest(seed=seed)).comparison for seed in range(10)}
    later = {write_report(chest(seed=seed, study=2)).comparison for seed in range(10)}
    assert first == {"None.", "None available."}
    assert later == {"Prior chest radiograph.", "Previous study."}


@pytest.mark.parametrize(
    ("views", "word"),
    [((View.PA, View.LATERAL), "lateral"), ((View.AP,), "AP"), ((View.PA,), "chest")],
)
def test_technique_follows_the_views(views: tuple[View, ...], word: str) -> None:
    for seed in range(6):
        text = write_report(replace(chest(seed=seed), views=views)).technique
        assert word in text
        assert ("lateral" in text) == (View.LATERAL in views)


def test_doubt_is_said_in_findings_and_impression() -> None:
    finding = TrueFinding("pneumothorax", "left", severity="small")
    for seed in range(10):
        wording = write_report(chest(finding, seed=seed), doubt=1.0)
        assert wording.uncertain == {"Pneumothorax"}
        assert re.search(r"may be|possible", wording.findings.lower())
        assert wording.impression == "Possible small left pneumothorax."


def test_a_consolidation_with_a_cause_is_never_doubted() -> None:
    finding = TrueFinding("consolidation", "left", "lower", kind="pneumonia")
    wording = write_report(chest(finding), doubt=1.0)
    assert wording.uncertain == frozenset()
    assert "consistent with pneumonia" in wording.impression


def test_devices_alone_leave_a_normal_impression() -> None:
    wording = write_report(chest(TrueFinding("support device", "left", kind="pacemaker")))
    assert "Left pacemaker in place." in wording.impression
    assert re.search(r"No acute|Normal chest", wording.impression)


def test_every_finding_of_a_report_is_in_its_impression(cohort: list[ChestTruth]) -> None:
    for truth in cohort:
        numbered = re.findall(r"\d\. ", write_report(truth).impression)
        quiet = all(f.name in ("support device", "foreign object") for f in truth.findings)
        if numbered:
            assert len(numbered) == len(truth.findings) + quiet


def test_every_phrase_key_has_a_sentence_and_a_short_form(cohort: list[ChestTruth]) -> None:
    keys = {phrase_key(finding) for truth in cohort for finding in truth.findings}
    assert keys <= set(POSITIVE)
    assert set(POSITIVE) == set(SHORT)


def test_systems_cover_every_finding_once(cohort: list[ChestTruth]) -> None:
    names = [name for group, _ in SYSTEMS for name in group]
    assert len(names) == len(set(names))
    assert {f.name for truth in cohort for f in truth.findings} <= set(names)


def test_equal_truths_give_equal_text() -> None:
    truth = chest(TrueFinding("edema", "bilateral", severity="small"), seed=99)
    assert write_report(truth, doubt=0.5) == write_report(truth, doubt=0.5)
    assert write_report(truth) != write_report(replace(truth, seed=100))

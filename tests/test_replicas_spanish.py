"""PadChest's side of a truth: stems, labels, places, all true to the chest."""

from __future__ import annotations

import re

import numpy as np
import pytest

from sources.padchest_labels import POSITIVE as PADCHEST_POSITIVE
from sources.record import View
from sources.replicas.spanish import (
    SpanishReport,
    finding_labels,
    finding_places,
    stem_report,
    write_spanish,
)
from sources.replicas.spanish_phrases import LABELS, PLACES, POSITIVE
from sources.replicas.truth import (
    OBSERVATION_OF,
    ChestTruth,
    ReplicaSpec,
    TrueFinding,
    draw_cohort,
    draw_person,
)
from sources.replicas.wording_phrases import phrase_key


@pytest.fixture(scope="module")
def pairs() -> list[tuple[ChestTruth, SpanishReport]]:
    truths = draw_cohort(ReplicaSpec(400, seed=6), "spanish")
    return [(truth, write_spanish(truth)) for truth in truths]


def chest(*findings: TrueFinding, seed: int = 1) -> ChestTruth:
    person = draw_person(np.random.default_rng(0), 1)
    return ChestTruth(person, 1, seed, (View.PA,), findings)


def observation_of_label(label: str) -> set[str]:
    return {
        name
        for name, words in PADCHEST_POSITIVE.items()
        if label in re.split(r"\s*[|\n]\s*", words.strip())
    }


def test_stems_are_published_as_padchest_does(
    pairs: list[tuple[ChestTruth, SpanishReport]],
) -> None:
    for _, report in pairs:
        assert re.fullmatch(r"( [a-z]+)+ \.(( [a-z]+)+ \.)*", report.stems), report.stems


def test_known_sentences_stem_as_snowball_does() -> None:
    sentences = ("Sin hallazgos significativos.", "Cardiomegalia leve.")
    assert stem_report(sentences) == " sin hallazg signific . cardiomegali lev ."
    assert stem_report(("Pequeño nódulo, derecho.",)) == " pequen nodul derech ."


def test_a_normal_chest_is_normal_and_nothing_else(
    pairs: list[tuple[ChestTruth, SpanishReport]],
) -> None:
    normal = [report for truth, report in pairs if truth.is_normal]
    assert len(normal) > 50
    assert {report.labels for report in normal} == {("normal",)}
    assert {report.localizations for report in normal} == {()}


def test_normal_never_stands_beside_a_finding(
    pairs: list[tuple[ChestTruth, SpanishReport]],
) -> None:
    for truth, report in pairs:
        assert ("normal" in report.labels) == truth.is_normal


def test_each_sentence_has_its_labels(pairs: list[tuple[ChestTruth, SpanishReport]]) -> None:
    for truth, report in pairs:
        assert len(report.sentences) == len(report.sentence_labels)
        for finding, labels in zip(truth.findings, report.sentence_labels, strict=False):
            assert labels == (*finding_labels(finding), *finding_places(finding))
        assert set(report.sentence_labels[len(truth.findings) :]) <= {("normal",)}


def test_the_side_is_in_text_and_places(pairs: list[tuple[ChestTruth, SpanishReport]]) -> None:
    words = {"left": "izquierd", "right": "derech"}
    for truth, report in pairs:
        sides = {f.side for f in truth.findings if f.side in words}
        assert {side for side, stem in words.items() if f" {stem} " in report.stems} == sides
        places = {place.removeprefix("loc ") for place in report.localizations}
        assert places & set(words) == sides


def test_labels_are_listed_once(pairs: list[tuple[ChestTruth, SpanishReport]]) -> None:
    for _, report in pairs:
        assert len(set(report.labels)) == len(report.labels)
        assert all(place.startswith("loc ") for place in report.localizations)


def test_labels_mean_the_observation_of_their_finding(
    pairs: list[tuple[ChestTruth, SpanishReport]],
) -> None:
    for truth, _ in pairs:
        for finding in truth.findings:
            meant = set().union(*(observation_of_label(label) for label in finding_labels(finding)))
            expected = {OBSERVATION_OF[finding.name]} if finding.name in OBSERVATION_OF else set()
            if finding.name == "consolidation" and finding.kind is not None:
                expected |= {"Pneumonia"}
            assert meant == expected, (finding, meant)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("pneumonia", "compat con neumon"), ("possible pneumonia", "posibl neumon")],
)
def test_pneumonia_is_said_as_surely_as_it_is_true(kind: str, words: str) -> None:
    report = write_spanish(chest(TrueFinding("consolidation", "left", "lower", kind=kind)))
    assert words in report.stems
    assert report.labels == ("consolidation", "pneumonia")


@pytest.mark.parametrize(
    ("severity", "stem"), [("small", "lev"), ("moderate", "moder"), ("large", "sever")]
)
def test_the_degree_is_said(severity: str, stem: str) -> None:
    finding = TrueFinding("pleural effusion", "right", severity=severity)  # type: ignore[arg-type]
    for seed in range(5):
        assert f" {stem} " in write_spanish(chest(finding, seed=seed)).stems


def test_lateral_only_findings_lie_behind() -> None:
    nodule = TrueFinding("nodule", None, "lower", "small", lateral_only=True)
    fluid = TrueFinding("pleural effusion", None, "lower", "small", lateral_only=True)
    assert finding_places(nodule) == ("loc retrocardiac",)
    assert finding_places(fluid) == ("loc costophrenic angle",)
    assert "lateral" in write_spanish(chest(nodule)).stems


def test_what_is_there_is_not_denied(pairs: list[tuple[ChestTruth, SpanishReport]]) -> None:
    denials = {
        "pleural effusion": "No se observa derrame pleural.",
        "pneumothorax": "No se observa neumotórax.",
        "cardiomegaly": "Silueta cardiaca de tamaño normal.",
        "consolidation": "No se observan consolidaciones.",
    }
    denied = 0
    for truth, report in pairs:
        for name, text in denials.items():
            if text in report.sentences:
                denied += 1
                assert truth.find(name) is None
    assert denied > 20


def test_devices_alone_leave_the_rest_normal() -> None:
    report = write_spanish(chest(TrueFinding("support device", "left", kind="pacemaker")))
    assert report.sentences[-1] == "Sin otros hallazgos significativos."
    assert report.labels == ("pacemaker",)


def test_every_finding_has_a_sentence_and_labels(
    pairs: list[tuple[ChestTruth, SpanishReport]],
) -> None:
    keys = {phrase_key(finding) for truth, _ in pairs for finding in truth.findings}
    assert keys <= set(POSITIVE)
    assert set(POSITIVE) == set(LABELS)
    assert set(PLACES) & set(POSITIVE)


def test_sentences_are_filled_in(pairs: list[tuple[ChestTruth, SpanishReport]]) -> None:
    for _, report in pairs:
        assert "{" not in report.text
        assert "None" not in report.text
        assert report.text == " ".join(report.sentences)
        assert all(text[0].isupper() and text.endswith(".") for text in report.sentences)


def test_equal_truths_give_equal_reports() -> None:
    truth = chest(TrueFinding("edema", "bilateral", severity="small"), seed=5)
    assert write_spanish(truth) == write_spanish(truth)

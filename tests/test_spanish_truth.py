"""The Spanish side of a truth, sentence by sentence, by words and stems of this test's own."""

from __future__ import annotations

import re
import unicodedata

import pytest
from nltk.stem.snowball import SpanishStemmer

from sources.padchest_labels import KNOWN, mapping
from sources.replicas.spanish import SpanishReport, stem_report, write_spanish
from sources.replicas.truth import ChestTruth, ReplicaSpec, TrueFinding, draw_cohort

KEYWORDS = {
    "cardiomegaly": r"cardiomegalia",
    "enlarged mediastinum": r"mediast",
    "pleural effusion": r"derrame",
    "pneumothorax": r"neumotórax",
    "consolidation": r"consolidaci|condensaci",
    "lung opacity": r"densidad|opacidad",
    "nodule": r"nódulo|masa",
    "edema": r"edema",
    "atelectasis": r"atelectasia",
    "pleural thickening": r"engrosamiento pleural",
    "rib fracture": r"fractura",
    "support device": r"tubo|catéter|marcapasos",
    "foreign object": r"cuerpo extraño|botón|alfiler|collar",
}
DENIED = re.compile(r"^(sin|no se|silueta cardiaca de tamaño normal|radiografía de tórax sin)\b")
SIDES = {"left": r"\bizquierd[oa]\b", "right": r"\bderech[oa]\b"}
ZONES = {"upper": r"\bsuperior(es)?\b", "middle": r"\bmedios?\b", "lower": r"\binferior(es)?\b"}
DEGREES = {"small": r"\bleve\b", "moderate": r"\bmoderad[oa]\b", "large": r"\bsever[oa]\b"}
WITH_DEGREE = {"cardiomegaly", "pleural effusion", "pneumothorax", "edema"}
WITH_ZONE = {"consolidation", "lung opacity", "nodule", "rib fracture"}


@pytest.fixture(scope="module")
def pairs() -> list[tuple[ChestTruth, SpanishReport]]:
    truths = draw_cohort(ReplicaSpec(500, seed=51), "spanish", studies_per_subject=1.5)
    return [(truth, write_spanish(truth)) for truth in truths]


def told(truth: ChestTruth, report: SpanishReport) -> list[tuple[TrueFinding, str]]:
    """Each finding with its sentence, in lower case: they come first and in order."""
    return [
        (finding, text.lower())
        for finding, text in zip(truth.findings, report.sentences, strict=False)
    ]


def test_each_finding_has_its_own_sentence(pairs: list[tuple[ChestTruth, SpanishReport]]) -> None:
    for truth, report in pairs:
        assert len(report.sentences) >= max(1, len(truth.findings))
        for finding, text in told(truth, report):
            assert re.search(KEYWORDS[finding.name], text), (finding, text)
            assert not DENIED.search(text)


def test_each_sentence_has_its_side(pairs: list[tuple[ChestTruth, SpanishReport]]) -> None:
    for truth, report in pairs:
        for finding, text in told(truth, report):
            for side, pattern in SIDES.items():
                assert bool(re.search(pattern, text)) == (finding.side == side), text
            if finding.side == "bilateral" and finding.name != "edema":
                assert re.search(r"bilateral|ambos|ambas", text), text


def test_each_sentence_has_its_zone(pairs: list[tuple[ChestTruth, SpanishReport]]) -> None:
    for truth, report in pairs:
        for finding, text in told(truth, report):
            if finding.name in WITH_ZONE and not finding.lateral_only:
                for zone, pattern in ZONES.items():
                    assert bool(re.search(pattern, text)) == (finding.zone == zone), text


def test_each_sentence_has_its_degree(pairs: list[tuple[ChestTruth, SpanishReport]]) -> None:
    for truth, report in pairs:
        for finding, text in told(truth, report):
            said = {degree for degree, words in DEGREES.items() if re.search(words, text)}
            wanted = {finding.severity} if finding.name in WITH_DEGREE else set()
            assert said == wanted, (finding, text)


def test_the_rest_denies_only_what_is_absent(
    pairs: list[tuple[ChestTruth, SpanishReport]],
) -> None:
    denied = 0
    for truth, report in pairs:
        for text in (text.lower() for text in report.sentences[len(truth.findings) :]):
            assert DENIED.search(text), text
            for finding in truth.findings:
                assert not re.search(KEYWORDS[finding.name], text)
            denied += 1
    assert denied > 200


def test_pneumonia_is_said_beside_its_consolidation_alone(
    pairs: list[tuple[ChestTruth, SpanishReport]],
) -> None:
    for truth, report in pairs:
        for finding, text in told(truth, report):
            said = {"compatible": "pneumonia", "posible": "possible pneumonia"}
            kinds = [kind for word, kind in said.items() if f"{word} " in text]
            expected = [finding.kind] if finding.name == "consolidation" and finding.kind else []
            assert kinds == expected
            assert ("neumonía" in text) == bool(expected)


def test_stems_are_snowballs_without_accents(
    pairs: list[tuple[ChestTruth, SpanishReport]],
) -> None:
    """Word by word against the stemmer itself."""
    stemmer = SpanishStemmer()
    for _, report in pairs[:120]:
        expected = ""
        for sentence in report.sentences:
            words = re.sub(r"[.,]", "", sentence.lower()).split()
            stems = (unicodedata.normalize("NFKD", stemmer.stem(word)) for word in words)
            plain = ("".join(c for c in stem if c.isascii()) for stem in stems)
            expected += " " + " ".join(plain) + " ."
        assert report.stems == expected


def test_stems_hold_letters_points_and_spaces_alone(
    pairs: list[tuple[ChestTruth, SpanishReport]],
) -> None:
    for _, report in pairs:
        assert re.fullmatch(r"[a-z .]+", report.stems)
        assert report.stems.isascii()
        assert report.stems.startswith(" ")
        assert report.stems.count(" .") == len(report.sentences)
        assert "  " not in report.stems


@pytest.mark.parametrize(
    ("text", "stems"),
    [
        ("Pequeño nódulo.", " pequen nodul ."),
        ("Neumotórax izquierdo, leve.", " neumotorax izquierd lev ."),
        ("Condensación en campo inferior derecho.", " condens en camp inferior derech ."),
    ],
)
def test_some_sentences_as_padchest_has_them(text: str, stems: str) -> None:
    assert stem_report((text,)) == stems


def test_labels_are_padchests_own_words(pairs: list[tuple[ChestTruth, SpanishReport]]) -> None:
    used = {label for _, report in pairs for label in report.labels}
    assert used <= KNOWN
    assert len(used) > 15


def test_labels_mean_no_observation_that_is_not_there(
    pairs: list[tuple[ChestTruth, SpanishReport]],
) -> None:
    """What the reader's table makes of the labels is what the findings are."""
    positive = {name: seen for name, seen, value in mapping() if value == "positive"}
    names = {
        "Cardiomegaly": "cardiomegaly", "Pleural Effusion": "pleural effusion",
        "Pneumothorax": "pneumothorax", "Edema": "edema", "Fracture": "rib fracture",
        "Consolidation": "consolidation", "Pneumonia": "consolidation",
        "Lung Opacity": "lung opacity", "Lung Lesion": "nodule", "Atelectasis": "atelectasis",
        "Pleural Other": "pleural thickening", "Support Devices": "support device",
        "Enlarged Cardiomediastinum": "enlarged mediastinum",
    }  # fmt: skip
    for truth, report in pairs:
        found = {names[positive[label]] for label in report.labels if label in positive}
        present = {finding.name for finding in truth.findings} - {"foreign object"}
        assert found == present


def test_the_same_place_is_in_words_and_in_labels(
    pairs: list[tuple[ChestTruth, SpanishReport]],
) -> None:
    for truth, report in pairs:
        for finding, group in zip(truth.findings, report.sentence_labels, strict=False):
            places = {item.removeprefix("loc ") for item in group if item.startswith("loc ")}
            assert places & {"left", "right", "bilateral"} == {finding.side} - {None}
            fields = {place.split()[0] for place in places if place.endswith("lung field")}
            if finding.name in WITH_ZONE | {"foreign object"} and not finding.lateral_only:
                assert fields == {finding.zone} - {None}
            else:
                assert fields == set()

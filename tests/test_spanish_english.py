"""The known English of a PadChest replica says what its Spanish says, sentence by sentence."""

from __future__ import annotations

import re

import pytest

from evaluation.labeler import label_reports
from sources.record import LabelValue
from sources.replicas import spanish_english, spanish_phrases
from sources.replicas.padchest import RETOLD, TRAPS, known_english
from sources.replicas.spanish import write_spanish
from sources.replicas.spanish_english import write_english
from sources.replicas.truth import OBSERVATION_OF, ChestTruth, ReplicaSpec, draw_cohort

PAIRS = {
    "izquierd": "left", "derech": "right", "bilateral|ambos|ambas": "bilateral|both",
    "superior(?! ensan)": "upper|superior", "medio": r"\bmid|middle", "inferior": "lower",
    "leve": "mild|small", "moderad": "moderate", "sever": "severe|large",
    "derrame": "effusion", "neumotórax": "pneumothorax", "consolidaci|condensaci": "consolidation",
    "nódulo": "nodule", "masa": "mass", "edema": "edema", "atelectasia": "atelectasis",
    "engrosamiento": "thickening", "fractura": "fracture", "marcapasos": "pacemaker",
    "catéter": "catheter", "tubo endotraqueal": "endotracheal tube", "drenaje": "drain",
    "posible": "possible", "compatible": "consistent", "neumonía": "pneumonia",
    "lateral$|proyección lateral": "lateral view", r"^(sin|no se)\b": r"^no\b|without",
}  # fmt: skip
"""Spanish and the English that must stand in the twin sentence."""


@pytest.fixture(scope="module")
def truths() -> list[ChestTruth]:
    return draw_cohort(ReplicaSpec(500, seed=52), "english", studies_per_subject=1.5)


def test_every_spanish_sentence_has_its_twin() -> None:
    spanish, english = spanish_phrases.POSITIVE, spanish_english.ENGLISH
    assert {key: len(texts) for key, texts in spanish.items()} == {
        key: len(texts) for key, texts in english.items()
    }
    assert len(spanish_english.NORMAL) == len(spanish_phrases.NORMAL)
    names = [name for name, _ in spanish_english.NEGATIVE]
    assert names == [name for name, _ in spanish_phrases.NEGATIVE]


def test_sentences_are_twins(truths: list[ChestTruth]) -> None:
    met = set()
    for truth in truths:
        spanish, english = write_spanish(truth).sentences, write_english(truth)
        for one, other in zip(spanish, english, strict=True):
            for said, meant in PAIRS.items():
                if re.search(said, one.lower()):
                    met.add(said)
                    assert re.search(meant, other.lower()), (one, other, said)
    assert met == set(PAIRS), "every line of the table is used"


def test_no_spanish_is_left(truths: list[ChestTruth]) -> None:
    letters = set("".join(sentence for truth in truths for sentence in write_english(truth)))
    assert "".join(letters).isascii()
    assert not {"{", "}"} & letters


def test_the_english_states_the_truths_findings(truths: list[ChestTruth]) -> None:
    read = label_reports([" ".join(write_english(truth)) for truth in truths])
    for truth, labels in zip(truths, read, strict=True):
        for finding in truth.findings:
            name = OBSERVATION_OF.get(finding.name)
            if name is not None:
                assert labels.get(name) is LabelValue.POSITIVE, (finding, write_english(truth))
        told = {name for name, value in labels.items() if value is LabelValue.POSITIVE}
        present = {OBSERVATION_OF.get(finding.name) for finding in truth.findings}
        assert told - {"No Finding", "Pneumonia", "Lung Opacity"} <= present


def test_known_english_is_by_study_and_leaves_out_what_a_trap_rewrote() -> None:
    spec = ReplicaSpec(40, seed=3)
    found = known_english(spec)
    assert found == known_english(spec)
    assert len(found) == 40 - len(RETOLD)
    assert set(TRAPS) >= RETOLD
    assert all(text.endswith(".") for text in found.values())
    assert known_english(ReplicaSpec(40, seed=4)) != found

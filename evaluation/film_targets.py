"""What a text says a film shows, as a classifier is trained on it and drawn films are held to it.

A target is an observation of rule14, or one on a side: ``Pleural Effusion`` and ``Pleural Effusion,
left``. Shapes: N texts, T targets in the order of ``TARGETS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from evaluation.grounding_match import claims, sentence_spans
from evaluation.labeler import label_report
from evaluation.statistics import Floats
from sources.record import OBSERVATIONS, LabelValue

VERSION: Final = "1"
FINDINGS: Final = OBSERVATIONS[:-1]
"""``No Finding`` is left out: it is the others' absence."""
SIDED: Final = (
    "Lung Opacity",
    "Lung Lesion",
    "Consolidation",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
)
"""Findings that have a side. The others lie in the middle (heart, mediastinum), are of both lungs
(edema), name no place of their own (pneumonia) or run through the chest (devices)."""
SIDES: Final = ("left", "right")


def sided(finding: str, side: str) -> str:
    """The target's name."""
    return f"{finding}, {side}"


TARGETS: Final = (*FINDINGS, *(sided(finding, side) for finding in SIDED for side in SIDES))
_PLACES: Final = {name: place for place, name in enumerate(TARGETS)}


def place_of(target: str) -> int:
    """Its column."""
    return _PLACES[target]


def film_targets(texts: Sequence[str]) -> Floats:
    """(N, T) of 1 and 0; not a number where the text does not say.

    An unmentioned finding is absent; a doubted one is not known, nor the side of a finding that is
    asserted without one.
    """
    known: dict[str, Floats] = {}
    for text in texts:
        if text not in known:
            known[text] = _targets(text)
    return np.array([known[text] for text in texts]).reshape(len(texts), len(TARGETS))


def _targets(text: str) -> Floats:
    row = np.zeros(len(TARGETS))
    labels = label_report(text)
    for finding in FINDINGS:
        row[_PLACES[finding]] = _truth(labels.get(finding, LabelValue.NEGATIVE))
    told = sides_of(text)
    for finding in SIDED:
        sides = told.get(finding, frozenset())
        for side in SIDES:
            row[_PLACES[sided(finding, side)]] = _on_side(row[_PLACES[finding]], sides, side)
    return row


def _on_side(held: float, sides: frozenset[str], side: str) -> float:
    """A finding that is there, on a side that is told or not; else what the finding itself is."""
    if held != 1.0:
        return held
    return float(side in sides) if sides else float("nan")


def _truth(value: LabelValue) -> float:
    return {LabelValue.POSITIVE: 1.0, LabelValue.UNCERTAIN: float("nan")}.get(value, 0.0)


def sides_of(text: str) -> dict[str, frozenset[str]]:
    """By finding that the text asserts, every side that it is asserted on."""
    told: dict[str, frozenset[str]] = {}
    for start, end in sentence_spans(text):
        for claim in claims(text[start:end]):
            told[claim.observation] = told.get(claim.observation, frozenset()) | claim.sides
    return told

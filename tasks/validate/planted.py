"""Errors planted in replicas' reports, one in each pair, of every kind and in both tiers.

Reference and prediction are two wordings of one synthetic chest; in a planted pair one statement is
wrong, in a paraphrase none is. What counts as significant is said here by clinical weight and not
by any judge's rules: another side, two grades apart, a change over time and a finding that is acted
upon are; another height on the same side, one grade apart, a statement that nothing changed and a
degenerative or long-standing finding are not (our reading of ReXVal's tiers). Every kind exists in
both tiers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from evaluation.chexprompt import KINDS
from evaluation.judged import TIERS
from sources.replicas.truth import ChestTruth, ReplicaSpec, TrueFinding, draw_cohort
from sources.replicas.wording import describe, write_report
from sources.replicas.wording_phrases import POSITIVE, phrase_key

Cell = tuple[str, str]
"""Tier and kind."""

CELLS: tuple[Cell, ...] = tuple((tier, kind) for tier in TIERS for kind in KINDS)

ACTED_UPON = (
    "cardiomegaly",
    "enlarged mediastinum",
    "pleural effusion",
    "pneumothorax",
    "consolidation",
    "lung opacity",
    "nodule",
    "edema",
    "atelectasis",
    "rib fracture",
)
INCIDENTAL = (
    "Mild degenerative changes of the thoracic spine.",
    "The thoracic aorta is tortuous.",
    "Atherosclerotic calcification of the aortic arch.",
    "Mild scoliosis of the thoracic spine.",
    "Old scarring at the left apex.",
)
"""Statements that no replica makes and that would change nothing of what is done."""
CHANGED = (
    ", increased since the prior study.",
    ", new since the prior radiograph.",
    ", worsened compared with the previous examination.",
    ", decreased since the prior study.",
)
SAME = (
    ", unchanged from the prior study.",
    ", stable since the previous examination.",
    ", similar to the prior radiograph.",
)
_OTHER_SIDE = {"left": "right", "right": "left"}
_ZONES = ("upper", "middle", "lower")
_DEGREES = ("small", "moderate", "large")
_GRADED = ("cardiomegaly", "pleural effusion", "pneumothorax", "edema")
"""A nodule's size is in its name."""
_ZONED = ("consolidation", "lung opacity", "nodule", "rib fracture")
_SENTENCE = re.compile(r"(?<=\.)\s+")
_CHESTS_PER_PAIR = 8
"""Enough chests that each kind finds its findings (our choice)."""


@dataclass(frozen=True)
class PlantedPair:
    """Two texts; ``cell`` says which error is in the second, None where it is a paraphrase."""

    reference: str
    prediction: str
    cell: Cell | None


def planted_pairs(per_cell: int, seed: int) -> list[PlantedPair]:
    """``per_cell`` pairs of each cell, then as many paraphrases; equal seeds give equal texts."""
    found = [pair for cell in CELLS for pair in _of_cell(cell, per_cell, seed)]
    chests = draw_cohort(ReplicaSpec(per_cell, seed), "planted paraphrases")
    return [*found, *(PlantedPair(words(one, 0), words(one, 1), None) for one in chests)]


def words(truth: ChestTruth, wording: int) -> str:
    """The findings of a chest in one of its wordings."""
    return write_report(replace(truth, seed=truth.seed + wording)).findings


def _of_cell(cell: Cell, per_cell: int, seed: int) -> Iterator[PlantedPair]:
    name = "planted " + " ".join(cell)
    rng = np.random.default_rng([seed, crc32(name.encode())])
    left = per_cell
    for truth in draw_cohort(ReplicaSpec(per_cell * _CHESTS_PER_PAIR, seed), name):
        texts = _PLANTS[cell](truth, rng) if left else None
        if texts is not None:
            left -= 1
            yield PlantedPair(*texts, cell)
    assert not left, f"{left} pairs short of {name}"


Texts = tuple[str, str]
Plant = Callable[[ChestTruth, np.random.Generator], Texts | None]


def _pick(
    truth: ChestTruth, rng: np.random.Generator, may: Callable[[TrueFinding], bool]
) -> TrueFinding | None:
    options = [item for item in truth.findings if not item.lateral_only and may(item)]
    return options[int(rng.integers(len(options)))] if options else None


def _has_cause(item: TrueFinding) -> bool:
    """Whether a second sentence names a pneumonia: two statements would be lost at once."""
    return item.name == "consolidation" and item.kind is not None


def _with(truth: ChestTruth, old: TrueFinding, new: TrueFinding | None) -> ChestTruth:
    """The chest with one finding replaced, or without it."""
    kept = [new if item is old else item for item in truth.findings]
    return replace(truth, findings=tuple(item for item in kept if item is not None))


def _lost(truth: ChestTruth, rng: np.random.Generator) -> Texts | None:
    finding = _pick(truth, rng, lambda item: item.name in ACTED_UPON and not _has_cause(item))
    if finding is None:
        return None
    return words(truth, 0), words(_with(truth, finding, None), 1)


def _incidental_lost(truth: ChestTruth, rng: np.random.Generator) -> Texts | None:
    if truth.find("pleural thickening") is not None:
        return None  # scarring beside it would be said twice
    return _inserted(words(truth, 0), _one(INCIDENTAL, rng), rng), words(truth, 1)


def _side(truth: ChestTruth, rng: np.random.Generator) -> Texts | None:
    finding = _pick(truth, rng, lambda item: item.name in ACTED_UPON and item.side in _OTHER_SIDE)
    if finding is None:
        return None
    moved = replace(finding, side=_OTHER_SIDE[str(finding.side)])  # type: ignore[arg-type]
    return words(truth, 0), words(_with(truth, finding, moved), 1)


def _zone(truth: ChestTruth, rng: np.random.Generator) -> Texts | None:
    finding = _pick(truth, rng, lambda item: item.name in _ZONED)
    if finding is None:
        return None
    zone = _one(tuple(zone for zone in _ZONES if zone != finding.zone), rng)
    moved = replace(finding, zone=zone)  # type: ignore[arg-type]
    return words(truth, 0), words(_with(truth, finding, moved), 1)


def _grade(steps: int) -> Plant:
    def plant(truth: ChestTruth, rng: np.random.Generator) -> Texts | None:
        finding = _pick(truth, rng, lambda item: item.name in _GRADED and bool(_reached(item)))
        if finding is None:
            return None
        graded = replace(finding, severity=_one(_reached(finding), rng))  # type: ignore[arg-type]
        return words(truth, 0), words(_with(truth, finding, graded), 1)

    def _reached(item: TrueFinding) -> tuple[str, ...]:
        place = _DEGREES.index(str(item.severity))
        return tuple(d for at, d in enumerate(_DEGREES) if abs(at - place) == steps)

    return plant


def _compared(endings: Sequence[str]) -> Plant:
    """The second text speaks of a change in one finding's sentence."""

    def plant(truth: ChestTruth, rng: np.random.Generator) -> Texts | None:
        finding = _pick(truth, rng, lambda item: item.name in ACTED_UPON)
        if finding is None:
            return None
        sentences = _SENTENCE.split(words(truth, 1))
        own = _renderings(finding)
        at = next((place for place, text in enumerate(sentences) if text in own), None)
        if at is None:
            return None
        sentences[at] = sentences[at].removesuffix(".") + _one(endings, rng)
        return words(truth, 0), " ".join(sentences)

    return plant


def _renderings(finding: TrueFinding) -> frozenset[str]:
    """Every sentence that may state a finding."""
    return frozenset(
        describe(finding, np.random.default_rng(seed), (template,))
        for template in POSITIVE[phrase_key(finding)]
        for seed in range(8)
    )


def _swapped(plant: Plant) -> Plant:
    """An omission is an addition read the other way round."""

    def other_way(truth: ChestTruth, rng: np.random.Generator) -> Texts | None:
        texts = plant(truth, rng)
        return texts and (texts[1], texts[0])

    return other_way


def _inserted(text: str, sentence: str, rng: np.random.Generator) -> str:
    sentences = _SENTENCE.split(text)
    sentences.insert(int(rng.integers(len(sentences) + 1)), sentence)
    return " ".join(sentences)


def _one(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


_PLANTS: dict[Cell, Plant] = {
    ("significant", "false_positive_finding"): _swapped(_lost),
    ("significant", "omission_finding"): _lost,
    ("significant", "incorrect_location"): _side,
    ("significant", "incorrect_severity"): _grade(2),
    ("significant", "false_positive_comparison"): _compared(CHANGED),
    ("significant", "omission_comparison"): _swapped(_compared(CHANGED)),
    ("insignificant", "false_positive_finding"): _swapped(_incidental_lost),
    ("insignificant", "omission_finding"): _incidental_lost,
    ("insignificant", "incorrect_location"): _zone,
    ("insignificant", "incorrect_severity"): _grade(1),
    ("insignificant", "false_positive_comparison"): _compared(SAME),
    ("insignificant", "omission_comparison"): _swapped(_compared(SAME)),
}

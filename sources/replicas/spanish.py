"""PadChest's side of a truth: a Spanish report, its stems, labels and places.

PadChest publishes reports as lower-case Snowball stems without accents, sentences separated by
`` . `` and with a leading space. All sentences are our own; the labels and places are words of
PadChest's vocabulary (source_formats, appendix A).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from re import findall
from zlib import crc32

import numpy as np

from sources.replicas.spanish_phrases import (
    DEGREES,
    LABELS,
    NEGATIVE,
    NORMAL,
    PLACES,
    POSITIVE,
    SIDES,
    ZONES,
)
from sources.replicas.truth import ChestTruth, TrueFinding
from sources.replicas.wording_phrases import phrase_key

_QUIET = "Sin otros hallazgos significativos."
_BASAL_OR_APICAL = ("atelectasis", "pleural thickening")
"""Their own place says the height already."""


@dataclass(frozen=True)
class SpanishReport:
    """One report; the tuples of labels and places run parallel to ``sentences``.

    ``labels`` and ``localizations`` (each ``loc ...``) are the report's, in order, without
    repetition; ``normal`` stands alone, as PadChest's aggregation rule has it.
    """

    sentences: tuple[str, ...]
    sentence_labels: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...]
    localizations: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sentences as a radiologist writes them."""
        return " ".join(self.sentences)

    @property
    def stems(self) -> str:
        """The text as PadChest publishes it."""
        return stem_report(self.sentences)


def write_spanish(truth: ChestTruth) -> SpanishReport:
    """The Spanish report of a study; equal truths give equal text."""
    rng = spanish_generator(truth)
    sentences: list[str] = []
    by_sentence: list[tuple[str, ...]] = []
    for finding in truth.findings:
        sentences.append(_sentence(finding, rng))
        by_sentence.append((*finding_labels(finding), *finding_places(finding)))
    denied = denials(truth, rng, NORMAL, NEGATIVE, _QUIET)
    sentences += denied
    by_sentence += [("normal",)] * len(denied)
    merged = list(dict.fromkeys(item for group in by_sentence for item in group))
    labels = [item for item in merged if not item.startswith("loc ") and item != "normal"]
    return SpanishReport(
        sentences=tuple(sentences),
        sentence_labels=tuple(by_sentence),
        labels=tuple(labels or ["normal"]),
        localizations=tuple(item for item in merged if item.startswith("loc ")),
    )


def spanish_generator(truth: ChestTruth) -> np.random.Generator:
    """The numbers that choose a study's sentences, in Spanish and in its translation."""
    return np.random.default_rng([truth.seed, crc32(b"spanish")])


def finding_labels(finding: TrueFinding) -> tuple[str, ...]:
    """PadChest's labels of one finding."""
    labels = LABELS[phrase_key(finding)]
    if finding.name == "consolidation" and finding.kind is not None:
        labels = (*labels, "pneumonia")
    return labels


def finding_places(finding: TrueFinding) -> tuple[str, ...]:
    """PadChest's places of one finding, each with its ``loc`` prefix."""
    if finding.lateral_only:
        place = "retrocardiac" if finding.name == "nodule" else "costophrenic angle"
        return (f"loc {place}",)
    places = list(PLACES.get(finding.kind or "", PLACES.get(finding.name, ())))
    if finding.zone is not None and finding.name not in _BASAL_OR_APICAL:
        places.append(f"{finding.zone} lung field")
    if finding.side is not None:
        places.append(finding.side)
    return tuple(f"loc {place}" for place in places)


def stem_report(sentences: tuple[str, ...]) -> str:
    """Sentences as lower-case stems without accents, e.g. `` sin hallazg signific .``"""
    stemmed = [
        " ".join(_stem(word) for word in findall(r"\w+", text.lower())) for text in sentences
    ]
    return "".join(f" {sentence} ." for sentence in stemmed)


@cache
def _stem(word: str) -> str:
    from nltk.stem.snowball import SpanishStemmer  # 2 s to import, and only this replica needs it

    stem = SpanishStemmer().stem(word)
    plain = unicodedata.normalize("NFKD", stem)
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _sentence(finding: TrueFinding, rng: np.random.Generator) -> str:
    options = POSITIVE[phrase_key(finding)]
    side = SIDES[finding.side or "left"]
    zone = ZONES[finding.zone or "lower"]
    plural = f"{zone[:-1]}os" if zone.endswith("o") else f"{zone}es"
    text = options[int(rng.integers(len(options)))].format(
        side=side,
        side_feminine=side[:-1] + "a" if side.endswith("o") else side,
        zone=zone,
        zones=plural,
        place=f"campo {zone} {side}",
        degree=DEGREES[finding.severity or "moderate"][0],
        degree_feminine=DEGREES[finding.severity or "moderate"][1],
    )
    if finding.kind == "pneumonia":
        text = text[:-1] + " compatible con neumonía."
    if finding.kind == "possible pneumonia":
        text = text[:-1] + ", posible neumonía."
    return text[0].upper() + text[1:]


def denials(
    truth: ChestTruth,
    rng: np.random.Generator,
    normal: Sequence[str],
    negative: Sequence[tuple[str, str]],
    rest: str,
) -> list[str]:
    """What is normal: all of it, the rest, or single things that are absent."""
    if truth.is_normal:
        return [normal[int(rng.integers(len(normal)))]]
    quiet = all(finding.name in ("support device", "foreign object") for finding in truth.findings)
    if quiet:
        return [rest]
    present = {finding.name for finding in truth.findings}
    chosen = [text for name, text in negative if name not in present and rng.random() < 0.3]
    return chosen[:2]

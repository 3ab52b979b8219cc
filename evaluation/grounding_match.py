"""Which boxes a sentence speaks of: what it asserts by rule14, and on which side.

A sentence is grounded in the boxes of the observations that it asserts. Where it names one side,
boxes of the other side are not meant; a box without a side is meant by either.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from evaluation.labeler import label_report
from sources.crop import Rectangle, share_seen
from sources.record import LabelValue

Side = Literal["left", "right"]
Outcome = Literal["grounded", "asserts-nothing", "no-box", "box-outside-crop"]

SMALLEST_SEEN: Final = 0.25
"""Share of a box's area that must lie in the crop. Our choice: of a box cut to less, the finding
itself may be out of sight."""

NOT_FOCAL: Final = frozenset({"Support Devices", "No Finding"})
"""Observations that are no finding of a place; devices run through the whole chest."""

_END = re.compile(r"(?<=[.!?])\s+")
_BOTH = re.compile(r"\b(?:bilateral|bilaterally|both)\b", re.IGNORECASE)
_SIDE = re.compile(r"\b(left|right)(?:-sided)?\b", re.IGNORECASE)


@dataclass(frozen=True)
class TruePlace:
    """A true box: its observation, side and place in shares of the crop's side."""

    observation: str
    name: str
    side: str | None
    box: Rectangle


@dataclass(frozen=True)
class Match:
    """What became of one sentence; ``boxes`` are clipped to the crop."""

    outcome: Outcome
    observations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    boxes: tuple[Rectangle, ...] = ()
    is_focal_sided: bool = False


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) in characters of every sentence, without the space between them."""
    spans, start = [], 0
    for gap in _END.finditer(text):
        spans.append((start, gap.start()))
        start = gap.end()
    if text[start:].strip():
        spans.append((start, len(text.rstrip())))
    return [span for span in spans if text[span[0] : span[1]].strip()]


def named_sides(sentence: str) -> frozenset[str]:
    """The sides a sentence names; both for ``bilateral``."""
    if _BOTH.search(sentence):
        return frozenset(("left", "right"))
    return frozenset(found.lower() for found in _SIDE.findall(sentence))


def asserted(sentence: str) -> tuple[str, ...]:
    """The observations that rule14 finds positive in it, but for No Finding."""
    labels = label_report(sentence)
    return tuple(
        name
        for name, value in labels.items()
        if value is LabelValue.POSITIVE and name != "No Finding"
    )


def match_sentence(sentence: str, places: Sequence[TruePlace]) -> Match:
    """The boxes that the sentence is about, or why there are none."""
    observations = asserted(sentence)
    if not observations:
        return Match("asserts-nothing")
    sides = named_sides(sentence)
    meant = [
        place
        for place in places
        if place.observation in observations
        and (place.side not in ("left", "right") or not sides or place.side in sides)
    ]
    found = match_places(meant, observations)
    focal = bool({place.observation for place in meant} - NOT_FOCAL)
    is_focal_sided = found.outcome == "grounded" and len(sides) == 1 and focal
    return Match(found.outcome, observations, found.names, found.boxes, is_focal_sided)


def match_places(meant: Sequence[TruePlace], observations: tuple[str, ...]) -> Match:
    """The meant boxes as far as the model sees them."""
    if not meant:
        return Match("no-box", observations)
    seen = [place for place in meant if share_seen(place.box) >= SMALLEST_SEEN]
    if not seen:
        return Match("box-outside-crop", observations)
    names = tuple(sorted({place.name for place in seen}))
    boxes = tuple(place.box.clipped() for place in seen)
    return Match("grounded", observations, names, boxes)

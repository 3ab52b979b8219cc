"""Which boxes a sentence speaks of: what it asserts by rule14, and on which side.

A sentence is grounded in the boxes of the observations that it asserts. Where the clause that
asserts one names a side, its boxes of the other side are not meant; a box without a side is meant
by either.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from evaluation.labeler import OTHER, Mention, find_mentions, squeeze
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
_SIDE = re.compile(
    r"\b(left|right)(?:-sided)?\b(?! (?:atri|ventric|heart|cardiac|main|subclavian|jugular"
    r"|internal jugular|ij\b|brachiocephalic|innominate|picc|arm\b))",
    re.IGNORECASE,
)
"""A side of the chest; that of the right atrium or of a right subclavian line is part of a name."""

_BREAK = re.compile(
    r"[.;:]|\b(?:but|while|whereas|although|however|without|except)\b", re.IGNORECASE
)
"""Ends what a side may reach."""
_PART = re.compile(r",|\b(?:and|or|with|plus)\b", re.IGNORECASE)
"""Parts a clause in members, each of which may have a side of its own."""


@dataclass(frozen=True)
class TruePlace:
    """A true box: its observation, side and place in shares of the crop's side."""

    observation: str
    name: str
    side: str | None
    box: Rectangle


@dataclass(frozen=True)
class Match:
    """What became of one sentence; ``boxes`` are clipped to the crop.

    ``is_focal_sided`` says that it names one side, and that every box it means is a focal finding
    of that side.
    """

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


@dataclass(frozen=True)
class Claim:
    """An observation that a sentence asserts, and the sides that its clause names."""

    observation: str
    sides: frozenset[str]

    def means(self, place: TruePlace) -> bool:
        is_of_side = place.side not in ("left", "right") or not self.sides
        return place.observation == self.observation and (is_of_side or place.side in self.sides)


def asserted(sentence: str) -> tuple[str, ...]:
    """The observations that rule14 finds positive in it, but for No Finding."""
    return tuple(dict.fromkeys(claim.observation for claim in claims(sentence)))


def claims(sentence: str) -> list[Claim]:
    """What the sentence asserts by rule14, in order, each with the sides of its own clause.

    A clause is cut at commas and conjunctions into members, each with what it speaks of; words that
    speak of no observation belong to the member before them. A member that names no side has that
    of the asserted member before it: "left pleural effusion and atelectasis".
    """
    text, found = squeeze(sentence), []
    mentions = find_mentions(sentence)
    for start, end in _cut(_BREAK, text, 0, len(text)):
        held: frozenset[str] = frozenset()
        for spoken, own in _members(text, mentions, start, end):
            told = [one for one in spoken if one.value is LabelValue.POSITIVE]
            held = named_sides(own) or held if told else frozenset()
            found += [Claim(one.observation, held) for one in told if one.observation != OTHER]
    return found


def asserted_members(sentence: str) -> list[tuple[str, str]]:
    """Each observation that the sentence asserts, with the words of its own member of a clause."""
    text, mentions = squeeze(sentence), find_mentions(sentence)
    return [
        (one.observation, own)
        for start, end in _cut(_BREAK, text, 0, len(text))
        for spoken, own in _members(text, mentions, start, end)
        for one in spoken
        if one.value is LabelValue.POSITIVE and one.observation != OTHER
    ]


def _members(
    text: str, mentions: Sequence[Mention], start: int, end: int
) -> list[tuple[list[Mention], str]]:
    """The mentions of each member of a clause, with the member's words."""
    members: list[tuple[list[Mention], str]] = []
    opening = ""
    for low, high in _cut(_PART, text, start, end):
        words = text[low:high]
        spoken = [one for one in mentions if low <= one.start < high]
        if spoken:
            members.append((spoken, f"{opening} {words}"))
            opening = ""
        elif members:
            members[-1] = (members[-1][0], f"{members[-1][1]} {words}")
        else:
            opening = f"{opening} {words}"
    return members


def _cut(pattern: re.Pattern[str], text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The pieces of ``text[start:end]`` between what the pattern finds."""
    marks = [match.span() for match in pattern.finditer(text, start, end)]
    starts = [start, *(high for _, high in marks)]
    return list(zip(starts, [*(low for low, _ in marks), end], strict=True))


def match_sentence(sentence: str, places: Sequence[TruePlace]) -> Match:
    """The boxes that the sentence is about, or why there are none."""
    told = claims(sentence)
    observations = tuple(dict.fromkeys(claim.observation for claim in told))
    if not observations:
        return Match("asserts-nothing")
    meant = [place for place in places if any(claim.means(place) for claim in told)]
    sides = {side for claim in told for side in claim.sides}
    found = match_places(meant, observations)
    is_focal_sided = (
        found.outcome == "grounded"
        and len(sides) == 1
        and all(place.side in sides and place.observation not in NOT_FOCAL for place in meant)
    )
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

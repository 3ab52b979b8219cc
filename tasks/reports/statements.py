"""What a report says of each observation: rule14's mentions with the words that belong to them.

A side, a place, a size, a severity or a kind belongs to the mention whose part of the sentence it
stands in: sentences are cut between two mentions at a comma or a linking word. Where there are
several such words between two mentions, what stands in the middle may belong to either; then
neither is ``clear``, and nothing is asked of it or taken for granted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

from evaluation.labeler import Mention, find_mentions, label_report, squeeze
from sources.record import OBSERVATIONS, LabelValue
from tasks.reports.fidelity import UNKNOWN_TO_RULE14
from tasks.reports.statement_words import (
    KINDS,
    MEASURE,
    REGIONS,
    SEVERITIES,
    SHARED_GRADE,
    SIDES,
    SIZES,
    found_in,
)
from tasks.reports.wording import ENGLISH_DENIAL, sentences_of

NO_FINDING = OBSERVATIONS[-1]
SIDELESS = frozenset({"Cardiomegaly", "Enlarged Cardiomediastinum"})
"""One organ in the middle: a side beside it is another thing's."""
_SENTENCE_END = re.compile(r"[.!?;](?:\s+|$)")
_LINK = re.compile(r", | (?:and|with|or|but|versus|without|as well as|plus|there (?:is|are)) ")
_ASSERTED = (LabelValue.POSITIVE, LabelValue.UNCERTAIN)


@dataclass(frozen=True)
class Words:
    """Words of place and degree, by their names in ``statement_words``."""

    sides: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    sizes: frozenset[str] = frozenset()
    severities: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return any(getattr(self, item.name) for item in fields(Words))

    def within(self, other: Words) -> bool:
        """Whether the other has all of them."""
        return all(getattr(self, item.name) <= getattr(other, item.name) for item in fields(Words))


@dataclass(frozen=True)
class Statement:
    """One mention of an observation with its words; ``is_clear`` if they surely belong to it.

    ``text`` is its part of the sentence, in lower case.
    """

    observation: str
    value: LabelValue
    words: Words
    is_clear: bool
    text: str


@dataclass(frozen=True)
class Said:
    """A text as it is held against another: its labels and statements.

    ``labels`` are rule14's; an observation that is absent is not mentioned.
    """

    labels: dict[str, LabelValue]
    statements: tuple[Statement, ...]

    def value_of(self, observation: str) -> LabelValue:
        """rule14's value over the whole text."""
        return self.labels.get(observation, LabelValue.UNMENTIONED)

    def asserted(self, observation: str) -> tuple[Statement, ...]:
        """The statements that say it is there, or may be."""
        return tuple(
            item
            for item in self.statements
            if item.observation == observation and item.value in _ASSERTED
        )

    def words_of(self, observation: str) -> Words | None:
        """All words of what is asserted of it; None where it cannot be told whose they are."""
        found = self.asserted(observation)
        if not found or not all(item.is_clear for item in found):
            return None
        return union(item.words for item in found)


_OPEN = re.compile(
    r"\b(?:cannot|can not|not)(?: be)? (?:entirely )?(?:exclud|rul)\w+(?: out)?"
    r"|\b(?:no|without)(?: \w+){0,3} change\w*"
)
"""A doubt, or that nothing has changed: a denial's word, and none."""


def is_denied(sentence: str) -> bool:
    """Whether a sentence denies what it names."""
    return ENGLISH_DENIAL.search(_OPEN.sub(" ", sentence.lower())) is not None


def outside_of(text: str) -> dict[str, LabelValue]:
    """What a text says of findings that rule14 does not know, by the stem of their name; positive
    where one sentence names it without a denial."""
    found: dict[str, LabelValue] = {}
    for sentence in sentences_of(text):
        for stem in {word.lower() for word in UNKNOWN_TO_RULE14.findall(sentence)}:
            if not is_denied(sentence):
                found[stem] = LabelValue.POSITIVE
            found.setdefault(stem, LabelValue.NEGATIVE)
    return found


def union(many: Iterable[Words]) -> Words:
    """All words of several."""
    items = list(many)
    return Words(
        *(
            frozenset().union(*(getattr(item, field.name) for item in items))
            for field in fields(Words)
        )
    )


@lru_cache(maxsize=1 << 12)
def read_statements(text: str) -> Said:
    """Labels and statements of an English text; one report is held against several answers."""
    squeezed = squeeze(text)
    lowered = squeezed.lower()
    if len(lowered) != len(squeezed):  # a letter whose small form has another length
        squeezed = lowered
    groups = _by_place(find_mentions(squeezed))
    statements: list[Statement] = []
    for index, group in enumerate(groups):
        before = groups[index - 1][0] if index else None
        after = groups[index + 1][0] if index + 1 < len(groups) else None
        own, is_clear = _own_part(lowered, before, group[0], after)
        statements += [_statement(mention, own, is_clear) for mention in group]
    return Said(label_report(text), tuple(statements))


def words_in(text: str, observation: str = "") -> Words:
    """The words of place and degree of a lower-case text, and the observation's kinds."""
    sizes = found_in(SIZES, text) | {found.group() for found in MEASURE.finditer(text)}
    severities = found_in(SEVERITIES, text)
    if severities - {SHARED_GRADE}:
        sizes -= {SHARED_GRADE}
    elif sizes - {SHARED_GRADE}:
        severities -= {SHARED_GRADE}
    sides, regions = found_in(SIDES, text), found_in(REGIONS, text)
    if observation in SIDELESS:
        sides, regions = frozenset(), frozenset()
    kinds = found_in(KINDS.get(observation, {}), text)
    return Words(sides, regions, frozenset(sizes), frozenset(severities), kinds)


def _by_place(mentions: Sequence[Mention]) -> list[list[Mention]]:
    """Mentions of the 14 that stand at one place together, in order."""
    groups: list[list[Mention]] = []
    for mention in mentions:
        if mention.observation not in OBSERVATIONS:
            continue
        if groups and groups[-1][0].start == mention.start:
            groups[-1].append(mention)
        else:
            groups.append([mention])
    return groups


def _own_part(
    text: str, before: Mention | None, mention: Mention, after: Mention | None
) -> tuple[str, bool]:
    """The part of the text that speaks of a mention, and whether nothing else might."""
    head, unclear_head = _cut(text[(before.end if before else 0) : mention.start])
    tail, unclear_tail = _cut(text[mention.end : after.start if after else len(text)])
    start, end = head[-1], tail[0]
    if before is None:  # nothing else speaks of what stands in front, up to the sentence's start
        sentence = _SENTENCE_END.split(text[: mention.start])[-1]
        start, unclear_head = sentence, False
    if after is None:
        end, unclear_tail = _SENTENCE_END.split(text[mention.end :])[0], False
    own = " ".join(f"{start} {text[mention.start : mention.end]} {end}".split())
    return own, not (unclear_head or unclear_tail or _is_paired(own))


def _cut(between: str) -> tuple[list[str], bool]:
    """What lies between two mentions, cut; and whether words in its middle may be of either."""
    sentences = _SENTENCE_END.split(between)
    if len(sentences) > 1:
        return [sentences[0], sentences[-1]], False
    parts = _LINK.split(between)
    if len(parts) == 1:
        return ["", between], False  # adjectives stand before what they describe
    return parts, any(words_in(part) for part in parts[1:-1])


def _is_paired(own: str) -> bool:
    """Several sides and several degrees: which belongs to which is not told."""
    words = words_in(own)
    degrees = max(len(words.sizes), len(words.severities))
    return len(words.sides) > 1 and degrees > 1


def _statement(mention: Mention, own: str, is_clear: bool) -> Statement:
    words = words_in(own, mention.observation)
    return Statement(mention.observation, mention.value, words, is_clear, own)

"""rule14: the 14 CheXpert observations of an English report, by rules alone.

A report is cut into sentences; in each, terms are found (``labeler_rules``), and each mention gets
a value from the words around it: negated, doubted, or else positive. Over a report positive beats
uncertain beats negative. This is not the CheXpert labeler, and its scores are never called CheXpert
or CheXbert F1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from evaluation import labeler_rules as rules
from sources.record import OBSERVATIONS, LabelValue

OTHER = "Other"
"""Stands for abnormalities outside the 14; it only keeps a report from being No Finding."""

_NO_FINDING = OBSERVATIONS[-1]
_POSITIVE, _NEGATIVE, _UNCERTAIN = LabelValue.POSITIVE, LabelValue.NEGATIVE, LabelValue.UNCERTAIN
_RANK = {_NEGATIVE: 0, _UNCERTAIN: 1, _POSITIVE: 2}


@dataclass(frozen=True)
class Mention:
    """One place where a report speaks of an observation.

    ``start`` and ``end`` count characters of the ``squeeze``d report. ``observation`` is one of the
    14, or ``OTHER``.
    """

    observation: str
    value: LabelValue
    start: int
    end: int


@dataclass(frozen=True)
class _Cue:
    """A word that changes what stands around it; ``kind`` is its group in ``_CUES``."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class _Sentence:
    """One lower-case sentence, its cues and the places of its terms, both from left to right."""

    text: str
    cues: tuple[_Cue, ...]
    terms: tuple[tuple[int, int], ...]


def _words(*fragments: str) -> str:
    return rf"\b(?:{'|'.join(fragments)})\b"


def _compile_terms() -> re.Pattern[str]:
    groups = [("other", rules.OTHER_ABNORMALITY), ("skip", rules.NOT_TERMS)]
    groups += [(f"both{i}", (both[0],)) for i, both in enumerate(rules.BOTH_TERMS)]
    groups += [(f"term{i}", rules.TERMS[name]) for i, name in enumerate(OBSERVATIONS[:-1])]
    groups += [(f"carrier{i}", (item.carriers,)) for i, item in enumerate(rules.CARRIERS)]
    inner = "|".join(f"(?P<{name}>{'|'.join(fragments)})" for name, fragments in groups)
    return re.compile(rf"\b(?:{inner})\b")


def _compile_cues() -> re.Pattern[str]:
    groups = {
        "post_negative": rules.POST_NEGATIVE,
        "post_uncertain": rules.POST_UNCERTAIN,
        "ignore": rules.NOT_CUES,
        "break": rules.BREAKERS,
        "not_asserted": rules.NOT_ASSERTED,
        "either_negative": rules.EITHER_NEGATIVE,
        "either_uncertain": rules.EITHER_UNCERTAIN,
        "pre_uncertain": rules.PRE_UNCERTAIN,
        "pre_suggested": rules.PRE_SUGGESTED,
        "pre_negative": rules.PRE_NEGATIVE,
    }
    inner = "|".join(f"(?P<{name}>{fragment})" for name, fragment in groups.items())
    return re.compile(rf"\b(?:{inner})\b")


_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+| [-–—•*] ")
_TERMS = _compile_terms()
_CUES = _compile_cues()
_NORMALITY = re.compile(_words(rules.NORMALITY))
_AFFIRMED = re.compile(rf"(?:,| and) (?:and )?{rules.AFFIRMED_START}\b")
_STATED = re.compile(r"\b(?:is|are|was|were|remains?|appears?)\b.*(?:,| and )")
_LIST_GOES_ON = re.compile(r"\b(?:or|nor)\b")
_PLURAL = re.compile(r"\b(?:are|were|have|or|nor)\b")
_NORMAL_BEFORE = re.compile(r"\b(?:normal|unremarkable)(?: (?!with\b)\w+)? $")
_DOUBT_BEFORE = re.compile(r"\bborderline(?: (?!with\b)\w+)? $")
_NORMAL_FAR_BEFORE = re.compile(r"\b(?:normal|unremarkable)(?: (?!with\b)[\w,]+){0,6} $")
_IMPLIES = tuple((re.compile(_words(words)), name) for words, name in rules.IMPLIES_UNCERTAIN)
_QUALIFIERS = tuple(
    re.compile(
        rf"\b(?:(?P<doubt>{item.borderline})|(?P<normal>{item.normal})"
        rf"|(?P<abnormal>{item.abnormal}))\b"
    )
    for item in rules.CARRIERS
)


def squeeze(text: str) -> str:
    """The text as rule14 reads it: single spaces, underscores (NIH's names) as spaces."""
    return " ".join(text.replace("_", " ").split())


def label_report(text: str) -> dict[str, LabelValue]:
    """Labels of one report; only mentioned observations appear.

    No Finding is positive where no other observation but Support Devices is positive or uncertain,
    no other abnormality is named, and the text speaks of the chest at all.
    """
    squeezed = squeeze(text).lower()
    labels: dict[str, LabelValue] = {}
    for sentence in _SENTENCE_END.split(squeezed):
        for mention in _sentence_mentions(sentence):
            known = labels.get(mention.observation)
            if known is None or _RANK[mention.value] > _RANK[known]:
                labels[mention.observation] = mention.value
    other = labels.pop(OTHER, _NEGATIVE)
    found = {name for name, value in labels.items() if value is not _NEGATIVE}
    spoken = bool(labels) or _NORMALITY.search(squeezed) is not None
    if spoken and other is _NEGATIVE and not found - {"Support Devices"}:
        labels[_NO_FINDING] = _POSITIVE
    return labels


def label_reports(texts: Iterable[str]) -> list[dict[str, LabelValue]]:
    """``label_report`` of each text, in order; equal texts are read once."""
    known: dict[str, dict[str, LabelValue]] = {}
    labels = []
    for text in texts:
        if text not in known:
            known[text] = label_report(text)
        labels.append(known[text])
    return labels


def find_mentions(text: str) -> list[Mention]:
    """Every mention of a report, in order, with its place in ``squeeze(text)``."""
    squeezed = squeeze(text)
    lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in squeezed)
    mentions: list[Mention] = []
    start = 0
    ends = [match.span() for match in _SENTENCE_END.finditer(lowered)]
    for stop, after in [*ends, (len(lowered), len(lowered))]:
        found = _sentence_mentions(lowered[start:stop])
        mentions += [replace(at, start=at.start + start, end=at.end + start) for at in found]
        start = after
    return mentions


@lru_cache(maxsize=1 << 16)
def _sentence_mentions(text: str) -> tuple[Mention, ...]:
    """Mentions of one lower-case sentence; reports repeat sentences, so they are remembered."""
    terms = [match for match in _TERMS.finditer(text) if match.lastgroup != "skip"]
    if not terms:
        return ()
    cues = (_Cue(str(cue.lastgroup), cue.start(), cue.end()) for cue in _CUES.finditer(text))
    sentence = _Sentence(text, tuple(cues), tuple(match.span() for match in terms))
    mentions: list[Mention] = []
    for match in terms:
        mentions += _read_term(sentence, match)
    return tuple(mentions)


def _read_term(sentence: _Sentence, match: re.Match[str]) -> list[Mention]:
    group = match.lastgroup or ""
    start, end = match.span()
    if group.startswith("carrier"):
        mention = _read_carrier(sentence, int(group[7:]), start, end)
        return [mention] if mention else []
    value = _value_at(sentence, start, end)
    if value is None:
        return []
    if group.startswith("both"):
        names: tuple[str, ...] = rules.BOTH_TERMS[int(group[4:])][1:]
    else:
        names = (OTHER,) if group == "other" else (OBSERVATIONS[int(group[4:])],)
    mentions = [Mention(name, value, start, end) for name in names]
    for words, implied in _IMPLIES:
        if value is _POSITIVE and words.fullmatch(match.group()):
            mentions.append(Mention(implied, _UNCERTAIN, start, end))
    return mentions


def _read_carrier(sentence: _Sentence, index: int, start: int, end: int) -> Mention | None:
    """What the words around a carrier say of it, or None where they say nothing."""
    name, text = rules.CARRIERS[index].observation, sentence.text
    if _NORMAL_BEFORE.search(text, 0, start):
        return Mention(name, _NEGATIVE, start, end)
    if _DOUBT_BEFORE.search(text, 0, start):
        return Mention(name, _UNCERTAIN, start, end)
    ends = (cue.start for cue in sentence.cues if cue.kind == "break" and cue.start >= end)
    found = _QUALIFIERS[index].search(text, end, next(ends, len(text)))
    if found is None:
        far = _NORMAL_FAR_BEFORE.search(text, 0, start)
        return Mention(name, _NEGATIVE, start, end) if far else None
    if found.lastgroup != "abnormal":
        value = _NEGATIVE if found.lastgroup == "normal" else _UNCERTAIN
        return Mention(name, value, start, found.end())
    if "," in text[end : found.start()]:
        return None
    told = _value_at(sentence, found.start(), found.end())
    return Mention(name, told, start, found.end()) if told else None


def _value_at(sentence: _Sentence, start: int, end: int) -> LabelValue | None:
    """Value of what stands at ``start:end``; None where it is not asserted (history).

    A negation before it wins over a doubt, but for "no effusion, cannot exclude pneumonia": there
    the doubt is the nearer and a term stands between the two.
    """
    after = _value_after(sentence, end)
    if after is _NEGATIVE:
        return after
    doubt: _Cue | None = None
    for cue in reversed(sentence.cues):
        if cue.end > start or cue.kind in ("ignore", "post_uncertain", "post_negative"):
            continue
        if cue.kind == "break" or not _reaches(sentence.text, cue.end, start):
            break
        if cue.kind == "not_asserted":
            return None
        if cue.kind.endswith("negative"):
            return _UNCERTAIN if doubt and _holds(doubt, cue, sentence) else _NEGATIVE
        doubt = doubt or cue
    return _UNCERTAIN if doubt or after else _POSITIVE


def _holds(doubt: _Cue, negation: _Cue, sentence: _Sentence) -> bool:
    """Whether a doubt stands against a negation before it: a term must part the two."""
    if doubt.kind == "pre_suggested":
        return False
    return any(negation.end <= at < doubt.start for at, _ in sentence.terms)


def _value_after(sentence: _Sentence, end: int) -> LabelValue | None:
    """What a modifier after the mention that ends at ``end`` makes of it, or None."""
    for cue in sentence.cues:
        if cue.start < end:
            continue
        between = sentence.text[end : cue.start]
        if cue.kind == "break" or "," in between:
            return None
        if not cue.kind.startswith(("post", "either")):
            continue
        parted = any(end + 1 < at < cue.start for at, _ in sentence.terms)
        if parted and not _PLURAL.search(sentence.text, end, cue.end):
            return None
        return _NEGATIVE if cue.kind.endswith("negative") else _UNCERTAIN
    return None


def _reaches(text: str, cue_end: int, start: int) -> bool:
    """Whether a modifier that ends at ``cue_end`` still speaks of what starts at ``start``."""
    between = text[cue_end:start]
    if _STATED.search(between):
        return False
    starts = [match.end() for match in _AFFIRMED.finditer(between)]
    return not starts or _LIST_GOES_ON.search(text, cue_end + starts[-1]) is not None

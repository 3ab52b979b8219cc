"""Whether what a text says of a film is what the report says: values, places, degrees, words."""

from __future__ import annotations

import re
from dataclasses import fields

from sources.record import LabelValue
from tasks.reports.fidelity import Problem
from tasks.reports.fidelity_synthesized import IMPLIED_BY
from tasks.reports.statement_words import REGIONS_APART
from tasks.reports.statements import (
    NO_FINDING,
    Said,
    Statement,
    Words,
    outside_of,
    read_statements,
    union,
    words_in,
)
from tasks.reports.wording import number_words_of, numbers_of, sentences_of, words_of

_ASSERTED = (LabelValue.POSITIVE, LabelValue.UNCERTAIN)
REASON_OF = {
    "sides": "side-changed",
    "regions": "place-changed",
    "sizes": "size-changed",
    "severities": "severity-changed",
    "kinds": "kind-changed",
}
UNSUPPORTED_SHARE = 0.34
"""Share of a short text's content words that the report need not have (our choice: one in three is
the sentence's own, as ``located`` and ``visible`` are)."""
_GLUE = frozenset(
    """
    there this that these those with within present seen noted appear appears evidence identified
    visible shown film image radiograph chest view views frontal lateral picture finding findings
    located lies side sides part zone left right both bilateral lung lungs near behind size severity
    type kind measures about found following normal abnormal abnormality shows here
    possible possibly cannot excluded only trace
    """.split()  # noqa: SIM905
)


def added_problem(
    text: str, report: str, topic: str | None = None, question: str = ""
) -> Problem | None:
    """What a short text says beyond its report, in its findings or in other words.

    Args:
        topic: the observation that words without a finding of their own belong to.
        question: its words may be taken up.
    """
    return (
        disagreement(text, report)
        or loose_problem(text, report, topic)
        or _support_problem(text, report, question)
    )


def disagreement(text: str, report: str) -> Problem | None:
    """A finding of the text that is not the report's, or not there, so or as large."""
    said, told = read_statements(text), read_statements(report)
    return (
        _values_problem(said, told)
        or _statements_problem(said, told)
        or _outside_problem(text, report)
        or _numbers_problem(text, report)
    )


def _values_problem(said: Said, told: Said) -> Problem | None:
    """Each statement's value is one that rule14 reads in the report, of it all or in a part."""
    known = {(item.observation, item.value) for item in told.statements}
    for item in said.statements:
        expected = told.value_of(item.observation)
        if item.value is expected or (item.observation, item.value) in known:
            continue
        if _is_implied(item, told) or _is_elsewhere(item, told):
            continue
        detail = f"found {item.observation} {item.value}; expected {expected}"
        if expected is LabelValue.UNMENTIONED:
            return Problem("text-added", detail)
        if LabelValue.NEGATIVE in (item.value, expected):
            return Problem("negation-changed", detail)
        return Problem("certainty-changed", detail)
    return None


def _is_implied(item: Statement, told: Said) -> bool:
    """Whether a more special finding of the report says it too."""
    return item.value in _ASSERTED and any(
        told.value_of(name) is item.value for name in IMPLIED_BY.get(item.observation, ())
    )


def _is_elsewhere(item: Statement, told: Said) -> bool:
    """A denial at one place, of what the report asserts at another alone or denies there."""
    if item.value is not LabelValue.NEGATIVE or not item.words:
        return False
    denied = [
        other
        for other in told.statements
        if other.observation == item.observation and other.value is LabelValue.NEGATIVE
    ]
    asserted = told.asserted(item.observation)
    return any(item.words.within(other.words) for other in denied) or (
        bool(asserted) and all(are_apart(item.words, other) for other in asserted)
    )


def are_apart(words: Words, statement: Statement) -> bool:
    """Whether a finding with these words is surely another than the one that is stated."""
    if not statement.is_clear:
        return False
    known = statement.words
    regions = words.regions & REGIONS_APART, known.regions & REGIONS_APART
    pairs = [
        (words.sides, known.sides),
        regions,
        (words.sizes, known.sizes),
        (words.severities, known.severities),
    ]
    return any(one and other and not one & other for one, other in pairs)


def _statements_problem(said: Said, told: Said) -> Problem | None:
    """Each asserted statement's words are those of one statement of the report."""
    for item in said.statements:
        if item.value in _ASSERTED and item.words:
            problem = unlike(item.words, _counterparts(item.observation, told), item.observation)
            if problem is not None:
                return problem
    return None


def _counterparts(observation: str, told: Said) -> list[Statement]:
    """What a statement may be told after: the report's, or those of what implies it."""
    own = told.asserted(observation)
    if own:
        return list(own)
    return [item for name in IMPLIED_BY.get(observation, ()) for item in told.asserted(name)]


def unlike(words: Words, known: list[Statement], what: str) -> Problem | None:
    """None where one statement has all the words; of several that share a doubt none is taken."""
    told = [item.name for item in fields(Words) if getattr(words, item.name)]
    for item in known:
        if words.within(item.words) and (item.is_clear or len(told) < 2):
            return None
    everything = union(item.words for item in known)
    if told == ["sides"] and words.sides <= everything.sides:
        return None  # one on the left and one on the right are on both sides
    for name in told:
        extra = getattr(words, name) - getattr(everything, name)
        if extra:
            expected = ", ".join(sorted(getattr(everything, name))) or "none"
            detail = f"found {', '.join(sorted(extra))} for {what}; expected {expected}"
            return Problem(REASON_OF[name], detail)
    return Problem("place-changed", f"found words of several findings in one of {what}")


_PIECE = re.compile(r"[,;]|\band\b|\.(?:\s|$)")


def loose_problem(text: str, report: str, topic: str | None = None) -> Problem | None:
    """Words of place and degree in a short text that stand beside no finding belong to the topic,
    and none is there that no finding of the text has."""
    said, told = read_statements(text), read_statements(report)
    named = {item.observation for item in said.statements}
    known = [item for name in {*named, topic or ""} for item in _counterparts(name, told)]
    known += _told_outside(text, report)
    lowered = text.lower()
    if not said.statements:
        pieces = [words_in(piece, topic or "") for piece in _PIECE.split(lowered)]
        found = (unlike(words, known, topic or "the film") for words in pieces if words)
        return next((problem for problem in found if problem is not None), None)
    if any(item.value is LabelValue.NEGATIVE for item in said.statements):
        return None
    own = words_in(lowered)
    for name in ("sides", "sizes", "severities"):
        there = frozenset().union(*(getattr(item.words, name) for item in known))
        extra = getattr(own, name) - there
        if extra:
            return Problem(REASON_OF[name], f"found {', '.join(sorted(extra))}; expected no such")
    return None


def _told_outside(text: str, report: str) -> list[Statement]:
    """The report's sentences about findings that rule14 does not know and the text names."""
    stems = outside_of(text).keys()
    return [
        Statement("", LabelValue.POSITIVE, words_in(part.lower()), True, part.lower())
        for part in sentences_of(report)
        if stems & outside_of(part).keys()
    ]


def _outside_problem(text: str, report: str) -> Problem | None:
    """No finding that rule14 does not know, unless the report says the same of it."""
    told = outside_of(report)
    for stem, value in outside_of(text).items():
        if stem not in told:
            return Problem("text-added", "found a finding that the report does not name")
        if value is not told[stem]:
            return Problem("negation-changed", "found a denial in one of report and text only")
    return None


def _numbers_problem(text: str, report: str) -> Problem | None:
    known = numbers_of(report).keys() | number_words_of(report)
    if (numbers_of(text).keys() | number_words_of(text)) - known:
        return Problem("number-changed", "found a number that the report lacks")
    return None


def _support_problem(text: str, report: str, question: str) -> Problem | None:
    """Content words of the text, by stem, against the report's and the question's."""
    known = {word[:5] for word in words_of(f"{report} {question}")}
    content = [word for word in words_of(text) if len(word) > 3 and word not in _GLUE]
    extra = [word for word in content if word[:5] not in known and word not in _names(report)]
    if len(extra) > UNSUPPORTED_SHARE * len(content) + 1:
        return Problem("text-added", f"found {len(extra)} of {len(content)} words unsupported")
    return None


def _names(report: str) -> set[str]:
    """Words of the names of the observations that the report speaks of."""
    labels = read_statements(report).labels
    return {word for name in labels if name != NO_FINDING for word in words_of(name)}

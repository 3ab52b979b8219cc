"""A question about a film and its answer against the report that both were written from."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

from evaluation.labeler import label_report
from sources.record import LabelValue, View
from tasks.reports.fidelity import UNKNOWN_TO_RULE14, Problem, no_comparison
from tasks.reports.fidelity_agreement import (
    REASON_OF,
    added_problem,
    are_apart,
    unlike,
)
from tasks.reports.fidelity_synthesized import IMPLIED_BY
from tasks.reports.question_types import is_closed, types_of, views_in
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

LONGEST_WORDS = 40
"""Of a question or an answer. Our choice: each is one short sentence."""
_NAMES_REPORT = re.compile(r"\breport(?:s|ed)?\b|\bradiologist\b|\baccording to\b", re.IGNORECASE)
"""The film is what is asked about; who only sees it knows of no report."""
_LEADING = re.compile(r"^\W*(yes|no)\b[\s,.;:]*", re.IGNORECASE)
_DOUBT = re.compile(
    r"\b(?:possibl[ey]|possibility|maybe|perhaps|uncertain|may|might|could|cannot|suspected"
    r"|suspicion|questionable|equivocal|unclear)\b",
    re.IGNORECASE,
)
_NORMALITY = re.compile(r"\b(?:(normal|healthy|unremarkable)|abnormal\w*|anything wrong)\b")
_HOW = re.compile(
    r"\bhow (?:\w+ )?(?:large|small|big|severe|mild|marked|extensive|much|wide)\b", re.IGNORECASE
)
"""Asks for a degree, and tells none."""
_ASSERTED = (LabelValue.POSITIVE, LabelValue.UNCERTAIN)


@dataclass(frozen=True)
class Asked:
    """One question of a set, its answer, and the type that the writer gave it."""

    type: str
    question: str
    answer: str


def check_asked(asked: Asked, report: str, view: View | None) -> Problem | None:
    """One question of a set.

    Args:
        report: the text that the questions were written from.
        view: of the film that is shown, None where it is not known.
    """
    told, topics = read_statements(report), _topics(asked.question)
    words = _words_of_question(asked.question, topics)
    names_finding = bool(topics) or bool(UNKNOWN_TO_RULE14.search(asked.question))
    return (
        _form_problem(asked)
        or _type_problem(asked, words, names_finding)
        or _content_problem(asked, report, view, told, topics, words)
    )


def _form_problem(asked: Asked) -> Problem | None:
    for name, text in (("question", asked.question), ("answer", asked.answer)):
        if not text.strip():
            return Problem("empty", f"found no {name}")
        if len(text.split()) > LONGEST_WORDS:
            return Problem(
                "length", f"{name}: found {len(text.split())} words; expected {LONGEST_WORDS}"
            )
    both = f"{asked.question} {asked.answer}"
    if _NAMES_REPORT.search(both):
        return Problem("report-named", "found words of a report; expected the film's alone")
    return no_comparison(both)


def _type_problem(asked: Asked, words: Words, names_finding: bool) -> Problem | None:
    types = types_of(asked.question, words, names_finding=names_finding)
    if asked.type in types:
        return None
    return Problem(
        "type-wrong", f"found type {asked.type}; expected {' or '.join(sorted(types)) or 'another'}"
    )


def _topics(question: str) -> list[Statement]:
    """The statements that a question makes of its findings."""
    said = read_statements(_HOW.sub("how", question))
    return [item for item in said.statements if item.observation != NO_FINDING]


def _words_of_question(question: str, topics: list[Statement]) -> Words:
    """Words of place and degree that narrow the question; what it offers as a choice does not."""
    plain = _HOW.sub("how", question.lower())
    words = words_in(plain, topics[0].observation if topics else "")
    if " or " not in question.lower():
        return words
    offered = {
        item.name: frozenset[str]() for item in fields(Words) if len(getattr(words, item.name)) > 1
    }
    return replace(words, **offered)


def _content_problem(
    asked: Asked, report: str, view: View | None, told: Said, topics: list[Statement], words: Words
) -> Problem | None:
    """What is asked, told by the report, against the answer."""
    if asked.type == "view":
        return _view_problem(asked, view)
    observations = {item.observation for item in topics}
    if observations and outside_of(asked.question).keys() - outside_of(report).keys():
        return Problem("not-answerable", "the question names a finding that the report does not")
    if len(observations) > 1:
        return Problem("question-unclear", f"found {len(observations)} observations; expected one")
    topic = next(iter(observations), None)
    rest = _LEADING.sub("", asked.answer) if is_closed(asked.question) else asked.answer
    if is_closed(asked.question):
        value = _asked_value(asked.question, report, told, topics, words)
        problem = _yes_or_no_problem(asked.answer, value, topics)
    elif asked.type == "presence":
        problem = _named_problem(rest, told, words)
    elif topic is None:
        return Problem("question-unclear", "found no observation in the question; expected one")
    else:
        problem = _detail_problem(asked.type, rest, told, topic, words)
    return problem or added_problem(rest, report, topic, asked.question)


def _asked_value(
    question: str, report: str, told: Said, topics: list[Statement], words: Words
) -> LabelValue:
    """What the report says of that which a closed question asks for."""
    if topics:
        return _value_with(told, topics[0].observation, words)
    outside = outside_of(report)
    found = UNKNOWN_TO_RULE14.search(question)
    if found:
        return outside.get(found.group().lower(), LabelValue.UNMENTIONED)
    normality = _NORMALITY.search(question.lower())
    is_normal = told.value_of(NO_FINDING) is LabelValue.POSITIVE
    unsure = is_normal and LabelValue.POSITIVE in outside.values()
    if normality is None or not told.labels or unsure:
        return LabelValue.UNMENTIONED
    agrees = is_normal is (normality.group(1) is not None)
    return LabelValue.POSITIVE if agrees else LabelValue.NEGATIVE


def _value_with(told: Said, observation: str, words: Words) -> LabelValue:
    """An observation's value with these words of place and degree; unmentioned where the report
    does not tell."""
    value = told.value_of(observation)
    if not words or value not in _ASSERTED:
        return value
    asserted = told.asserted(observation)
    matching = [item for item in asserted if item.is_clear and words.within(item.words)]
    if matching:
        return min((item.value for item in matching), key=_ASSERTED.index)
    if asserted and all(are_apart(words, item) for item in asserted):
        return LabelValue.NEGATIVE
    return LabelValue.UNMENTIONED


def _yes_or_no_problem(answer: str, value: LabelValue, topics: list[Statement]) -> Problem | None:
    """A closed question's answer against the report's value."""
    if value is LabelValue.UNMENTIONED:
        return Problem("not-answerable", "the report does not tell what is asked")
    said = polarity(answer)
    if said is None:
        return Problem("answer-unclear", "found neither yes nor no nor doubt")
    asked = topics[0].value if topics else LabelValue.POSITIVE
    expected = {"positive": "yes", "negative": "no"}.get(value, "unsure")
    if asked is LabelValue.NEGATIVE:  # "Is the heart size normal?"
        expected = {"yes": "no", "no": "yes"}.get(expected, expected)
    agrees = said == expected or (
        asked is value is LabelValue.UNCERTAIN and said == "yes"  # "Is there possible pneumonia?"
    )
    if agrees:
        return None
    return Problem("answer-wrong", f"found {said}; expected {expected}")


def polarity(answer: str) -> str | None:
    """``yes``, ``no`` or ``unsure``, as an answer begins or doubts; None where it does neither."""
    found = _LEADING.match(answer)
    word = found.group(1).lower() if found else None
    if word != "no" and _DOUBT.search(answer):
        return "unsure"
    return word


def _named_problem(answer: str, told: Said, words: Words) -> Problem | None:
    """What is seen at all, or at a place: nothing asserted is left out."""
    said = read_statements(answer)
    named = {item.observation for item in said.statements if item.value in _ASSERTED}
    expected = {
        item.observation
        for item in told.statements
        if item.value in _ASSERTED and (not words or words.within(item.words))
    }
    implied = {name for name in expected if expected & IMPLIED_BY.get(name, frozenset())}
    lost = expected - implied - named
    if lost:
        return Problem("finding-lost", f"found no {', '.join(sorted(lost))} in the answer")
    if not expected and (words or label_report(answer).get(NO_FINDING) is None):
        return Problem("not-answerable", "the report asserts nothing of what is asked")
    return None


_FIELD_OF = {"size": "sizes", "severity": "severities", "type": "kinds"}


def _detail_problem(kind: str, answer: str, told: Said, topic: str, words: Words) -> Problem | None:
    """Where, how large, how severe or of what kind: the answer has all that the report says."""
    asserted = list(told.asserted(topic))
    if told.value_of(topic) is not LabelValue.POSITIVE:
        detail = f"found a {kind} asked of {topic} {told.value_of(topic)}; expected positive"
        return Problem("not-answerable", detail)
    problem = unlike(words, asserted, topic)
    if words and problem is not None:
        return problem
    matching = [item for item in asserted if words.within(item.words)]
    if not all(item.is_clear for item in matching):
        return Problem("not-answerable", f"the report's words for {topic} may be of another")
    known, given = union(item.words for item in matching), words_in(answer.lower(), topic)
    if kind == "location":
        return _place_problem(given, known, words, topic)
    name = _FIELD_OF[kind]
    expected, found = getattr(known, name), getattr(given, name)
    if not expected:
        return Problem("not-answerable", f"the report tells no {kind} of {topic}")
    if found != expected:
        return Problem(
            REASON_OF[name],
            f"found {', '.join(sorted(found)) or 'none'} for {topic}; "
            f"expected {', '.join(sorted(expected))}",
        )
    return None


def _place_problem(given: Words, known: Words, asked: Words, topic: str) -> Problem | None:
    """All sides, and no region that is not the report's (``unlike`` pairs the two)."""
    if not known.sides and not known.regions:
        return Problem("not-answerable", f"the report tells no place of {topic}")
    if not given.sides and not given.regions:
        return Problem("answer-unclear", "found no place in the answer")
    if given.sides | asked.sides != known.sides:
        return Problem(
            "side-changed",
            f"found {', '.join(sorted(given.sides)) or 'no side'} for {topic}; "
            f"expected {', '.join(sorted(known.sides)) or 'none'}",
        )
    return None


def _view_problem(asked: Asked, view: View | None) -> Problem | None:
    """The film's view, and nothing of its findings."""
    if view in (None, View.UNKNOWN):
        return Problem("not-answerable", "the film's view is not known")
    if read_statements(asked.answer).statements:
        return Problem("text-added", "found an observation in an answer about the view")
    offered, named = views_in(asked.question), views_in(asked.answer)
    said = polarity(asked.answer)
    if said is not None and offered:
        expected = "yes" if view in offered else "no"
        if said != expected:
            return Problem("view-changed", f"found {said}; expected {expected}")
        if not named or view in named:
            return None
    if view not in named or (len(named) > 1 and named != {View.PA, View.AP}):
        shown = ", ".join(sorted(named)) or "none"
        return Problem("view-changed", f"found {shown}; expected {view}")
    return None

"""Synthesized text against the labels and facts it was written from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from evaluation.labeler import label_report
from sources.record import OBSERVATIONS, LabelValue, Study
from tasks.reports.concepts import find_concept
from tasks.reports.facts import Fact, is_normal
from tasks.reports.fidelity import UNKNOWN_TO_RULE14, Problem, no_comparison
from tasks.reports.wording import (
    ENGLISH_DENIAL,
    Sections,
    body,
    numbers_of,
    sentences_of,
    sides_of,
    words_of,
)

NO_FINDING = OBSERVATIONS[-1]
IMPLIED_BY: dict[str, frozenset[str]] = {
    "Lung Opacity": frozenset(
        {"Consolidation", "Pneumonia", "Atelectasis", "Edema", "Lung Lesion", "Pleural Other"}
    ),
    "Enlarged Cardiomediastinum": frozenset({"Cardiomegaly"}),
    "Cardiomegaly": frozenset({"Edema"}),
}
"""An observation that a text may state because it states a more special one (CheXpert's
hierarchy; heart failure is read as edema and a doubtful heart)."""

LONGEST_WORDS = 400
"""No radiograph's findings and impression are longer (our choice; MIMIC-CXR's are under 300)."""


def check_synthesized(study: Study, facts: tuple[Fact, ...], sections: Sections) -> Problem | None:
    """Synthesized findings and impression against the study's labels and facts."""
    text = body(sections)
    if not text:
        return Problem("empty", "found neither findings nor impression")
    if len(text.split()) > LONGEST_WORDS:
        return Problem("length", f"found {len(text.split())} words; expected {LONGEST_WORDS}")
    findings, impression = sections.get("findings", ""), sections.get("impression", "")
    return (
        _labels_problem(study, facts, findings)
        or _labels_problem(study, facts, impression, may_leave_out=True)
        or _names_problem(facts, text)
        or _denied_problem(facts, findings)
        or _denied_problem(facts, impression)
        or _facts_sides_problem(facts, text)
        or _unasked_problem(facts, text)
        or no_comparison(text)
    )


def _labels_problem(
    study: Study, facts: tuple[Fact, ...], text: str, may_leave_out: bool = False
) -> Problem | None:
    """rule14's labels of the text against the study's; an impression may leave some out."""
    wanted = {label.observation: {label.value} for label in study.labels}
    for fact in facts:
        concept = find_concept(fact.name)
        if concept is not None and concept.observation in wanted:
            wanted[concept.observation].add(fact.value)
        for observation, value in label_report(fact.name).items():
            if fact.value is LabelValue.POSITIVE:  # a breast mass reads as a Lung Lesion
                wanted.setdefault(observation, {LabelValue.UNMENTIONED}).add(value)
    found = label_report(text)
    for observation in OBSERVATIONS[:-1]:
        value = found.get(observation, LabelValue.UNMENTIONED)
        reason = _label_reason(observation, value, wanted)
        if reason is not None and not (may_leave_out and reason == "label-lost"):
            expected = " or ".join(sorted(wanted.get(observation, {LabelValue.UNMENTIONED})))
            return Problem(reason, f"found {observation} {value}; expected {expected}")
    normal = wanted.get(NO_FINDING) == {LabelValue.POSITIVE}
    others = any(
        fact.value is not LabelValue.NEGATIVE and not is_normal(fact.name) for fact in facts
    )
    if normal and not others and not may_leave_out and NO_FINDING not in found:
        return Problem("label-lost", f"found {NO_FINDING} unmentioned; expected positive")
    return None


def _label_reason(
    observation: str, value: LabelValue, wanted: Mapping[str, set[LabelValue]]
) -> str | None:
    """None where the text's value fits; unmentioned and negative fit each other."""
    expected = wanted.get(observation, {LabelValue.UNMENTIONED})
    asserted = (LabelValue.POSITIVE, LabelValue.UNCERTAIN)
    if value in asserted:
        if value in expected:
            return None
        if expected & set(asserted):
            return "label-certainty"
        implied = LabelValue.NEGATIVE not in expected and any(
            wanted.get(name, set()) & set(asserted) for name in IMPLIED_BY.get(observation, ())
        )
        return None if implied else "label-added"
    return None if expected - set(asserted) else "label-lost"


def _names_problem(facts: Iterable[Fact], text: str) -> Problem | None:
    """Every present or possible fact without a CheXpert counterpart is named."""
    stems = {word[:5] for word in words_of(text)}
    for fact in facts:
        concept = find_concept(fact.name)
        without = concept is None or concept.observation is None
        if without and fact.value is not LabelValue.NEGATIVE and not is_normal(fact.name):
            nouns = (fact.name, *(concept.nouns if concept else ()))
            if not any(_content_stems(noun) & stems for noun in nouns):
                return Problem("name-lost", f"found no word of the label '{fact.name}'")
    return None


_CLAUSE_END = re.compile(r"[.,;]|\b(?:but|although|while)\b|(?=\b(?:with(?:out)?|and no)\b)")
_OPEN = re.compile(r"\b(?:exclu\w+|rule[ds]? out|ruling out)\b")


def _denied_problem(facts: Iterable[Fact], section: str) -> Problem | None:
    """No present or possible fact without a CheXpert counterpart is only denied in a section."""
    clauses = [part.lower() for part in _CLAUSE_END.split(section)]
    for fact in facts:
        concept = find_concept(fact.name)
        if concept is None or concept.observation or fact.value is LabelValue.NEGATIVE:
            continue
        stems = set().union(*(_content_stems(noun) for noun in (fact.name, *concept.nouns)))
        naming = [part for part in clauses if stems & {word[:5] for word in words_of(part)}]
        denied = [ENGLISH_DENIAL.search(part) and not _OPEN.search(part) for part in naming]
        if denied and all(denied):
            return Problem("negation-changed", f"found a denial of the label '{fact.name}'")
    return None


_PLAIN = frozenset(
    """
    the of another a an lung other signs pulmonary enlargement enlarged area increased from left
    right sided
    """.split()  # noqa: SIM905
)


def _content_stems(noun: str) -> set[str]:
    """Stems of a label's words without the ones that any report has."""
    return {word[:5] for word in words_of(noun) if word not in _PLAIN} or {
        word[:5] for word in words_of(noun)
    }


def _facts_sides_problem(facts: Iterable[Fact], text: str) -> Problem | None:
    """No side that no fact has; a fact of one side is not told of the other alone."""
    present = [fact for fact in facts if fact.value is not LabelValue.NEGATIVE]
    known = {side for fact in present for side in fact.place.sides}
    known |= {side for fact in present for side in sides_of(fact.name)}
    extra = sides_of(text) - known
    if extra:
        return Problem("side-changed", f"found {', '.join(sorted(extra))}; expected no such side")
    for fact in present:
        concept = find_concept(fact.name)
        if concept is None or concept.placed == "none" or not fact.place.sides:
            continue
        stems = set().union(*(_content_stems(noun) for noun in (fact.name, *concept.nouns)))
        for sentence in sentences_of(text):
            said = sides_of(sentence)
            named = stems & {word[:5] for word in words_of(sentence)}
            if (
                named
                and said
                and said != set(fact.place.sides)
                and not _shared(present, fact, sentence)
            ):
                expected = ", ".join(fact.place.sides)
                return Problem(
                    "side-changed",
                    f"found {', '.join(sorted(said))} for {fact.name}; expected {expected}",
                )
    return None


def _shared(facts: Iterable[Fact], fact: Fact, sentence: str) -> bool:
    """Whether the sentence speaks of another fact too, whose side it may be."""
    stems = {word[:5] for word in words_of(sentence)}
    for other in facts:
        concept = find_concept(other.name)
        nouns = (other.name, *(concept.nouns if concept else ()))
        if other is not fact and any(_content_stems(noun) & stems for noun in nouns):
            return True
    return False


NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=2
    )
}
_ABSENT = re.compile(rf"{ENGLISH_DENIAL.pattern}|\b(?:normal|unremarkable)\b", re.IGNORECASE)


def _unasked_problem(facts: Iterable[Fact], text: str) -> Problem | None:
    """No number and no finding outside the 14 observations that no fact has."""
    facts = tuple(facts)
    counts = {fact.count for fact in facts if fact.count}
    known = []
    for fact in facts:
        concept = find_concept(fact.name)
        known += [fact.name, fact.place.region or "", *(concept.nouns if concept else ())]
    asked = " ".join(known).lower()
    numbers = {number for number in numbers_of(text) if number not in numbers_of(asked)}
    words = {word for word in words_of(text) if word in NUMBER_WORDS and word not in asked}
    told = {int(number) if number.isdecimal() else -1 for number in numbers}
    if not told | {NUMBER_WORDS[word] for word in words} <= counts:
        return Problem("number-changed", "found a number that no fact has")
    for sentence in sentences_of(text):
        extra = {found.lower() for found in UNKNOWN_TO_RULE14.findall(sentence)}
        if not _ABSENT.search(sentence) and any(stem not in asked for stem in extra):
            return Problem("text-added", "found a finding that no fact names")
    return None

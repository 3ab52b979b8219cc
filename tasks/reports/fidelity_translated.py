"""An English translation against its source: sections, sides, denials, doubts, numbers, findings,
language."""

from __future__ import annotations

import re
from collections import Counter

from tasks.reports.comparison import comparison_words
from tasks.reports.fidelity import Problem
from tasks.reports.fidelity_languages import (
    ADDED_FROM,
    ENGLISH_DOUBT,
    ENGLISH_OPEN_DOUBT,
    FINDINGS,
    TONGUES,
    Tongue,
)
from tasks.reports.wording import (
    ENGLISH_DENIAL,
    Sections,
    fold,
    number_words_of,
    numbers_of,
    sentences_of,
    words_of,
)

LENGTH_RATIO = (0.4, 2.5)
"""Words of a translation per word of its source (our choice: articles come and go)."""
FOREIGN_SHARE = 0.1
"""Share of foreign words in a translation that is refused (our choice: a name or two may stay)."""
_LEFT = re.compile(r"^\w+(?:os|[^aeiou]o|ad[ao]s?|i[cv]as?|os[ao]s?|illas?|eo)$")
"""Endings that English words hardly have: such a word of the source was left as it was."""
_ENGLISH_TOO = frozenset({"gas", "pancreas", "psoas", "radio"})
_SOFT_DENIAL = re.compile(
    r"\b(?:normal(?:ly)?|clear|unremarkable|negative|unlikely|preserved|sharp|unchanged"
    r"|stable|non|ruled out|excluded?|lack\w*|rule out)\b"
)


def check_translated(source: Sections, answer: Sections, language: str) -> Problem | None:
    """An English translation against its source (ISO 639-1 ``language``), section by section.

    Raises:
        KeyError: there are no checks for that language.
    """
    tongue = TONGUES[language]
    if set(source) != set(answer):
        return Problem("section-changed", f"found {_names(answer)}; expected {_names(source)}")
    for name, text in source.items():
        problem = _translation_problem(text, answer[name], tongue)
        if problem is not None:
            return Problem(problem.reason, f"{name}: {problem.detail}")
    return None


def _names(sections: Sections) -> str:
    return ", ".join(sorted(sections)) or "nothing"


def _translation_problem(source: str, english: str, tongue: Tongue) -> Problem | None:
    words = words_of(english)
    ratio = len(words) / max(1, len(words_of(source)))
    if len(words) > 8 and not LENGTH_RATIO[0] <= ratio <= LENGTH_RATIO[1]:
        return Problem("length", f"found {ratio:.1f} words for one of the source")
    left = {fold(word) for word in words_of(source) if _LEFT.search(fold(word))} - _ENGLISH_TOO
    foreign = sum(fold(word) in tongue.words | left for word in words)
    if foreign > FOREIGN_SHARE * len(words):
        return Problem("language", f"found {foreign} of {len(words)} words {tongue.name}")
    if _digits(source) != _digits(english) and not _same_numbers(source, english, tongue):
        return Problem("number-changed", "found other numbers than the source has")
    sides = _side_counts(source, tongue)
    said = _english_side_counts(english, source)
    if sides != said:
        return Problem("side-changed", f"found {_count(said)}; expected {_count(sides)}")
    return _sentences_problem(source, english, tongue)


def _same_numbers(source: str, english: str, tongue: Tongue) -> bool:
    """Whether numbers in digits are the same but for those that the other side writes as words."""
    told, said = numbers_of(source), numbers_of(english)
    only_said, only_told = (said - told).keys(), (told - said).keys()
    return only_said <= _told_words(source, tongue) and only_told <= number_words_of(english)


def _told_words(text: str, tongue: Tongue) -> set[str]:
    """Numbers that a source writes as words; ``dos`` is Portuguese for *of the*."""
    return number_words_of(text, ignored="dos" if tongue.name == "Portuguese" else "")


def _digits(text: str) -> list[str]:
    """Runs of digits in order: stems have lost the comma of ``3,5``."""
    return re.findall(r"\d+", text)


_LETTER = re.compile(r"(?<=[a-zà-ú] )([DE])(?=[ ,.;)]|$)")
"""A side as one capital behind its place: ``base D``, ``hemitórax E``."""


def _side_counts(text: str, tongue: Tongue) -> Counter[str]:
    found = tongue.sides.findall(fold(text))
    sides = Counter("left" if left else "right" for left, _ in found)
    if tongue.name == "Portuguese":
        sides.update("left" if letter == "E" else "right" for letter in _LETTER.findall(text))
    return sides


def _english_side_counts(english: str, source: str) -> Counter[str]:
    """Sides named; the middle lobe is the right one's whether the source says so or not."""
    told = fold(source)
    if _MIDDLE_LOBE.search(told):
        english = re.sub(r"(?i)\bright middle lobe\b", "middle lobe", english)
        english += " right" * len(_RIGHT_MIDDLE_LOBE.findall(told))
    return Counter(match.lower() for match in re.findall(r"(?i)\b(left|right)\b", english))


_MIDDLE_LOBE = re.compile(r"\b(?:lob(?:ul)?o?s? medi[oa]?|lm)\b")
_RIGHT_MIDDLE_LOBE = re.compile(r"\blob(?:ul)?o?s? medi[oa]? (?:derech|direit)\w*")


def _count(sides: Counter[str]) -> str:
    return f"left {sides['left']} times, right {sides['right']} times"


def _sentences_problem(source: str, english: str, tongue: Tongue) -> Problem | None:
    """Sentence by sentence: what one says is in the other, and no comparison is new."""
    told = [fold(part) for part in sentences_of(source)]
    said = [part.lower() for part in sentences_of(english)]
    if len(told) != len(said):
        return Problem("section-changed", f"found {len(said)} sentences; expected {len(told)}")
    for index, (foreign, spoken) in enumerate(zip(told, said, strict=True), start=1):
        problem = (
            _denial_problem(foreign, spoken, tongue)
            or _doubt_problem(foreign, spoken, tongue)
            or _number_words_problem(foreign, spoken, tongue)
            or _findings_problem(foreign, spoken)
        )
        if problem is None and comparison_words(spoken) and not tongue.comparison.search(foreign):
            problem = Problem("text-added", "found a comparison")
        if problem is not None:
            return Problem(problem.reason, f"{problem.detail} in sentence {index}")
    return None


_GOOD_DENIED = re.compile(
    r"\b(?:not|no longer) (?:\w+ )?(?:clear|normal|free|intact|preserved|unremarkable)\b"
)
_ABNORMAL = re.compile(r"\b(?:abnormal\w*|widen(?:ed|ing)|enlarged)\b")
_FOREIGN_ABNORMAL = re.compile(
    r"\b(?:anorm|anomal|alter|patolog|afect|afet|lesion|lesa|lesoe"
    r"|aument|ensanch|engros|alarg|ampl|dilat|agrand|crec|incre|mayor|maior|prominen|hipertrof|magn"
    r"|elong|alonga|volumos)|megal|\bno (?:\w+ )?norm"
)
_NOT = re.compile(r"\b(?:no|nao|sin|sem|ni|nem)\b")


def _denial_problem(foreign: str, spoken: str, tongue: Tongue) -> Problem | None:
    denied = bool(tongue.denial.search(foreign))
    denies = bool(ENGLISH_DENIAL.search(spoken))
    if _ABNORMAL.search(spoken) and not denies and not _FOREIGN_ABNORMAL.search(foreign):
        return Problem("negation-changed", "found abnormal")
    if _GOOD_DENIED.search(spoken) and not _NOT.search(foreign):
        return Problem("negation-changed", "found a denial")
    if denied and not denies and not _SOFT_DENIAL.search(spoken):
        return Problem("negation-changed", "found no denial")
    return Problem("negation-changed", "found a denial") if denies and not denied else None


def _doubt_problem(foreign: str, spoken: str, tongue: Tongue) -> Problem | None:
    doubted = bool(tongue.doubt.search(foreign))
    if doubted and not ENGLISH_DOUBT.search(spoken):
        return Problem("certainty-changed", "found no doubt")
    if not doubted and ENGLISH_OPEN_DOUBT.search(spoken):
        return Problem("certainty-changed", "found a doubt")
    return None


def _number_words_problem(foreign: str, spoken: str, tongue: Tongue) -> Problem | None:
    """A number written as a word is the same one; where one side writes none, none has changed."""
    told, said = _told_words(foreign, tongue), number_words_of(spoken)
    if said - told - set(_digits(foreign)) and told - said - set(_digits(spoken)):
        return Problem("number-changed", "found another number than the source has")
    return None


def _findings_problem(foreign: str, spoken: str) -> Problem | None:
    """Findings by their stems: each named in one is named in the other."""
    for name, told, said in FINDINGS:
        if told.search(foreign) and not said.search(spoken):
            return Problem("finding-lost", f"found no {name}")
        plainly, may_be = ADDED_FROM[name]
        if plainly.search(spoken) and not may_be.search(foreign):
            return Problem("text-added", f"found {name}")
    return None

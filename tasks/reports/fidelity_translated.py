"""An English translation against its source: sections, sides, denials, numbers, language."""

from __future__ import annotations

import re
from collections import Counter

from tasks.reports.comparison import comparison_words
from tasks.reports.fidelity import Problem
from tasks.reports.wording import ENGLISH_DENIAL, Sections, numbers_of, sentences_of, words_of

LENGTH_RATIO = (0.4, 2.5)
"""Words of a translation per word of its source (our choice: articles come and go)."""


_SPANISH_SIDES = re.compile(r"\b(izq\w*|izd[oa]s?|l[si]i)\b|\b(derech\w*|d(?:e?r)?ch\w*|l[si]d)\b")
"""Words, abbreviations, and lobes by their letters (``LSD``: lóbulo superior derecho)."""
_SPANISH_COMPARISON = re.compile(
    r"\b(?:previ|compar|respect|persist|nuev|res(?:uel|olu)|mejor|empeor|evoluc|estab(?!lec)"
    r"|disminu|aument(?!\w* (?:de|del) (?:taman|tamañ|dens|calibr|volum|trama))|progres|continu"
    r"|desaparec|anterior|antigu|recient|control|actual"
    r"|cambi(?!\w* (?:\w+ )?(?:degen|post|fibr|cron|artr)))"
)
"""Stems of change and comparison. A size, density or calibre may be increased and a change be
degenerative, chronic or left by surgery in one image."""
_SPANISH_DENIAL = re.compile(
    r"\b(?:no|sin|ni|ausen\w*|niega|nunca|tampoco|descart\w*|libr\w*|negativ\w*|inexist\w*)\b"
)
_SOFT_DENIAL = re.compile(
    r"\b(?:normal(?:ly)?|clear|unremarkable|negative|unlikely|preserved|non|ruled out|excluded?"
    r"|lack\w*|rule out)\b"
)
_SPANISH_WORDS = frozenset(
    """
    el la los las del con sin en por para que se una uno derecho derecha izquierdo izquierda
    derrame pulmon pulmonar hallazgos torax estudio cambios derech izquierd derram
    """.split()  # noqa: SIM905
)
SPANISH_SHARE = 0.1
"""Share of Spanish words in a translation that is refused (our choice: a name or two may stay)."""


def check_translated(source: Sections, answer: Sections) -> Problem | None:
    """An English translation against its source, section by section."""
    if set(source) != set(answer):
        return Problem("section-changed", f"found {_names(answer)}; expected {_names(source)}")
    for name, text in source.items():
        problem = _translation_problem(text, answer[name])
        if problem is not None:
            return Problem(problem.reason, f"{name}: {problem.detail}")
    return None


def _names(sections: Sections) -> str:
    return ", ".join(sorted(sections)) or "nothing"


def _translation_problem(source: str, english: str) -> Problem | None:
    words = words_of(english)
    ratio = len(words) / max(1, len(words_of(source)))
    if len(words) > 8 and not LENGTH_RATIO[0] <= ratio <= LENGTH_RATIO[1]:
        return Problem("length", f"found {ratio:.1f} words for one of the source")
    foreign = sum(word in _SPANISH_WORDS for word in words)
    if foreign > SPANISH_SHARE * len(words):
        return Problem("language", f"found {foreign} of {len(words)} words Spanish")
    if numbers_of(source) != numbers_of(english) and _digits(source) != _digits(english):
        return Problem("number-changed", "found other numbers than the source has")
    sides = _spanish_side_counts(source)
    said = Counter(match.lower() for match in re.findall(r"(?i)\b(left|right)\b", english))
    if sides != said:
        return Problem("side-changed", f"found {_count(said)}; expected {_count(sides)}")
    return _sentences_problem(source, english)


def _digits(text: str) -> list[str]:
    """Runs of digits in order: stems have lost the comma of ``3,5``."""
    return re.findall(r"\d+", text)


def _spanish_side_counts(text: str) -> Counter[str]:
    found = _SPANISH_SIDES.findall(text.lower())
    return Counter("left" if left else "right" for left, _ in found)


def _count(sides: Counter[str]) -> str:
    return f"left {sides['left']} times, right {sides['right']} times"


def _sentences_problem(source: str, english: str) -> Problem | None:
    """Sentence by sentence: a denial in one is a denial in the other, no comparison is new."""
    told = [part.lower() for part in sentences_of(source)]
    said = [part.lower() for part in sentences_of(english)]
    if len(told) != len(said):
        return Problem("section-changed", f"found {len(said)} sentences; expected {len(told)}")
    for index, (spanish, spoken) in enumerate(zip(told, said, strict=True), start=1):
        denied = bool(_SPANISH_DENIAL.search(spanish))
        denies = bool(ENGLISH_DENIAL.search(spoken))
        if denied and not denies and not _SOFT_DENIAL.search(spoken):
            return Problem("negation-changed", f"found no denial in sentence {index}")
        if denies and not denied:
            return Problem("negation-changed", f"found a denial in sentence {index}")
        if comparison_words(spoken) and not _SPANISH_COMPARISON.search(spanish):
            return Problem("text-added", f"found a comparison in sentence {index}")
    return None

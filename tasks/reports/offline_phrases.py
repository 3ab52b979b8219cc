"""How the offline rules word a finding of a report: its noun, and the words that belong to it."""

from __future__ import annotations

import re
from typing import Final

from tasks.reports.statement_words import KINDS
from tasks.reports.statements import Statement, Words, words_in

_NOUNS: Final = {
    "Enlarged Cardiomediastinum": ("a widened mediastinum", ""),
    "Cardiomegaly": ("cardiomegaly", ""),
    "Lung Opacity": ("a lung opacity", "lung opacities"),
    "Lung Lesion": ("a lung lesion", "lung lesions"),
    "Edema": ("pulmonary edema", ""),
    "Consolidation": ("consolidation", ""),
    "Pneumonia": ("pneumonia", ""),
    "Atelectasis": ("atelectasis", ""),
    "Pneumothorax": ("a pneumothorax", "pneumothoraces"),
    "Pleural Effusion": ("a pleural effusion", "pleural effusions"),
    "Pleural Other": ("pleural disease", ""),
    "Fracture": ("a fracture", "fractures"),
    "Support Devices": ("a support device", "support devices"),
}
"""With the article, and the plural where there is one."""
_NOUN_KINDS: Final = {
    "Lung Opacity": ("infiltrate",),
    "Lung Lesion": ("nodule", "mass", "cavity", "metastasis"),
    "Pneumonia": ("bronchopneumonia",),
    "Pneumothorax": ("hydropneumothorax",),
    "Pleural Effusion": ("hydropneumothorax", "hemothorax", "empyema"),
    "Pleural Other": ("thickening", "plaque", "scarring", "calcification"),
    "Support Devices": tuple(KINDS["Support Devices"]),
}
"""Kinds that are nouns of their own; all others describe the observation's noun."""
_UNCOUNTED: Final = frozenset({"thickening", "scarring", "clips", "sternal wires"})
_OF_PLEURA: Final = frozenset({"thickening", "plaque", "scarring", "calcification"})
_PLACE: Final = re.compile(
    r"(?:(?:left|right|both) )?(?:upper|middle|mid|lower) (?:lobes?|lungs?|zones?)"
    r"|(?:left|right|both) (?:lung )?(?:bases?|apex|apices|hil(?:um|a))|(?:left )?lingula"
)


_VOWEL: Final = re.compile(r"[aeiou]|8|1[18]\b", re.IGNORECASE)
"""How a phrase begins that takes ``an``: an 8 mm nodule."""


def noun_of(observation: str, kinds: frozenset[str] = frozenset(), *, plural: bool = False) -> str:
    """The observation with its article, or the one kind of it that is a noun of its own."""
    own = [kind for kind in _NOUN_KINDS.get(observation, ()) if kind in kinds]
    if len(own) == 1 and not plural:
        return with_article(_kind_noun(own[0]))
    single, several = _NOUNS[observation]
    return several if plural and several else single


def _kind_noun(kind: str) -> str:
    return f"pleural {kind}" if kind in _OF_PLEURA else kind


def with_article(phrase: str) -> str:
    """``a`` or ``an`` before a phrase, but for those that take none."""
    uncounted = any(phrase.endswith(word) for word in _UNCOUNTED)
    if uncounted:
        return phrase
    return f"{'an' if _VOWEL.match(phrase) else 'a'} {phrase}"


def bare(noun: str) -> str:
    """The noun without its article."""
    return re.sub(r"^an? ", "", noun)


def degree_of(words: Words) -> str | None:
    """The one size or severity of a finding, as a word before its noun."""
    degrees = words.sizes | words.severities
    return next(iter(degrees)) if len(degrees) == 1 else None


def place_of(statement: Statement) -> str | None:
    """Where the finding is, in the report's own words; None where they are not all of it."""
    for found in _PLACE.finditer(statement.text):
        read = words_in(found.group())
        if (read.sides, read.regions) == (statement.words.sides, statement.words.regions):
            return found.group()
    return None


def side_of(words: Words) -> str:
    """``left``, ``right``, ``bilateral`` or nothing."""
    return "bilateral" if len(words.sides) > 1 else next(iter(words.sides), "")


def kinds_of(observation: str, kinds: frozenset[str]) -> str:
    """All kinds of an observation as one phrase: ``dense consolidation with air bronchograms``."""
    nouns = [kind for kind in _NOUN_KINDS.get(observation, ()) if kind in kinds]
    behind = [kind for kind in KINDS[observation] if kind in kinds and kind.startswith("with ")]
    before = [
        kind for kind in KINDS[observation] if kind in kinds and kind not in (*nouns, *behind)
    ]
    heads = [_kind_noun(kind) for kind in nouns] or [bare(noun_of(observation))]
    first = (
        with_article(" ".join([*before, heads[0]]))
        if _is_counted(observation, nouns)
        else (" ".join([*before, heads[0]]))
    )
    rest = [with_article(head) for head in heads[1:]]
    return " ".join([" and ".join([first, *rest]), *behind])


def _is_counted(observation: str, nouns: list[str]) -> bool:
    return bool(nouns) or _NOUNS[observation][0].startswith(("a ", "an "))


def phrase_of(statement: Statement) -> str:
    """A finding with its degree, side or place: ``a small left pleural effusion``."""
    words, observation = statement.words, statement.observation
    place = place_of(statement) if statement.is_clear else None
    side = "" if place or not statement.is_clear else side_of(words)
    degree = degree_of(words) if statement.is_clear else None
    noun = noun_of(observation, words.kinds, plural=side == "bilateral")
    parts = [part for part in (degree, side) if part]
    phrase = " ".join([*parts, bare(noun)])
    if noun.startswith(("a ", "an ")):
        phrase = with_article(phrase)
    return f"{phrase} in the {place}" if place and " lobes" not in place else phrase

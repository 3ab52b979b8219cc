"""How report text is taken apart for the checks: words, sentences, sides, numbers, sections."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

Sections = Mapping[str, str]
"""A report's sections that hold anything, by name."""

ENGLISH_DENIAL = re.compile(r"\b(?:no|not|without|nor|absence|absent|cannot|never|denies|free)\b")


def body(sections: Sections) -> str:
    """Findings and impression as one text; a full stop parts them where there is none."""
    parts = [sections[name] for name in ("findings", "impression") if name in sections]
    return " ".join(f"{part}." if part[-1:].isalnum() else part for part in parts)


_SIDE = re.compile(r"\b(left|right)\b|\b(bilateral(?:ly)?|both)\b", re.IGNORECASE)


def sides_of(text: str) -> set[str]:
    """The sides that a text names; both for ``bilateral``."""
    found: set[str] = set()
    for match in _SIDE.finditer(text):
        found |= {"left", "right"} if match.group(2) else {match.group(1).lower()}
    return found


def unwrapped(report: str) -> str:
    """Lines that a printer broke, joined; empty lines still part paragraphs."""
    return re.sub(r"(?<=[^\n])\n(?!\s*(?:\n|[A-Z][A-Za-z ]+:))", " ", report)


def fold(text: str) -> str:
    """Lower case without accents, tildes or cedillas, as PadChest writes."""
    parted = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in parted if not unicodedata.combining(letter))


def words_of(text: str) -> list[str]:
    """Words in lower case, without numbers."""
    return re.findall(r"[^\W\d_]+", text.lower())


def numbers_of(text: str) -> Counter[str]:
    """Numbers of a text; list numbers at the start of a line or sentence do not count."""
    listed = re.sub(r"(?:^|(?<=[.\n:] ))\s*\d{1,2}[.)]\s", " ", text)
    return Counter(number.replace(",", ".") for number in re.findall(r"\d+(?:[.,]\d+)*", listed))


_NUMBER_WORDS = (
    r"two|second|dos|dois|duas|segund[oa]s?",
    r"three|third|tres|terc\w+",
    r"four|fourth|cuatro?|quatro|[cq]uart[oa]?s?",
    r"five|fifth|cinco?|quint[oa]?s?",
    r"six|sixth|seis|sext[oa]?s?",
    r"seven|seventh|siete?|sete|septim[oa]?s?|setim[oa]s?",
    r"eight|eighth|ocho?|oito|octav[oa]?s?|oitav[oa]s?",
    r"nine|ninth|nueve|nove|noven[oa]?s?|non[oa]s?",
    r"ten|tenth|diez|dez|decim[oa]?s?",
)
_NUMBER_WORD = re.compile("|".join(rf"\b({words})\b" for words in _NUMBER_WORDS))
"""Counts and ordinals from two to ten, group by group: those of ribs, leads and lesions."""


def number_words_of(text: str, ignored: str = "") -> set[str]:
    """The numerals, as text, of numbers written as words in English, Spanish or Portuguese.

    Args:
        ignored: a word of the text's language that only looks like one (Portuguese ``dos``).
    """
    return {
        str(match.lastindex + 1)
        for match in _NUMBER_WORD.finditer(fold(text))
        if match.lastindex is not None and match.group() != ignored
    }


FULL_STOP = (
    r"(?<!\bizq)(?<!\bizqdo)(?<!\bizqda)(?<!\bdcho)(?<!\bdcha)(?<!\bdch)(?<!\bder)(?<!\baprox)"
    r"(?<!\besq)(?<!\bdir)(?<!\bdto)(?<!\bdta)\.(?![\dºª°])|\.(?=\s+[A-ZÀ-ÖØ-Þ]|\s*$)"
)
"""A point that ends a sentence: not a decimal one, nor behind an abbreviated side."""
_SENTENCE_END = re.compile(rf"{FULL_STOP}|[;?!](?:\s|$)|\n")
_HEADING = re.compile(r"^\s*[A-Z][A-Z /()]{3,}:(?=\s|$)")


def sentences_of(text: str) -> list[str]:
    """Parts between full stops, semicolons and line ends, without the heading before one.

    Decimal points, ordinals (``7.º``) and abbreviations of sides part nothing.
    """
    parts = [_HEADING.sub("", part) for part in _SENTENCE_END.split(text)]
    return [part for part in parts if re.search(r"\w", part)]

"""A dictionary of one language's radiology words by stem, and how a written word finds its entry.

One entry per ``stem=English``; the block gives the part of speech. A word belongs to the longest
stem that begins it, if what remains is an inflection: so ``izquierda``, ``izquierdo`` and the stem
``izquierd`` are one entry. A noun's plural follows a bar where it is irregular or where the word
stands in the plural by habit (``*`` before it). Stems of several words join them by ``_``.

    N noun   L noun of place   A adjective   Q grade or number   S side   R relation or verb
    D denial   X silent (articles, ``is seen``)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from tasks.reports.wording import fold

KINDS = "XRDQSANL"
"""Parts of speech, in the order in which a later block's entry replaces an earlier one's."""


@dataclass(frozen=True)
class Word:
    """One entry as found in a text; ``kind`` is one of KINDS, or ? for a word without an entry."""

    kind: str
    english: str
    plural: str = ""
    often_plural: bool = False
    stem: str = ""


@dataclass(frozen=True, eq=False)
class Lexicon:
    """One language.

    Args:
        language: ISO 639-1 code.
        blocks: entries by part of speech (KINDS); those of X are stems alone.
        endings: what may follow a stem.
        plurals: endings of a stem and what they become in a plural that keeps no stem
            (``lesao``, ``lesoes``).
        spellings: patterns in a sentence as written, and what stands there instead before it is
            looked up.
    """

    language: str
    blocks: Mapping[str, str]
    endings: re.Pattern[str]
    plurals: tuple[tuple[str, str], ...] = ()
    spellings: tuple[tuple[re.Pattern[str], str], ...] = ()


@cache
def entries_of(lexicon: Lexicon) -> dict[str, Word]:
    """Every entry by its folded stem, plurals without the stem included."""
    found: dict[str, Word] = {}
    for kind in KINDS:
        block = lexicon.blocks[kind]
        for entry in block.split() if kind == "X" else re.split(r"\s{2,}|\n", block.strip()):
            written, _, english = entry.partition("=")
            singular, _, plural = english.partition("|")
            stem = fold(written)
            word = Word(kind, singular, plural.lstrip("*"), plural.startswith("*"), stem)
            found[stem] = found[_plural_of(lexicon, stem)] = word
    return found


def _plural_of(lexicon: Lexicon, stem: str) -> str:
    """The stem with each of its words in the plural that keeps no stem, where it has one."""
    words = stem.split("_")
    for end, many in lexicon.plurals:
        words = [
            word.removesuffix(end) + many if len(word) > 3 and word.endswith(end) else word
            for word in words
        ]
    return "_".join(words)


@cache
def _phrases(lexicon: Lexicon) -> dict[str, list[tuple[tuple[str, ...], Word]]]:
    """Stems of several words by their first two letters, the longest first."""
    found: dict[str, list[tuple[tuple[str, ...], Word]]] = {}
    for stem, word in entries_of(lexicon).items():
        parts = tuple(stem.split("_"))
        if len(parts) > 1 and all(parts):
            found.setdefault(parts[0][:2], []).append((parts, word))
    for options in found.values():
        options.sort(key=lambda item: -len(item[0]))
    return found


def find_phrase(lexicon: Lexicon, tokens: tuple[str, ...]) -> tuple[Word, int] | None:
    """The longest phrase that begins these folded tokens, and how many it takes."""
    for stems, word in _phrases(lexicon).get(tokens[0][:2], ()):
        if len(stems) <= len(tokens) and all(
            _is_form(lexicon, token, stem) for token, stem in zip(tokens, stems, strict=False)
        ):
            return word, len(stems)
    return None


@lru_cache(maxsize=1 << 14)
def find_word(lexicon: Lexicon, token: str) -> Word | None:
    """The entry of one folded word."""
    entries = entries_of(lexicon)
    for length in range(len(token), 0, -1):
        word = entries.get(token[:length])
        if word is not None and _is_form(lexicon, token, token[:length]):
            return word
    return None


@lru_cache(maxsize=1 << 16)
def _is_form(lexicon: Lexicon, token: str, stem: str) -> bool:
    """Whether a word is the stem with an inflection; stems under three letters stand alone."""
    if token == stem:
        return True
    if len(stem) < 3 or not token.startswith(stem):
        return False
    return bool(lexicon.endings.fullmatch(token[len(stem) :]))

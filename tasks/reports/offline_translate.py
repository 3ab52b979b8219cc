"""Spanish radiology reports → English, by dictionary and grammar.

Words are looked up by stem, so whole words and PadChest's stems are read alike. Noun phrases are
turned round (``derrame pleural izquierdo`` → ``left pleural effusion``), denials and relations
keep their order, numbers and unknown words stay as they are. One sentence in, one sentence out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sources.record import SECTIONS
from tasks.reports.offline_spanish import Word, find_phrase, find_word, fold

_TOKEN = re.compile(r"\d+(?:\.?[ºª°]| o(?= arc))|\d+(?:[.,]\d+)*|\w+(?:-\w+)*|[^\w\s]")
_SENTENCE_END = re.compile(r"\.(?![\dºª°])|;|\n")
DOUBTS = frozenset({"possible", "probable", "questionable"})
"""Adjectives that stand before their noun, and so begin a new one after a noun."""
AFTER_A_NOUN = {
    "lung": "pulmonary",
    "mediastinum": "mediastinal",
    "hilum": "hilar",
    "heart": "cardiac",
    "diaphragm": "diaphragmatic",
    "pleura": "pleural",
    "aorta": "aortic",
    "vertebra": "vertebral",
    "base": "basal",
    "apex": "apical",
    "rib": "rib",
    "segment": "segmental",
    "calcification": "calcified",
    "elongation": "elongated",
    "elevation": "elevated",
    "cavitation": "cavitary",
    "thickening": "thickened",
    "deviation": "deviated",
    "nodule": "nodular",
}
"""What a noun of place or change says right after another noun: stems do not tell them from
adjectives."""


def translate(payload: dict[str, Any]) -> dict[str, str | None]:
    """The answer to a translation question."""
    sections: dict[str, str] = payload["sections"]
    return {name: translate_text(sections.get(name) or "") for name in SECTIONS}


def translate_text(text: str) -> str | None:
    """All sentences of a text in English; None where it holds none."""
    sentences = [_translate_sentence(part) for part in _SENTENCE_END.split(text)]
    return " ".join(sentence for sentence in sentences if sentence) or None


@dataclass
class _Phrase:
    """A noun phrase in the making; ``others`` are adjectives in the Spanish order."""

    grades: list[str] = field(default_factory=list)
    sides: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    noun: Word | None = None
    plural: bool = False

    def __bool__(self) -> bool:
        return bool(self.noun or self.grades or self.sides or self.others)

    def add(self, token: str, word: Word) -> None:
        if word.kind in "NL":
            self.noun, self.plural = word, token.endswith("s") and token != word.stem
        else:
            {"Q": self.grades, "S": self.sides, "A": self.others}[word.kind].append(word.english)

    def english(self, after: str) -> str:
        """Grades, sides, other adjectives in reverse, noun: as English has them."""
        noun = ""
        if self.noun is not None:
            one_sided = self.sides in (["left"], ["right"]) and self.noun.kind == "L"
            by_habit = self.noun.often_plural and not one_sided
            many = self.plural or by_habit or "both" in self.grades
            noun = _plural(self.noun) if many else self.noun.english
        others = (
            " ".join(reversed(self.others)) if "and" not in self.others else " ".join(self.others)
        )
        text = " ".join(part for part in (*self.grades, *self.sides, others, noun) if part)
        is_place = self.noun is not None and self.noun.kind == "L" and not self.grades
        return f"the {text}" if is_place and after not in ("", "no", "or", "and") else text


def _plural(noun: Word) -> str:
    if noun.plural:
        return noun.plural
    if noun.english.endswith(("s", "x", "a", "ing", "air")):
        return noun.english
    return f"{noun.english[:-1]}ies" if noun.english.endswith("y") else f"{noun.english}s"


def _translate_sentence(sentence: str) -> str:
    out: list[str] = []
    phrase = _Phrase()
    words = list(_look_up(_TOKEN.findall(sentence)))
    for index, (token, found) in enumerate(words):
        word = _as_adjective(found) if phrase.noun else found
        coming = _coming(words[index + 1 :], word.english == "and" and bool(phrase.noun))
        if word.kind in "NLAQS":
            doubt = word.english in DOUBTS
            if phrase.noun is not None and (word.kind in "NL" or doubt):
                out.append(phrase.english(out[-1] if out else "") + ("," if doubt else ""))
                phrase = _Phrase()
            phrase.add(token, word)
        elif word.english == "and" and phrase.noun and phrase.others and coming == "A":
            phrase.others.append("and")
        else:
            if phrase:
                out.append(phrase.english(out[-1] if out else ""))
                phrase = _Phrase()
            out.append(_particle(word, out, coming))
    if phrase:
        out.append(phrase.english(out[-1] if out else ""))
    return _finish(out)


def _coming(words: Sequence[tuple[str, Word]], after_noun: bool) -> str:
    """The kind of the next word, if any."""
    if not words:
        return ""
    return (_as_adjective(words[0][1]) if after_noun else words[0][1]).kind


def _look_up(tokens: Sequence[str]) -> Iterator[tuple[str, Word]]:
    """Tokens with their entries; articles and the like are left out."""
    folded = tuple(fold(token) for token in tokens)
    index = 0
    while index < len(tokens):
        taken = 1
        if not folded[index][:1].isalpha():
            word = _number_or_sign(tokens[index])
        elif (phrase := find_phrase(folded[index:])) is not None:
            word, taken = phrase
        else:
            word = find_word(folded[index]) or Word("?", tokens[index])
        if word.kind != "X":
            yield folded[index + taken - 1], word
        index += taken


def _number_or_sign(token: str) -> Word:
    """Ordinals count a noun; a decimal comma becomes a point."""
    if not token[0].isdigit():
        return Word("P", token)
    if not token[-1].isdecimal():  # stems have "7 o arc" for "7.º arco"
        number = token.rstrip("ºª°. o")
        teen = number[-2:-1] == "1"
        return Word("Q", number + ("th" if teen else _ORDINAL.get(number[-1], "th")))
    return Word("?", re.sub(r"^(\d+),(\d+)$", r"\1.\2", token))


_ORDINAL = {"1": "st", "2": "nd", "3": "rd"}


def _as_adjective(word: Word) -> Word:
    english = AFTER_A_NOUN.get(word.english) if word.kind in "NL" else None
    return word if english is None else Word("A", english)


def _particle(word: Word, out: list[str], coming: str) -> str:
    """A relation, denial, number or unknown word in its place."""
    begun = bool(out) and out[-1] not in (",", ":", "and", "but")
    if word.kind == "D" and word.english == "no":
        if coming in ("A", "R"):
            return "not"
        return "without" if begun else "no"
    if word.english == "is" and out and out[-1] in ("in", "of", "on", "at", "with"):
        return "this"  # "esta" is also a demonstrative
    return word.english


def _finish(out: list[str]) -> str:
    text = re.sub(r"\s+([,:;?!)])", r"\1", " ".join(part for part in out if part))
    text = re.sub(r"([(])\s+", r"\1", text).strip(" ,:")
    if not any(character.isalnum() for character in text):
        return ""
    return f"{text[0].upper()}{text[1:]}."

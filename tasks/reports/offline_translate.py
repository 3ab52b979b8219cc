"""Spanish and Portuguese radiology reports → English, by dictionary and grammar.

Words are looked up by stem, so whole words and PadChest's stems are read alike. Noun phrases are
turned round (``derrame pleural izquierdo`` → ``left pleural effusion``), denials and relations
keep their order, numbers and unknown words stay as they are. One sentence in, one sentence out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sources.language import detect_language
from sources.record import SECTIONS
from tasks.reports.offline_lexicon import Lexicon, Word, find_phrase, find_word
from tasks.reports.offline_portuguese import PORTUGUESE
from tasks.reports.offline_spanish import SPANISH
from tasks.reports.wording import FULL_STOP, fold

_TOKEN = re.compile(r"\d+(?:\.?[ºª°]| o(?= arc))|\d+(?:[.,/]\d+)*|\w+(?:-\w+)*|[^\w\s]")
_SENTENCE_END = re.compile(rf"{FULL_STOP}|;|\n")
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
    "suspicion": "suspicious",
    "increase": "increased",
    "widening": "widened",
}
"""What a noun of place or change says right after another noun: stems do not tell them from
adjectives."""

_ENLARGE = frozenset(
    {"heart", "hilum", "mediastinum", "aorta", "cardiac silhouette", "cardiomediastinal silhouette"}
)
"""What is enlarged in English where it is increased in Spanish and Portuguese."""
SAID_OF = {
    **{(noun, "increased"): "enlarged" for noun in _ENLARGE},
    ("silhouette", "increased"): "enlarged",
    ("markings", "marked"): "accentuated",
    ("study", "anterior"): "previous",
    ("radiograph", "anterior"): "previous",
    ("follow-up", "anterior"): "previous",
}
"""Adjectives by noun and their usual English, where another is used of that noun."""
ONE_OF_MANY = frozenset({"rib", "vertebra", "vertebral body", "vessel", "bowel loop"})
"""Places of which there are several: ``of a left rib``, but ``of the 5th left rib``."""
EARLIER_STUDIES = frozenset({"study", "radiograph", "follow-up"})
_TO_A_STUDY = ("to", "of", "with", "from", "since", "compared to")
STATES = frozenset({"normal", "preserved", "clear", "regular", "adequate", "usual"})
"""Adjectives that belong to both of two nouns in the plural; ``pleural`` does not."""
MOVED = {
    "deviated": ("to", "toward"),
    "displaced": ("to", "toward"),
    "projecting": ("over", "in", "on", "to"),
    "limited": ("by", "to"),
}
"""Participles that stand behind the noun when one of these words follows."""

LEXICONS = {lexicon.language: lexicon for lexicon in (SPANISH, PORTUGUESE)}


def translate(payload: dict[str, Any]) -> dict[str, str | None]:
    """The answer to a translation question.

    A question that names no language is answered in that of its words; where they do not tell, in
    Spanish, the only one of which one asks in stems.

    Raises:
        KeyError: the question's language has no dictionary.
    """
    sections: dict[str, str] = payload["sections"]
    language = payload.get("language") or detect_language(" ".join(filter(None, sections.values())))
    lexicon = LEXICONS[language or SPANISH.language]
    return {name: translate_text(sections.get(name) or "", lexicon) for name in SECTIONS}


def translate_text(text: str, lexicon: Lexicon) -> str | None:
    """All sentences of a text in English; None where it holds none."""
    sentences = [_translate_sentence(part, lexicon) for part in _SENTENCE_END.split(text)]
    return " ".join(sentence for sentence in sentences if sentence) or None


@dataclass
class _Phrase:
    """A noun phrase in the making; ``others`` are adjectives in the order written, ``joined`` a
    noun before the main one that shares its adjectives (``dimensões e contornos normais``)."""

    grades: list[str] = field(default_factory=list)
    sides: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    noun: Word | None = None
    plural: bool = False
    joined: str = ""
    adverb: str = ""

    def __bool__(self) -> bool:
        return bool(self.noun or self.grades or self.sides or self.others or self.adverb)

    def add(self, token: str, word: Word) -> None:
        if word.kind in "NL":
            self.noun, self.plural = word, token.endswith("s") and token != word.stem
        elif word.kind == "A" and token.endswith("mente"):  # globalmente aumentado
            self.adverb = f"{word.english}ly "
        else:
            said = f"{self.adverb}{word.english}" if word.kind == "A" else word.english
            self.adverb = "" if word.kind == "A" else self.adverb
            {"Q": self.grades, "S": self.sides, "A": self.others}[word.kind].append(said)

    @property
    def is_plural(self) -> bool:
        """Whether the noun stands in the plural in English."""
        if self.noun is None:
            return False
        one_sided = self.sides in (["left"], ["right"]) and self.noun.kind == "L"
        by_habit = self.noun.often_plural and not one_sided
        return self.plural or by_habit or "both" in self.grades

    def english(self, after: str, coming: str = "", subject: str = "") -> str:
        """Grades, sides, other adjectives in reverse, noun: as English has them.

        Args:
            after: what stands before the phrase.
            coming: the English of what follows it.
            subject: the noun that a phrase without one speaks of.
        """
        name = self.noun.english if self.noun else subject
        others = [_said_of(name, other) for other in self._others()]
        grades = [SAID_OF.get((name, grade), grade) for grade in self.grades]
        if self.noun is None:
            return " ".join([*grades, *self.sides, *others, *self.adverb.split()])
        noun = _plural(self.noun) if self.is_plural else self.noun.english
        noun = f"{self.joined} and {noun}" if self.joined else noun
        follows = coming.partition(" ")[0]
        moved = [other for other in others if follows in MOVED.get(other, ())]
        others = [other for other in others if other not in moved]
        words = [*grades, *self.sides, *others, noun, *moved, *self.adverb.split()]
        return f"{self._article(after)}{' '.join(words)}"

    def join(self) -> None:
        """Keep the noun as the first of two."""
        assert self.noun is not None
        self.joined = _plural(self.noun) if self.is_plural else self.noun.english
        self.noun = None

    def _others(self) -> list[str]:
        """Turned round; two that ``and`` joins stay together and come first."""
        if "and" not in self.others:
            return self.others[::-1]
        at = self.others.index("and") - 1
        return [*self.others[at:], *self.others[:at][::-1]]

    def _article(self, after: str) -> str:
        """Places and earlier examinations are known ones, behind a preposition."""
        assert self.noun is not None
        counted = self.grades and not all(grade[0].isdigit() for grade in self.grades)
        if after in ("", "no", "or", "and", "without", "not") or counted:
            return ""
        if self.noun.english in EARLIER_STUDIES:
            return "the " if after in _TO_A_STUDY else ""
        if self.noun.kind != "L":
            return ""
        several = self.noun.english in ONE_OF_MANY and not self.is_plural and not self.grades
        return "a " if several else "the "


def _said_of(noun: str, adjective: str) -> str:
    """The usual adjective for a noun, behind the adverb that it may have."""
    adverb, _, plain = adjective.rpartition(" ")
    return f"{adverb} {SAID_OF.get((noun, plain), plain)}".strip()


def _plural(noun: Word) -> str:
    if noun.plural:
        return noun.plural
    if noun.english.endswith(("s", "x", "a", "ing", "air")):
        return noun.english
    return f"{noun.english[:-1]}ies" if noun.english.endswith("y") else f"{noun.english}s"


def _translate_sentence(sentence: str, lexicon: Lexicon) -> str:
    for pattern, by in lexicon.spellings:
        sentence = pattern.sub(by, sentence)
    out: list[str] = []
    phrase = _Phrase()
    subject = ""
    words = list(_look_up(_TOKEN.findall(sentence), lexicon))
    for index, (token, found) in enumerate(words):
        word = _as_adjective(found) if phrase.noun else found
        if word.kind in "NLAQS":
            doubt = word.english in DOUBTS
            if phrase.noun is not None and (word.kind in "NL" or doubt):
                _say(out, phrase, "", subject)
                out[-1] += "," if doubt else ""
                phrase = _Phrase()
            phrase.add(token, word)
            subject = phrase.noun.english if phrase.noun else subject
        elif not (word.english == "and" and phrase.noun and _joins(phrase, words[index + 1 :])):
            _say(out, phrase, word.english, subject)
            phrase = _Phrase()
            out.append(_particle(word, out, words[index + 1][1].kind if words[index + 1 :] else ""))
    _say(out, phrase, "", subject)
    return _finish(out)


def _say(out: list[str], phrase: _Phrase, coming: str, subject: str) -> None:
    """Add a noun phrase, if there is one, to what has been said."""
    if not phrase:
        return
    if out and out[-1] == "there is" and phrase.is_plural:
        out[-1] = "there are"
    out.append(phrase.english(out[-1] if out else "", coming, subject))


def _joins(phrase: _Phrase, coming: Sequence[tuple[str, Word]]) -> bool:
    """Whether ``and`` continues the phrase: it has then been told what is to come."""
    kinds = [_as_adjective(coming[0][1]).kind, *(word.kind for _, word in coming[1:2])]
    if kinds[0] == "A" and phrase.others:
        phrase.others.append("and")
        return True
    if kinds[0] == "S":
        if phrase.sides:
            phrase.sides.append("and")
        return True
    bare = not (phrase.grades or phrase.sides or phrase.others)
    if bare and kinds[0] in "NL" and kinds[1:] and kinds[1] in "AS":
        (noun, entry), (token, shared) = coming[:2]
        for_two = token.endswith("s") and (noun == entry.stem or not noun.endswith("s"))
        if for_two or (token.endswith("s") and shared.english in STATES):
            phrase.join()
            return True
    return False


def _look_up(tokens: Sequence[str], lexicon: Lexicon) -> Iterator[tuple[str, Word]]:
    """Tokens (of a phrase the first, its head) with their entries; silent ones are left out."""
    folded = tuple(fold(token) for token in tokens)
    index = 0
    while index < len(tokens):
        taken = 1
        if not folded[index][:1].isalpha():
            word = _number_or_sign(tokens[index])
        elif (phrase := find_phrase(lexicon, folded[index:])) is not None:
            word, taken = phrase
        else:
            word = find_word(lexicon, folded[index]) or Word("?", tokens[index])
        if word.kind != "X":
            yield folded[index], word
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


FIRST = {
    "has increased": "increased",
    "have increased": "increased",
    "has decreased": "decreased",
    "have decreased": "decreased",
    "has appeared": "new",
    "have appeared": "new",
    "has resolved": "resolved",
}
"""What a verb of change says before the noun that it is about (``surgiu opacidade``)."""
_ORDINAL = {"1": "st", "2": "nd", "3": "rd"}


def _as_adjective(word: Word) -> Word:
    english = AFTER_A_NOUN.get(word.english) if word.kind in "NL" else None
    return word if english is None else Word("A", english)


def _particle(word: Word, out: list[str], coming: str) -> str:
    """A relation, denial, number or unknown word in its place."""
    begun = bool(out) and out[-1] not in (",", ":", "and", "but")
    if word.kind == "D" and word.english in ("no", "not") and not coming and begun:
        return "not seen"
    if not begun and word.english in FIRST:
        return FIRST[word.english]
    if word.english in ("persistent", "remains"):
        return "persists" if not coming else word.english if begun else "persistent"
    if word.kind == "D" and word.english == "no":
        if coming in ("A", "R"):
            return "not"
        return "without" if begun else "no"
    if word.english == "is" and out and out[-1] in ("in", "of", "on", "at", "with"):
        return "this"  # "esta" is also a demonstrative
    return word.english


_POLISH = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"\s+([,:;?!)])", r"\1"),
        (r"([(])\s+", r"\1"),
        (r"\bin (the (?:(?!in\b)[\w-]+ )*(?:base|bases|apex|apices))\b", r"at \1"),
        (r"\bin both ((?:\w+ )*(?:bases|apices))\b", r"at both \1"),
        (r"\bat (\d[\d.]* (?:mm|cm)) of\b", r"\1 from"),
        (
            r"\bincrease of (the (?:[\w-]+ ){0,2}(?:heart|silhouette|hil[au]m?|mediastinum"
            r"|chambers?|ventricles?|atri(?:um|a)|arter(?:y|ies)))\b",
            r"enlargement of \1",
        ),
        (r"\babnormalit(?:y|ies)\b(?=.* (?:compared to|since)\b)", "changes"),
        (r"\bnew new\b", "new"),
        (r": (?=with\b)", " "),
    )
)
"""Signs drawn to their words, and prepositions that English chooses by the noun."""


def _finish(out: list[str]) -> str:
    text = " ".join(part for part in out if part)
    for pattern, by in _POLISH:
        text = pattern.sub(by, text)
    text = text.strip(" ,:")
    if not any(character.isalnum() for character in text):
        return ""
    return f"{text[0].upper()}{text[1:]}."

"""Reading short answers: normalised words, yes and no, and answers that list several things.

How answers are compared decides the score more than the model does (evaluation_metrics 6): a search
for "no" in the text finds it in "normal" and "know". Here words are compared as whole words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from typing import Final, Literal

YesNo = Literal["yes", "no"]

_ARTICLES: Final = frozenset({"a", "an", "the"})
_NUMBERS: Final = {
    word: str(number)
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
        ]  # VQA's own list ends there
    )
}
_WORD: Final = re.compile(r"[^\W_]+")
_BOTH: Final = re.compile(r"\W*(yes|no)\b(.*?)\b(yes|no)\b", re.DOTALL)
_CHOICE: Final = re.compile(r"[\s/|()-]*|.*\b(or|and)\b\W*", re.DOTALL)
"""What stands between two words that are named as if to choose; a full stop or a comma does not."""
_SEPARATOR: Final = re.compile(r"[,;/]|\band\b", re.IGNORECASE)


def words_of(answer: str) -> list[str]:
    """Words in lower case without articles; number words up to ten as digits, accents composed."""
    found = _WORD.findall(unicodedata.normalize("NFKC", answer).lower())
    return [_NUMBERS.get(word, word) for word in found if word not in _ARTICLES]


def normal_answer(answer: str) -> str:
    """The words with single spaces: what exact matches are made of."""
    return " ".join(words_of(answer))


def yes_or_no(answer: str) -> YesNo | None:
    """Which of the words *yes* and *no* an answer says; None where there is neither.

    "There is no effusion" says no; "not seen" and "normal" say neither, and count as wrong. Of both
    the one that it begins with counts ("Yes, there is no pneumothorax."); "yes/no", "yes or no" and
    an answer that begins with neither say nothing.
    """
    words = words_of(answer)
    said = [word for word in words if word in ("yes", "no")]
    if len(set(said)) == 2 and (words[0] not in said or _hedges(answer)):
        return None
    return "yes" if said[:1] == ["yes"] else "no" if said else None


def _hedges(answer: str) -> bool:
    """Whether it names both as if to choose: ``yes/no``, ``No, or yes?``, but not ``Yes. No``."""
    both = _BOTH.match(unicodedata.normalize("NFKC", answer).lower())
    if both is None or both[1] == both[3]:
        return False
    between = [word for word in words_of(both[2]) if word not in ("or", "and")]
    return not between and _CHOICE.fullmatch(both[2]) is not None


def exact_match(prediction: str, reference: str) -> bool:
    """Equal words in equal order; of a reference that is articles or signs alone, equal text."""
    wanted = normal_answer(reference)
    if not wanted:
        return prediction.strip().lower() == reference.strip().lower()
    return normal_answer(prediction) == wanted


def token_overlap(prediction: str, reference: str) -> tuple[float, float]:
    """F1 and recall over words, each counted as often as it stands there.

    Two empty answers agree; an empty one agrees with nothing else.
    """
    said, wanted = Counter(words_of(prediction)), Counter(words_of(reference))
    if not said or not wanted:
        equal = float(said == wanted)
        return equal, equal
    shared = (said & wanted).total()
    return 2.0 * shared / (said.total() + wanted.total()), shared / wanted.total()


def parts_of(answers: Iterable[str]) -> frozenset[str]:
    """A publisher's answers as they are, each one thing, in normal words."""
    parts = (normal_answer(part) for part in answers)
    return frozenset(part for part in parts if part)


def things_of(answer: str, known: Container[str] = frozenset()) -> frozenset[str]:
    """The things that an answer lists, between commas, semicolons, slashes and *and*.

    What is known to be one thing stays one, the longest first: ``copd/emphysema`` is no two where a
    publisher has it as an answer.

    Args:
        known: answers in normal words.
    """
    places = [(found.start(), found.end()) for found in _SEPARATOR.finditer(answer)]
    starts = [0, *(end for _, end in places)]
    ends = [*(start for start, _ in places), len(answer)]
    things, at = set(), 0
    while at < len(starts):
        reach = _longest_known(answer, starts[at], ends[at:], known)
        things.add(normal_answer(answer[starts[at] : ends[at + reach]]))
        at += reach + 1
    return frozenset(thing for thing in things if thing)


def _longest_known(answer: str, start: int, ends: Sequence[int], known: Container[str]) -> int:
    """How many ends further the longest known thing reaches; 0 where the first piece stands
    alone."""
    for reach in range(len(ends) - 1, 0, -1):
        if normal_answer(answer[start : ends[reach]]) in known:
            return reach
    return 0


def set_f1(prediction: str, answers: Iterable[str], known: Container[str] = frozenset()) -> float:
    """F1 over the things that a prediction lists, in any order, against a publisher's answers; two
    empty lists agree."""
    said, wanted = things_of(prediction, known), parts_of(answers)
    if not said and not wanted:
        return 1.0
    return 2.0 * len(said & wanted) / (len(said) + len(wanted))


def is_correct(prediction: str, reference: str) -> bool:
    """A yes-or-no reference wants that word; any other its own words."""
    wanted = normal_answer(reference)
    if wanted in ("yes", "no"):
        return yes_or_no(prediction) == wanted
    return exact_match(prediction, reference)

"""ROUGE under named profiles: one F per report, whose mean is the score.

``rouge-score-nostem`` and ``rouge-score-stem`` are Google's rouge-score: lower case, runs of a-z
and 0-9 are words, F1; the second cuts words of more than three letters to their Porter stems.
``coco`` is COCO's Rouge: words between single spaces, case kept, beta 1.2, so that recall weighs
more (all evaluation_metrics 1.2). Computed here, since rouge-score loads all of nltk, and tested to
equal it; nltk's stemmer is loaded by the first text that asks for stems. An empty prediction scores
zero. Shapes: N reports.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from evaluation.statistics import Floats

ROUGE_PROFILE = "rouge-score-nostem"
"""LLaVA-Rad's."""
STEMMED_PROFILE = "rouge-score-stem"
"""RRG24's."""
COCO_PROFILE = "coco"
ROUGE_REVISION = 1
"""Raise when a value changes: part of its signature and of cached values."""
COCO_BETA = 1.2
"""COCO's weight of recall (evaluation_metrics 1.2)."""
_WORDS = re.compile(r"[a-z0-9]+")
_UNSTEMMED_LENGTH = 3
"""rouge-score stems only what is longer."""


def words(text: str) -> list[str]:
    """rouge-score's words, without a stemmer."""
    return _WORDS.findall(text.lower())


def stems(text: str) -> list[str]:
    """rouge-score's words with its Porter stemmer."""
    return [_stem(word) if len(word) > _UNSTEMMED_LENGTH else word for word in words(text)]


@cache
def _porter() -> Callable[[str], str]:
    """nltk's Porter stemmer with its extensions, as rouge-score makes it; loading takes 2 s."""
    from nltk.stem.porter import PorterStemmer

    stem: Callable[[str], str] = PorterStemmer().stem
    return stem


@cache
def _stem(word: str) -> str:
    return _porter()(word)


_TOKENS: dict[str, Callable[[str], list[str]]] = {ROUGE_PROFILE: words, STEMMED_PROFILE: stems}


def rouge_l(
    references: Sequence[str], predictions: Sequence[str], profile: str = ROUGE_PROFILE
) -> Floats:
    """(N,) ROUGE-L of each report, 0-1, under any of the three profiles."""
    if profile == COCO_PROFILE:
        return _each(_coco, references, predictions, lambda text: text.split(" "))
    return _each(_longest, references, predictions, _TOKENS[profile])


def rouge_n(
    references: Sequence[str], predictions: Sequence[str], order: int, profile: str = ROUGE_PROFILE
) -> Floats:
    """(N,) ROUGE-1, -2, … F1 of each report, 0-1, under a profile of rouge-score."""

    def score(reference: list[str], told: list[str]) -> float:
        true, own = (
            Counter(zip(*(text[start:] for start in range(order)), strict=False))
            for text in (reference, told)
        )
        return _f((true & own).total(), own.total(), true.total())

    return _each(score, references, predictions, _TOKENS[profile])


def rouge_l_sum(
    references: Sequence[str], predictions: Sequence[str], profile: str = ROUGE_PROFILE
) -> Floats:
    """(N,) rougeLsum of each report: lines are sentences, and a reference's sentence is matched by
    the union of its longest common subsequences with all of the prediction's."""
    tokenize = _TOKENS[profile]

    def lines(text: str) -> list[list[str]]:
        return [tokenize(line) for line in text.split("\n") if line]

    pairs = zip(references, predictions, strict=True)
    return np.array([_summary(lines(r), lines(p)) for r, p in pairs], dtype=np.float64)


def _each(
    score: Callable[[list[str], list[str]], float],
    references: Sequence[str],
    predictions: Sequence[str],
    tokenize: Callable[[str], list[str]],
) -> Floats:
    pairs = zip(references, predictions, strict=True)
    return np.array([score(tokenize(r), tokenize(p)) for r, p in pairs], dtype=np.float64)


def _longest(reference: list[str], told: list[str]) -> float:
    return _f(common_subsequence(reference, told), len(told), len(reference))


def _coco(reference: list[str], told: list[str]) -> float:
    return _f(common_subsequence(reference, told), len(told), len(reference), COCO_BETA)


def _f(common: int, told: int, true: int, beta: float = 1.0) -> float:
    """F of precision and recall from what is common; zero where nothing is."""
    if not common:
        return 0.0
    precision, recall, square = common / told, common / true, beta * beta
    return (1 + square) * precision * recall / (recall + square * precision)


def common_subsequence(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence: each bit is a word of ``one``, and a bit falls to
    zero where the subsequence grows (Hyyrö's bit-parallel recurrence)."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    everything = bits = (1 << len(one)) - 1
    for word in other:
        met = bits & places.get(word, 0)
        bits = ((bits + met) | (bits - met)) & everything
    return len(one) - bits.bit_count()


def _summary(true: list[list[str]], told: list[list[str]]) -> float:
    left_true, left_told = (Counter(w for line in lines for w in line) for lines in (true, told))
    lengths = left_told.total(), left_true.total()
    hits = 0
    for line in true:
        met = set().union(*(_places(line, other) for other in told))
        for place in sorted(met):
            word = line[place]
            if left_true[word] > 0 and left_told[word] > 0:
                hits += 1
                left_true[word] -= 1
                left_told[word] -= 1
    return _f(hits, *lengths)


def _places(one: list[str], other: list[str]) -> set[int]:
    """Places in ``one`` of a longest common subsequence: of equal ones the latest in ``one``, the
    choice that rouge-score's way back through its table makes."""
    table = np.zeros((len(one) + 1, len(other) + 1), dtype=np.int64)
    for row, word in enumerate(one, start=1):
        for column, told in enumerate(other, start=1):
            best = max(table[row - 1, column], table[row, column - 1])
            table[row, column] = table[row - 1, column - 1] + 1 if word == told else best
    row, column, found = len(one), len(other), set()
    while row > 0 and column > 0:
        if one[row - 1] == other[column - 1]:
            row, column = row - 1, column - 1
            found.add(row)
        elif table[row, column - 1] > table[row - 1, column]:
            column -= 1
        else:
            row -= 1
    return found

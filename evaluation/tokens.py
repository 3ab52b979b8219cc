"""How a text becomes tokens, by the name of the profile: most of what makes two BLEUs differ.

On one set of 200 pairs, "BLEU-4" lies between .087 and .135 by what is said here alone
(evaluation_metrics 1.1). ``13a``, ``none`` and ``intl`` are sacrebleu's; ``split`` is white space,
as COCO's scorers read it; ``r2gen`` is the cleaning of the R2Gen line of work; ``rexrank`` is that
of CXR-Report-Metric; ``ptb`` is a port of the Penn Treebank's rules for plain ASCII prose.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial

Tokenizer = Callable[[str], list[str]]
"""From a text to its tokens."""


def split(text: str) -> list[str]:
    """Words between white space, as they are written."""
    return text.split()


def split_lower(text: str) -> list[str]:
    """Words between white space in lower case."""
    return text.lower().split()


@cache
def _sacrebleu(name: str) -> Callable[[str], str]:
    """One of sacrebleu's own tokenizers; loaded when the first text is read, which takes 0.2 s."""
    from sacrebleu.metrics.bleu import BLEU

    tokenize: Callable[[str], str] = BLEU(tokenize=name).tokenizer
    return tokenize


def _by_sacrebleu(text: str, name: str, lower: bool) -> list[str]:
    chosen = text.lower() if lower else text
    return _sacrebleu(name)(chosen.rstrip()).split()


_REPEATED = re.compile(r"([_. ])\1+")
_NUMBERED = re.compile(r"(?:\. | )[2-5]\. ")
_R2GEN_DROPPED = str.maketrans("", "", "\"/\\'.,?;*!%^&+():<=>@[]{}_")
"""Hyphens stay, since the original's character class reads them as the end of a range."""


def r2gen(text: str) -> list[str]:
    """R2Gen's cleaning: list numbers and punctuation go, sentences are set apart by " . ".

    Its traps are kept: a decimal point is dropped ("3.5" becomes "35"), and a sentence that is left
    without a word still leaves its full stop.
    """
    flat = _REPEATED.sub(r"\1", text.replace("\n", " ")).replace("1. ", "")
    sentences = _NUMBERED.sub(". ", flat).strip().lower().split(". ")
    words = [sentence.translate(_R2GEN_DROPPED).split() for sentence in sentences]
    return [word for sentence in words for word in [*sentence, "."]]


def rexrank(text: str) -> list[str]:
    """Lower case, full stops apart, cut at each single space."""
    return [word for word in text.lower().replace(".", " .").split(" ") if word]


_PTB_WORD = re.compile(
    r"""\.\.\.|--+
    |(?:dr|mr|mrs|ms|vs|st)\.(?=\s)
    |(?:[a-z]\.){2,}               # a.m., e.g.
    |n't\b|'(?:s|m|d|ll|re|ve)\b
    |\d+(?:[.,:/-]\d+)+           # 3.5, 10:30, 1,000
    |[a-z0-9]+(?:-[a-z0-9]+)*
    |[^\sa-z0-9]""",
    re.VERBOSE,
)
_NOT = re.compile(r"(?<=[a-z])n't\b")
_PTB_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_PTB_PUNCTUATION = frozenset(("''", "'", "``", "`", '"', ".", "?", "!", ",", ":", "-", "...", ";"))


def ptb(text: str) -> list[str]:
    """Tokens in the Penn Treebank's manner, lower case, without the punctuation that COCO drops.

    For plain ASCII prose: contractions are cut ("does n't", "patient 's"), hyphens join, brackets
    get their names, a full stop is dropped. The Java program that COCO calls knows more
    abbreviations, web addresses and fractions; on texts with those this is not its output, and the
    signature says so.
    """
    words = _PTB_WORD.findall(_NOT.sub(" n't", text.lower()))
    told = [word for word in words if word not in _PTB_PUNCTUATION and word[:2] != "--"]
    return [_PTB_BRACKETS.get(word, word) for word in told]


TOKENIZERS: dict[str, Tokenizer] = {
    "13a": partial(_by_sacrebleu, name="13a", lower=False),
    "13a-lower": partial(_by_sacrebleu, name="13a", lower=True),
    "intl": partial(_by_sacrebleu, name="intl", lower=False),
    "none": partial(_by_sacrebleu, name="none", lower=False),
    "split": split,
    "split-lower": split_lower,
    "ptb": ptb,
    "r2gen": r2gen,
    "rexrank": rexrank,
}

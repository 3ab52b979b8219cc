"""METEOR 1.5's arithmetic: from the counts that its Java program gives of each pair to a score.

The program aligns words (``meteor_process``); what COCO prints as METEOR is no mean over texts but
the score of the counts summed over all of them, the last line that the program's EVAL answers. That
is a function of sums, and so it is computed here: a bootstrap asks Java nothing. Formula and
parameters are those of Denkowski and Lavie (2014), "Meteor Universal", for English, task "rank".
Tests hold it equal to the program's EVAL. Shapes: n pairs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import numpy as np

from evaluation.statistics import Floats
from evaluation.tokens import TOKENIZERS

METEOR_REVISION = 1
"""Raise when counts or arithmetic change: part of signatures and of cached counts."""

METEOR_PROFILES: Final[Mapping[str, str | None]] = {
    "coco-ptb": "ptb",
    "r2gen": "r2gen",
    "coco": None,
}
"""By profile the tokenizer that texts go through before the program's own normalising (``-norm``:
lower case, punctuation set apart), None for none. COCO's and EKAID's tables use PTB, R2Gen's line
its own cleaning without PTB (evaluation_metrics 1.1, 1.3 and 6)."""

WIDTH: Final = 23
"""Counts of a pair, in the program's order: words of prediction and reference, function words of
both, for each stage (exact, stem, synonym, paraphrase) matched content words of both and matched
function words of both, chunks, and matched words of both."""
_LENGTHS, _FUNCTION, _STAGES, _MATCHED = slice(0, 2), slice(2, 4), slice(4, 20), slice(21, 23)
_CHUNKS = 20

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.20, 0.60, 0.75
"""Weight of recall, shape and size of the penalty for fragments, weight of content words."""
STAGE_WEIGHTS: Final = (1.0, 0.6, 0.8, 0.6)
"""How much an exact match, a stem, a synonym and a paraphrase count."""

_SEPARATOR = "|||"
_LINE_ENDS = re.compile(r"[\r\n]+")


def meteor_name(profile: str) -> str:
    """``METEOR[coco-ptb]`` and its like."""
    return f"METEOR[{profile}]"


def meteor_family(profile: str) -> str:
    """Name of a profile's counts."""
    return f"meteor {profile}"


def meteor_text(text: str, profile: str) -> str:
    """A text as the program is given it: one line without the protocol's separator.

    The usual caller takes ``|||`` out of predictions alone, so that in a reference it makes two
    references of one, of which the better counts; and a line end in either text puts all later
    answers one pair off. Neither may happen here.
    """
    tokenizer = METEOR_PROFILES[profile]
    words = text if tokenizer is None else " ".join(TOKENIZERS[tokenizer](text))
    return _LINE_ENDS.sub(" ", words.replace(_SEPARATOR, ""))


def summable(statistics: Floats) -> Floats:
    """(n, 23) counts that can be summed, from the program's statistics of each pair (n, 23).

    A pair that matches from end to end in one piece is no fragment: the program counts no chunk
    for it, alone or in a sum.
    """
    counts = statistics.copy()
    stages = counts[:, _STAGES].reshape(-1, len(STAGE_WEIGHTS), 2, 2).sum(axis=(1, 2))
    whole = (stages == counts[:, _LENGTHS]).all(axis=1) & (counts[:, _CHUNKS] == 1)
    counts[whole, _CHUNKS] = 0.0
    return counts


def corpus_meteor(sums: Floats) -> Floats:
    """METEOR in 0-1 from summed counts (..., 23); of one pair's counts, the pair's own score.

    Zero where nothing matches or one side has no words.
    """
    kinds = np.array([DELTA, 1.0 - DELTA])
    stages = sums[..., _STAGES].reshape(*sums.shape[:-1], len(STAGE_WEIGHTS), 2, 2)
    matched = np.einsum("...wks,w,k->...s", stages, np.array(STAGE_WEIGHTS), kinds)
    function = sums[..., _FUNCTION]
    length = kinds[0] * (sums[..., _LENGTHS] - function) + kinds[1] * function
    share = _divide(matched, length)
    precision, recall = share[..., 0], share[..., 1]
    mean = _divide(precision * recall, ALPHA * precision + (1.0 - ALPHA) * recall)
    fragments = _divide(sums[..., _CHUNKS], sums[..., _MATCHED].mean(axis=-1))
    return np.maximum(mean * (1.0 - GAMMA * fragments**BETA), 0.0)


def _divide(upper: Floats, lower: Floats) -> Floats:
    """Zero where there is nothing to divide by."""
    return np.divide(upper, lower, out=np.zeros_like(upper), where=lower > 0)

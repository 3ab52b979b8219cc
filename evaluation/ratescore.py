"""RaTEScore's arithmetic: named entities of two reports, matched by meaning and weighed by type.

Each entity takes its nearest entity of the other side by cosine; the match counts by a weight for
the pair of types and by a penalty where one side denies what the other asserts. Weights and penalty
are those of the published code's profile "long", its default (evaluation_metrics 1.8). Shapes: E
entities, D dimensions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from evaluation.statistics import Floats

TYPES = ("abnormality", "anatomy", "disease", "non-abnormality", "non-disease")
"""Types of entities, in the order of the rows and columns of ``AFFINITY``."""

AFFINITY = np.array(
    [
        [0.42761192, 0.62409300, 0.00344782, 0.54310497, 0.27005425],
        [0.74878243, 0.28561349, 0.45921432, 0.02097055, 0.00013736],
        [0.83965101, 0.99502094, 0.84605550, 0.98206890, 0.37891367],
        [0.16546765, 0.01867061, 0.71939735, 0.00093572, 0.09273336],
        [0.77594202, 0.18391393, 0.10073046, 0.03860183, 0.34065681],
    ]
)
"""Weight of a match by the seeking entity's type (row) and the found one's (column), rounded to
eight decimals from the published matrix."""

DENIAL = 0.8716553966489615
"""What a match between an asserted and a denied entity keeps of its value."""

NO_ENTITIES = 0.5
"""Published value of a pair where a side has words but no entity."""

_DENIED = np.array([kind.startswith("non-") for kind in TYPES])
_ANATOMY = TYPES.index("anatomy")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_SHORTEST = 3
"""Letters of the shortest sentence that is read (published)."""


@dataclass(frozen=True)
class Entities:
    """A report's entities: ``types`` (E,) are places in ``TYPES``, ``vectors`` (E, D) their
    embeddings."""

    types: np.ndarray[tuple[int], np.dtype[np.intp]]
    vectors: Floats


def split_sentences(text: str) -> list[str]:
    """Sentences of three letters or more, cut at a mark before a space and at line ends.

    The published code asks PyRuSH, whose cuts may differ around abbreviations and lists; the
    score's signature tells which splitter was used.
    """
    found = (sentence.strip() for sentence in _SENTENCE_END.split(text))
    return [sentence for sentence in found if len(sentence) >= _SHORTEST]


def rate_score(reference: Entities | None, prediction: Entities | None) -> float:
    """Harmonic mean of both directions, in 0-1 for embeddings that point alike.

    None is a text without a sentence to read: it scores 0 (our choice; the published code drops
    such a text and shifts all later pairs by one).
    """
    if reference is None or prediction is None:
        return 0.0
    if not len(reference.types) or not len(prediction.types):
        return NO_ENTITIES
    cosines = _unit(reference.vectors) @ _unit(prediction.vectors).T
    forth = _directed(cosines, reference.types, prediction.types)
    back = _directed(cosines.T, prediction.types, reference.types)
    return 2 * forth * back / (forth + back) if forth + back else 0.0


def _directed(
    cosines: Floats,
    seeking: np.ndarray[tuple[int], np.dtype[np.intp]],
    found: np.ndarray[tuple[int], np.dtype[np.intp]],
) -> float:
    """Weighted mean of each row's best cosine."""
    best = cosines.argmax(axis=1)
    types = found[best]
    weights = AFFINITY[seeking, types]
    clinical = (seeking != _ANATOMY) & (types != _ANATOMY)
    opposed = clinical & (_DENIED[seeking] != _DENIED[types])
    values = cosines[np.arange(len(best)), best] * np.where(opposed, DENIAL, 1.0)
    return float((values * weights).sum() / weights.sum())


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))  # torch's normalize has this floor too

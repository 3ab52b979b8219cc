"""Retrieval and grounding, query by query and sentence by sentence, as counts that can be sliced.

What ``retrieval.json`` and ``grounding.json`` tell of all queries is told here of each, so that the
slices of ``evaluation.slices`` are groups of films, of texts or of sentences. Shapes: N queries or
sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from evaluation.controls import Outputs
from evaluation.grounding_choice import Grounded, Key, Measured
from evaluation.measures import Measure
from evaluation.paired import System
from evaluation.retrieval import (
    DEPTHS,
    DIRECTIONS,
    POLICIES,
    Direction,
    Encoded,
    Policy,
    Pool,
    ranks,
)
from evaluation.statistics import Floats, mean_of

GAIN: Final = "energy above another study's image"
"""A sentence's energy inside its boxes less that of the same sentence over another study's film."""


@dataclass(frozen=True)
class Asked:
    """Whose query it is: its example, or the first example of a text that several films share."""

    example_id: str
    source: str
    study_id: str
    subject_id: str | None


@dataclass(frozen=True)
class Sliceable:
    """One set of queries with what each of its metrics counts; ``shown`` are those that are told
    where none is chosen."""

    system: System
    shown: tuple[str, ...]


def per_query(asked: Sequence[Asked], values: Mapping[str, Floats]) -> System:
    """A system whose every metric is the mean of its (N,) values, more being better."""
    outputs = Outputs(
        tuple(one.example_id for one in asked),
        tuple(one.source for one in asked),
        tuple(one.study_id for one in asked),
        tuple(one.subject_id for one in asked),
        ("",) * len(asked),
        {},
    )
    counts = {name: np.stack([one, np.ones(len(one))], axis=-1) for name, one in values.items()}
    measures = {name: Measure(name, name, mean_of, higher_is_better=True) for name in values}
    return System(outputs, counts, measures)


def retrieval_slices(
    encoders: Sequence[Encoded], pool: Pool, films: Sequence[Asked], texts: Sequence[Asked]
) -> Iterator[Sliceable]:
    """R@1, R@5, R@10 and MRR of every encoder, one system for each direction and policy.

    Args:
        films: one for each film of the pool; ``texts`` one for each text.
    """
    for direction in DIRECTIONS:
        for policy in POLICIES:
            queries = films if direction == "image to text" else _standing(texts, pool, policy)
            values = {
                f"{encoded.name}, {direction}, {policy}, {metric}": found
                for encoded in encoders
                for metric, found in _reached(encoded, pool, direction, policy).items()
            }
            shown = tuple(name for name in values if name.endswith("distinct texts, R@5"))
            yield Sliceable(per_query(queries, values), shown)


def _standing(texts: Sequence[Asked], pool: Pool, policy: Policy) -> list[Asked]:
    return [texts[place] for place in pool.texts(policy)]


def _reached(
    encoded: Encoded, pool: Pool, direction: Direction, policy: Policy
) -> dict[str, Floats]:
    """(N,) of each metric: one where the query's own is among the first K, and the place's
    inverse."""
    scores = (encoded.images @ encoded.texts.T)[:, pool.texts(policy)]
    scores = scores if direction == "image to text" else scores.T
    places = ranks(scores, pool.relevant(direction, policy))
    found: dict[str, Floats] = {
        f"R@{depth}": (places <= depth).astype(np.float64) for depth in DEPTHS
    }
    return found | {"MRR": 1.0 / places}


def grounding_slices(measured: Measured, chosen: Key) -> Iterator[Sliceable]:
    """Energy, pointing and the gain over another study's film, of the maps that were chosen; one
    system for each kind of text."""
    energy, pointing, other = (
        measured.get(chosen, control, metric)
        for control, metric in (("none", "energy"), ("none", "pointing"), ("shuffled", "energy"))
    )
    for kind in dict.fromkeys(one.text for one in measured.sentences):
        rows = [row for row, one in enumerate(measured.sentences) if one.text == kind]
        values = {
            f"{kind}, energy": energy[rows],
            f"{kind}, pointing": pointing[rows],
            f"{kind}, {GAIN}": (energy - other)[rows],
        }
        asked = [_of_sentence(measured.sentences[row]) for row in rows]
        yield Sliceable(per_query(asked, values), (f"{kind}, energy", f"{kind}, {GAIN}"))


def _of_sentence(one: Grounded) -> Asked:
    return Asked(one.example_id, one.source, one.study_id, one.subject_id)

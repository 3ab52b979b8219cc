"""What maps are worth sentence by sentence, and which way of making them is chosen.

A sentence's map is held against its true boxes; the way of making maps (method and sharpness) is
chosen on validate sentences by the mean energy above the exchanged image. Shapes: N sentences,
R x C cells of a map.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from evaluation.grounding_maps import energy_inside, points_inside, sharpened
from evaluation.statistics import Floats
from sources.crop import Rectangle

DEFAULT_METHOD: Final = "attention mean"
"""What stands where there is nothing to choose on: the plainest map."""


EVERY: Final = "all"
FOCAL: Final = "focal, sided"
"""Groups of sentences: of the second each says one side and has boxes of that side alone."""


@dataclass(frozen=True)
class Grounded:
    """One sentence with boxes; ``boxes`` are in shares of the crop's side, clipped to it.

    ``text`` says where the sentence is from: reference, prediction or phrase.
    """

    example_id: str
    sentence: int
    text: str
    source: str
    study_id: str
    subject_id: str | None
    words: str
    names: tuple[str, ...]
    boxes: tuple[Rectangle, ...]
    is_focal_sided: bool

    @property
    def subject(self) -> str:
        """Unique over sources; an unknown subject is its study alone."""
        own = f"{self.source}\t{self.subject_id}" if self.subject_id else None
        return own or f"study\t{self.source}\t{self.study_id}"


@dataclass(frozen=True)
class Choice:
    """How maps are made; ``gain`` is the mean validate energy above the exchanged image."""

    method: str
    sharpness: float
    gain: float | None
    sentences: int
    reason: str

    @property
    def name(self) -> str:
        return way_of((self.method, self.sharpness))


@dataclass(frozen=True)
class Candidate:
    """One way of making maps, as it did on validate; ``sentences`` are those it was measured on,
    all of the validate sentences or the focal, sided ones (``group``)."""

    method: str
    sharpness: float
    energy: float
    shuffled: float
    sentences: int
    group: str

    @property
    def gain(self) -> float:
        return self.energy - self.shuffled


Key = tuple[str, float]
"""A way of making maps: a method and a sharpness."""


def way_of(key: Key) -> str:
    """Its name: ``occlusion ^4``."""
    return f"{key[0]} ^{key[1]:g}"


@dataclass
class Measured:
    """(N,) values of each metric by method and sharpness, and by control; nan where no map is."""

    sentences: Sequence[Grounded]
    values: dict[tuple[Key, str, str], Floats] = field(default_factory=dict)

    def put(self, key: Key, control: str, metric: str, row: int, value: float) -> None:
        empty = np.full(len(self.sentences), np.nan)
        self.values.setdefault((key, control, metric), empty)[row] = value

    def get(self, key: Key, control: str, metric: str) -> Floats:
        return self.values[key, control, metric]

    @property
    def keys(self) -> list[Key]:
        """Methods with their sharpness, in the order in which maps came."""
        return list(dict.fromkeys(key for key, _, _ in self.values))


def measure(
    sentences: Sequence[Grounded], maps: Iterable[pa.Table], sharpness: Sequence[float]
) -> Measured:
    """Energy and pointing of every map of ``sources.heat_map.MAP_SCHEMA`` about the sentences.

    Tables come one after another, so that no more than one of them is held. The pointing game does
    not depend on sharpness.
    """
    rows = {(one.example_id, one.sentence): row for row, one in enumerate(sentences)}
    measured = Measured(sentences)
    for table in maps:
        for entry in table.to_pylist():
            row = rows.get((entry["example_id"], entry["sentence"]))
            if row is not None and entry["method"]:
                _measure_one(measured, entry, row, sharpness)
    return measured


def heat_of(entry: Mapping[str, Any]) -> Floats:
    """[R, C] of one row of MAP_SCHEMA, its maximum 1."""
    flat = np.asarray(entry["values"], np.float64)
    return flat.reshape(entry["rows"], entry["columns"])


def _measure_one(
    measured: Measured, entry: Mapping[str, Any], row: int, sharpness: Sequence[float]
) -> None:
    heat, boxes = heat_of(entry), measured.sentences[row].boxes
    hit = points_inside(heat, boxes)
    for power in sharpness:
        key = (entry["method"], power)
        energy = energy_inside(sharpened(heat, power), boxes)
        measured.put(key, entry["control"], "energy", row, energy)
        measured.put(key, entry["control"], "pointing", row, hit)


def candidates(measured: Measured) -> list[Candidate]:
    """Every method as it did, focal and sided sentences alone where there are any; best first."""
    focal = np.array([one.is_focal_sided for one in measured.sentences], bool)
    kept = focal if focal.any() else np.ones(len(focal), bool)
    group = FOCAL if focal.any() else EVERY
    found = []
    for key in measured.keys:
        own = float(np.mean(measured.get(key, "none", "energy")[kept]))
        other = float(np.mean(measured.get(key, "shuffled", "energy")[kept]))
        found.append(Candidate(*key, own, other, int(kept.sum()), group))
    return sorted(found, key=lambda one: one.gain, reverse=True)


def choose(ranked: Sequence[Candidate], methods: Sequence[str]) -> Choice:
    """The best candidate; the plainest method of the recipe where there is none."""
    if not ranked:
        method = DEFAULT_METHOD if DEFAULT_METHOD in methods else methods[0]
        return Choice(method, 1.0, None, 0, "not chosen: no validate sentence has a box")
    best = ranked[0]
    reason = (
        f"of {len(ranked)} ways the highest energy above another study's image, "
        f"on {best.sentences} {'' if best.group == EVERY else f'{best.group} '}validate sentences"
    )
    return Choice(best.method, best.sharpness, best.gain, best.sentences, reason)

"""What is told of an example for drift: its film, its texts, and how the model did on it.

Shapes: a film is grey levels [height, width] as stored, 0 to 255.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.clinical import LabelMatrix, as_counts, confusion, micro_f1
from evaluation.drift import Quantity, Window
from evaluation.labeler import label_reports
from evaluation.statistics import Floats, Interval, make_bootstrap, score_interval
from sources.record import OBSERVATIONS, LabelValue

_RING: Final = 0.08
"""Of each side, what counts as a film's edge. Our choice: wider than collimation's border."""
_BLACK: Final = 8
"""Grey levels up to which a row or column is black, but for JPEG's noise."""
_WORD: Final = re.compile(r"[^\W\d_]+")
METRIC: Final = "rule14-micro-F1"


@dataclass(frozen=True)
class Seen:
    """One example with what the model wrote.

    Args:
        film: uint8 [height, width] as stored.
        published_px: short side of the published film; None where it is not known.
    """

    example_id: str
    source: str
    subject: str
    film: NDArray[np.uint8]
    published_px: int | None
    reference: str
    prediction: str


def film_figures(film: NDArray[np.uint8]) -> dict[str, float]:
    """Mean, contrast, sharpness, aspect, black border and whether it seems inverted."""
    height, width = film.shape
    grey = film.astype(np.float32)
    rows, columns = max(1, round(_RING * height)), max(1, round(_RING * width))
    inside = grey[rows:-rows, columns:-columns]
    edge = (float(grey.sum()) - float(inside.sum())) / max(1, grey.size - inside.size)
    spread = float(grey.std())
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    return {
        "film mean": float(grey.mean()),
        "film contrast": spread,
        "film sharpness": float(edges.std()) / spread if spread else 0.0,
        "film aspect": width / height,
        "film black border": _black_border(film),
        "film inverted": float(edge > float(inside.mean())),
    }


def _black_border(film: NDArray[np.uint8]) -> float:
    """Share of rows and columns, counted from the edges, in which nothing is lit."""
    total = 0
    for axis in (0, 1):
        lit = np.percentile(film, 95, axis=1 - axis) > _BLACK
        places = np.flatnonzero(lit)
        total += len(lit) - (int(places[-1] - places[0]) + 1 if len(places) else 0)
    return total / sum(film.shape)


def words_of(text: str) -> list[str]:
    """Words in lower case, without numbers."""
    return [word.lower() for word in _WORD.findall(text)]


def unknown_share(text: str, vocabulary: Set[str]) -> float:
    """Share of a text's words that the model's training texts lack; nan of a text without words."""
    words = words_of(text)
    return sum(word not in vocabulary for word in words) / len(words) if words else float("nan")


def windows(seen: Sequence[Seen], vocabulary: Set[str], pooled_f1: float) -> list[Window]:
    """A window for each source.

    Args:
        vocabulary: words of the texts that the model learned from.
        pooled_f1: micro-F1 of the reference window (see ``residuals``).
    """
    found: dict[str, list[Seen]] = {}
    for one in seen:
        found.setdefault(one.source, []).append(one)
    return [
        Window(
            source,
            tuple(one.subject for one in own),
            tuple(one.example_id for one in own),
            {each.name: each for each in _quantities(own, vocabulary, pooled_f1)},
        )
        for source, own in sorted(found.items())
    ]


def _quantities(own: Sequence[Seen], vocabulary: Set[str], pooled_f1: float) -> list[Quantity]:
    figures = [film_figures(one.film) for one in own]
    found = [
        Quantity(name, "share" if name == "film inverted" else "value", _array(figures, name))
        for name in figures[0]
    ]
    sizes = [float(one.published_px or "nan") for one in own]
    found.append(Quantity("film published size", "value", np.array(sizes)))
    texts = {"reference": [one.reference for one in own], "written": [o.prediction for o in own]}
    for what, each in texts.items():
        lengths = np.array([float(len(words_of(text))) for text in each])
        found.append(Quantity(f"{what} length", "value", lengths))
        found += _prevalences(what, each)
    unknown = [unknown_share(text, vocabulary) for text in texts["reference"]]
    found.append(Quantity("reference unknown words", "value", np.array(unknown)))
    scores = residuals(label_counts(texts["reference"], texts["written"]), pooled_f1)
    return [*found, Quantity(METRIC, "score", scores)]


def _array(figures: Sequence[Mapping[str, float]], name: str) -> Floats:
    return np.array([each[name] for each in figures], dtype=np.float64)


def _prevalences(what: str, texts: Sequence[str]) -> list[Quantity]:
    """Of each observation by rule14 the share of texts that have it."""
    labelled = label_reports(texts)
    return [
        Quantity(
            f"{what} {name}",
            "share",
            np.array([float(one.get(name) is LabelValue.POSITIVE) for one in labelled]),
        )
        for name in OBSERVATIONS
    ]


def label_counts(references: Sequence[str], predictions: Sequence[str]) -> Floats:
    """Counts (N, K) of ``clinical.confusion`` by rule14, doubt counted as absent."""
    said, told = (LabelMatrix.of(label_reports(texts)) for texts in (references, predictions))
    return confusion(said, told, "negative")


def residuals(counts: Floats, pooled_f1: float) -> Floats:
    """(N,) what each example adds to micro-F1's numerator beyond its share of the denominator.

    F1 = sum of 2 TP over sum of (2 TP + FP + FN); so 2 TP - F1 (2 TP + FP + FN) is zero on average
    where F1 is the pooled one, and lower where the model does worse.
    """
    per_label = as_counts(counts).sum(axis=1)
    true, wrong, missed = per_label[:, 0], per_label[:, 1], per_label[:, 2]
    return np.asarray(2 * true - pooled_f1 * (2 * true + wrong + missed), dtype=np.float64)


def scored(seen: Sequence[Seen], resamples: int, seed: int) -> Interval:
    """Micro-F1 with an interval that draws subjects; unknown of nothing."""
    if not seen:
        return Interval(None, None, None)
    counts = label_counts([one.reference for one in seen], [one.prediction for one in seen])
    bootstrap = make_bootstrap([one.subject for one in seen], resamples, seed)
    return score_interval(bootstrap, micro_f1, counts)

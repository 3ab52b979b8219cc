"""Agreement of two sets of labels: micro and macro F1 over 14 or 5 observations.

Shapes: N reports, L = 14 observations in the order of ``OBSERVATIONS``. What becomes of uncertain
labels is always said: LLaVA-Rad's main table counts them as negative, RRG24's as positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics import Floats
from sources.record import OBSERVATIONS, LabelValue

UncertainAs = Literal["negative", "positive"]

TOP_FIVE: tuple[str, ...] = (
    "Cardiomegaly",
    "Edema",
    "Consolidation",
    "Atelectasis",
    "Pleural Effusion",
)
"""The five observations of the CheXpert competition (evaluation_metrics 1.6)."""

FIVE = np.array([OBSERVATIONS.index(name) for name in TOP_FIVE])
FOURTEEN = np.arange(len(OBSERVATIONS))

_CODES = {
    LabelValue.UNMENTIONED: 0,
    LabelValue.POSITIVE: 1,
    LabelValue.NEGATIVE: 2,
    LabelValue.UNCERTAIN: 3,
}
"""CheXbert's class numbers (evaluation_metrics 1.6)."""


@dataclass(frozen=True)
class LabelMatrix:
    """Labels of N reports; ``codes`` (N, 14) holds CheXbert's class numbers, int8."""

    codes: NDArray[np.int8]

    @classmethod
    def of(cls, labels: Sequence[Mapping[str, LabelValue]]) -> LabelMatrix:
        """From one mapping per report; an observation that is absent is unmentioned."""
        codes = np.zeros((len(labels), len(OBSERVATIONS)), dtype=np.int8)
        places = {name: place for place, name in enumerate(OBSERVATIONS)}
        for row, report in enumerate(labels):
            for name, value in report.items():
                codes[row, places[name]] = _CODES[value]
        return cls(codes)

    def to_labels(self) -> list[list[dict[str, str]]]:
        """Per report the mentioned observations as ``LABEL_TYPE`` rows."""
        values = {code: value for value, code in _CODES.items()}
        return [
            [
                {"observation": name, "value": values[code].value}
                for name, code in zip(OBSERVATIONS, row, strict=True)
                if code
            ]
            for row in self.codes.tolist()
        ]

    def positive(self, uncertain_as: UncertainAs) -> NDArray[np.bool_]:
        """(N, 14): positive, or uncertain where the policy says so."""
        values = [LabelValue.POSITIVE]
        if uncertain_as == "positive":
            values.append(LabelValue.UNCERTAIN)
        return np.isin(self.codes, [_CODES[value] for value in values])


def confusion(reference: LabelMatrix, prediction: LabelMatrix, uncertain_as: UncertainAs) -> Floats:
    """(N, 14 * 3): per report and observation whether it is a true positive, a false one, a miss.

    The last axis is flat, so that sums over reports are sums over rows; ``as_counts`` unfolds it.
    """
    true, told = reference.positive(uncertain_as), prediction.positive(uncertain_as)
    cells = np.stack([true & told, ~true & told, true & ~told], axis=-1)
    return cells.reshape(len(true), -1).astype(np.float64)


def as_counts(flat: Floats) -> Floats:
    """(..., 14, 3) of true positives, false positives and misses from (..., 42)."""
    return flat.reshape(*flat.shape[:-1], len(OBSERVATIONS), 3)


def f1(counts: Floats) -> Floats:
    """F1 from (..., 3); zero where nothing was true and nothing told, as scikit-learn's
    ``zero_division=0``."""
    true_positive, false_positive, missed = counts[..., 0], counts[..., 1], counts[..., 2]
    return _share(2 * true_positive, 2 * true_positive + false_positive + missed)


def micro_f1(flat: Floats, labels: NDArray[np.intp] = FOURTEEN) -> Floats:
    """F1 of the pooled counts; ``flat`` (..., 42)."""
    return f1(as_counts(flat)[..., labels, :].sum(axis=-2))


def macro_f1(flat: Floats, labels: NDArray[np.intp] = FOURTEEN) -> Floats:
    """Unweighted mean F1 of the labels; one without positives counts as zero (see support)."""
    return np.asarray(f1(as_counts(flat)[..., labels, :]).mean(axis=-1))


def weighted_f1(flat: Floats, labels: NDArray[np.intp] = FOURTEEN) -> Floats:
    """Mean F1 of the labels, each weighing as many reports as assert it in the reference."""
    counts = as_counts(flat)[..., labels, :]
    support = counts[..., 0] + counts[..., 2]
    return _share((f1(counts) * support).sum(axis=-1), support.sum(axis=-1))


def samples_f1(flat: Floats, labels: NDArray[np.intp] = FOURTEEN) -> Floats:
    """F1 of each report alone, (N,), zero where neither text asserts anything: scikit-learn's
    "samples" average is the mean of it."""
    return f1(as_counts(flat)[..., labels, :].sum(axis=-2))


def exact_matches(flat: Floats, labels: NDArray[np.intp] = FIVE) -> Floats:
    """(N,) one where both texts assert the same of the labels: f1chexbert's accuracy is the mean
    of it over the five."""
    wrong = as_counts(flat)[..., labels, 1:].sum(axis=(-2, -1))
    return np.where(wrong == 0, 1.0, 0.0)


def report_f1(flat: Floats) -> Floats:
    """F1 of each report alone, (N,); one where neither text asserts anything (our choice: they
    agree)."""
    sums = as_counts(flat).sum(axis=-2)
    return np.where(sums.sum(axis=-1) == 0, 1.0, f1(sums))


@dataclass(frozen=True)
class LabelScore:
    """One observation: shares in 0-1, and how many reports assert it on either side."""

    observation: str
    precision: float
    recall: float
    f1: float
    support: int
    told: int


def label_scores(flat: Floats) -> list[LabelScore]:
    """Per-observation scores from ``confusion`` of all reports, (N, 42)."""
    counts = as_counts(flat.sum(axis=0))
    true_positive, false_positive, missed = counts.T
    precision = _share(true_positive, true_positive + false_positive)
    recall = _share(true_positive, true_positive + missed)
    rows = zip(OBSERVATIONS, precision, recall, f1(counts), counts, strict=True)
    return [
        LabelScore(name, float(p), float(r), float(f), int(c[0] + c[2]), int(c[0] + c[1]))
        for name, p, r, f, c in rows
    ]


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

"""Zero-shot classification: is a film nearer to a sentence that states a finding, or to one that
denies it? Scored as AUROC against the labels of the film's own text.

Shapes: N films, L labels, E embedding width, B resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from evaluation.clinical import LabelMatrix
from evaluation.statistics import Bootstrap, Floats, Interval, interval_of
from sources.record import OBSERVATIONS

LEAST_SUPPORT: Final = 5
"""Fewer subjects on either side give no AUROC worth printing (our choice): subjects are what is
drawn, and twenty films of one person are one."""

SENTENCES: Final[dict[str, tuple[tuple[str, str], tuple[str, str]]]] = {
    "Enlarged Cardiomediastinum": (
        ("The mediastinum is widened.", "There is widening of the mediastinum."),
        ("The mediastinum is normal.", "The mediastinal contour is normal."),
    ),
    "Cardiomegaly": (
        ("The heart is enlarged.", "There is cardiomegaly."),
        ("The heart is normal in size.", "The heart is not enlarged."),
    ),
    "Lung Opacity": (
        ("There is an opacity in the lung.", "Lung opacity is present."),
        ("The lungs are clear.", "There is no opacity in the lung."),
    ),
    "Lung Lesion": (
        ("There is a nodule in the lung.", "There is a mass in the lung."),
        ("There is no nodule.", "There is no mass."),
    ),
    "Edema": (
        ("There is pulmonary edema.", "There is edema of the lungs."),
        ("There is no pulmonary edema.", "There is no edema."),
    ),
    "Consolidation": (
        ("There is consolidation in the lung.", "There is a focal consolidation."),
        ("There is no focal consolidation.", "There is no consolidation."),
    ),
    "Pneumonia": (
        ("There is pneumonia.", "There are signs of pneumonia."),
        ("There is no pneumonia.", "There is no sign of pneumonia."),
    ),
    "Atelectasis": (
        ("There is atelectasis.", "There is atelectasis of the lung."),
        ("There is no atelectasis.", "The lungs are well expanded."),
    ),
    "Pneumothorax": (
        ("There is a pneumothorax.", "A pneumothorax is present."),
        ("There is no pneumothorax.", "No pneumothorax is present."),
    ),
    "Pleural Effusion": (
        ("There is a pleural effusion.", "A pleural effusion is present."),
        ("There is no pleural effusion.", "No pleural effusion is present."),
    ),
    "Pleural Other": (
        ("There is pleural thickening.", "The pleura is thickened."),
        ("There is no pleural thickening.", "The pleura is normal."),
    ),
    "Fracture": (
        ("There is a rib fracture.", "A rib is fractured."),
        ("There is no fracture.", "The ribs are intact."),
    ),
    "Support Devices": (
        ("There is a support device.", "A tube or line is present."),
        ("There is no support device.", "No tube or line is present."),
    ),
}
"""By observation two sentences that state it and two that deny it, as reports would (our wording).
The embeddings of a side are averaged. ``No Finding`` has no sentence of its own: it is the others'
absence."""


def prompts() -> list[str]:
    """Four sentences for each of SENTENCES, stated ones before denied ones."""
    return [text for sides in SENTENCES.values() for side in sides for text in side]


def prompt_scores(images: Floats, embedded: Floats) -> Floats:
    """(N, L) how much nearer each film is to the stated side; embeddings are of unit length.

    ``embedded`` (4 * L, E) follows ``prompts``.
    """
    sides = embedded.reshape(len(SENTENCES), 2, 2, -1).mean(axis=2)
    sides = sides / np.linalg.norm(sides, axis=-1, keepdims=True)
    return np.asarray(images @ (sides[:, 0] - sides[:, 1]).T)


@dataclass(frozen=True)
class ZeroShotScore:
    """AUROC of one observation; None with fewer than LEAST_SUPPORT subjects on a side.

    ``positive`` and ``negative`` count films, the other two the subjects behind them.
    """

    observation: str
    auroc: Interval
    positive: int
    negative: int
    positive_subjects: int
    negative_subjects: int


def score_zero_shot(
    scores: Floats, labels: LabelMatrix, subjects: Sequence[str], bootstrap: Bootstrap
) -> tuple[list[ZeroShotScore], Interval]:
    """AUROC by observation, and their mean over those with support.

    A draw without a film on one side has no AUROC. Such an observation's own interval is unknown;
    the mean of that draw is over the observations that have a value in it, so that one rare
    observation cannot take the mean's interval away.

    Args:
        scores: (N, L) of ``prompt_scores``.
        labels: of the films' own texts; uncertain ones take no part, unmentioned ones are negative.
        subjects: the person of each film, as drawn by ``bootstrap``.
    """
    positive = labels.positive("negative")
    uncertain = labels.positive("positive") & ~positive
    people = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)[1]
    found, values, draws = [], [], []
    for column, name in enumerate(SENTENCES):
        place = OBSERVATIONS.index(name)
        true = positive[:, place].astype(np.float64)
        counted = (~uncertain[:, place]).astype(np.float64)
        sides = (true > 0, counted > true)
        support = [int(side.sum()) for side in sides]
        support += [len(np.unique(people[side])) for side in sides]
        if min(support[2:]) < LEAST_SUPPORT:
            found.append(ZeroShotScore(name, Interval(None, None, None), *support))
            continue
        value = auroc(scores[:, column], true, counted[None])[0]
        drawn = auroc(scores[:, column], true, bootstrap.weights * counted)
        found.append(ZeroShotScore(name, interval_of(np.float64(value), drawn), *support))
        values.append(value)
        draws.append(drawn)
    if not values:
        return found, Interval(None, None, None)
    return found, interval_of(np.float64(np.mean(values)), mean_of_known(np.stack(draws)))


def mean_of_known(draws: Floats) -> Floats:
    """(B,) mean over labels (L, B) that have a value in the draw; not a number where none has."""
    known = ~np.isnan(draws)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, draws, 0.0).sum(axis=0) / known.sum(axis=0))


def auroc(scores: Floats, positive: Floats, weights: Floats) -> Floats:
    """(B,) area under the ROC curve of each row of weights (B, N); ties count half.

    Not a number where a row draws no film of one side.
    """
    values, group = np.unique(scores, return_inverse=True)
    membership = np.zeros((len(scores), len(values)))
    membership[np.arange(len(scores)), group] = 1.0
    hits = (weights * positive) @ membership
    misses = (weights * (1.0 - positive)) @ membership
    below = np.cumsum(misses, axis=1) - misses
    pairs = hits.sum(axis=1) * misses.sum(axis=1)
    won = (hits * (below + misses / 2)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(won / pairs)


def tracked_zero_shot(found: Sequence[ZeroShotScore], mean: Interval) -> dict[str, float]:
    """Numbers by name, for a registry."""
    named = {f"zero-shot/AUROC/{item.observation}": item.auroc.value for item in found}
    named["zero-shot/AUROC/mean"] = mean.value
    return {name: value for name, value in named.items() if value is not None}

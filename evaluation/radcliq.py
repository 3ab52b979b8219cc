"""RadCliQ v0 and v1: a weighted sum of four other metrics that predicts radiologists' error counts.

Lower is better. Each part is standardised with the mean and scale of the data that the weights were
fitted on; the constants are the published models' (evaluation_metrics 1.9), and 50 rows of
ReXrank's tables come out with them. A score is linear in its parts, so the mean over reports is the
score of the means. Shapes: (..., 4) parts in the order of ``PARTS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.statistics import Floats

PARTS = ("RadGraph entity and relation F1", "BERTScore", "SembScore", "BLEU-2")
"""RadGraph's mean of entity and relation F1 (not RG_ER); BERTScore of distilroberta-base, layer 5,
rescaled, without idf; cosine of CheXbert's [CLS] vectors; ReXrank's BLEU-2."""

RADCLIQ_REVISION = 1
"""Raise when a value changes; part of its signature."""


@dataclass(frozen=True)
class _Model:
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[float, ...]
    bias: float


_MODELS = {
    "v0": _Model(
        (0.5398376, 0.63125496, 0.77167979, 0.46073721),
        (0.30183444, 0.22466951, 0.24750334, 0.30336671),
        (-0.47962526, -0.67621705, -0.46366575, 0.21658619),
        1.6416667,
    ),
    "v1": _Model(
        (0.53792312, 0.61757256, 0.76479421, 0.44738335),
        (0.30282584, 0.22430938, 0.25394391, 0.29892717),
        (-0.377083683, -0.370300100, -0.252616218, 4.3e-12),
        2.5e-10,
    ),
}


def radcliq(parts: Floats, version: Literal["v0", "v1"] = "v1") -> Floats:
    """(...) RadCliQ from (..., 4) parts.

    v1 of a perfect report is -1.4407, v0's is -0.2421; of all zeros 2.450 and 5.516. ReXrank prints
    1/v1 of the mean, which is negative for a perfect report and undefined where v1 is zero.
    """
    assert parts.shape[-1] == len(PARTS)
    model = _MODELS[version]
    standard = (parts - np.array(model.mean)) / np.array(model.scale)
    return np.asarray(standard @ np.array(model.weight) + model.bias)

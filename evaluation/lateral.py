"""Findings that only a lateral film shows: whether a model that is given one tells them.

A replica's truth says which findings its frontal films do not show. Of those a model with frontal
films alone can only guess, so its F1 is what guessing gives. Shapes: N examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation import labeler_rules
from evaluation.clinical import LabelMatrix, f1
from evaluation.measures import OWN, Measure
from evaluation.statistics import Floats
from sources.record import OBSERVATIONS

FAMILY = "rule14-lateral-only"
"""Counts (N, 3): told and hidden, told and absent, hidden and not told, over all observations that
some test study hides. An observation that a frontal film shows counts as none of them."""


@dataclass(frozen=True)
class TrueStates:
    """One study's observations: ``hidden`` are on its lateral film alone, ``shown`` on others."""

    hidden: frozenset[str]
    shown: frozenset[str]


Truths = Mapping[tuple[str, str], TrueStates]
"""By source and study; studies that no replica drew are not in it."""


def lateral_counts(truths: Sequence[TrueStates | None], told: LabelMatrix) -> Floats:
    """(N, 3) counts of N predictions; rows without a truth are zero.

    Only observations that one of the studies hides are looked at: of the others there is nothing
    to find.
    """
    positive = told.positive("negative")
    looked_at = sorted(set().union(*(each.hidden for each in truths if each)))
    found = np.zeros((len(truths), 3))
    for name in looked_at:
        is_told = positive[:, OBSERVATIONS.index(name)]
        found += _cells(name, truths, is_told)
    return found


def _cells(
    name: str, truths: Sequence[TrueStates | None], is_told: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(N, 3) of one observation."""
    hidden = np.array([each is not None and name in each.hidden for each in truths], bool)
    absent = np.array(
        [each is not None and name not in each.hidden | each.shown for each in truths], bool
    )
    cells = [hidden & is_told, absent & is_told, hidden & ~is_told]
    return np.stack(cells, axis=-1).astype(np.float64)


def hidden_any(truths: Truths, studies: Sequence[tuple[str, str]]) -> bool:
    """Whether one of the studies hides a finding from its frontal films."""
    return any(truths[study].hidden for study in studies if study in truths)


def lateral_measures() -> list[Measure]:
    """F1 and recall of findings that only a lateral film shows."""
    about = {
        "implementation": f"{OWN} rule14 against a replica's truth",
        "version": str(labeler_rules.REVISION),
        "scale": "0-1",
        "level": "corpus",
        "uncertain_as": "negative",
        "labels": "those on a lateral film alone; what a frontal film shows is left out",
        "empty_output": "all unmentioned",
    }
    return [
        Measure("lateral-only-F1", FAMILY, f1, True, about),
        Measure("lateral-only-recall", FAMILY, _recall, True, about, is_detail=True),
    ]


def _recall(sums: Floats) -> Floats:
    """Told among hidden, from (..., 3); zero where nothing is hidden."""
    hidden = sums[..., 0] + sums[..., 2]
    return np.divide(sums[..., 0], hidden, out=np.zeros_like(hidden), where=hidden > 0)

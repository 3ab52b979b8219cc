"""Findings that one kind of film alone shows: whether a model that is given it tells them.

A replica's truth says which findings its frontal films do not show, and which its lateral ones do
not. Of those a model without that kind of film can only guess, so its F1 is what guessing gives.
Shapes: N examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from evaluation import labeler_rules
from evaluation.clinical import LabelMatrix, f1
from evaluation.measures import OWN, Measure
from evaluation.statistics import Floats
from sources.record import OBSERVATIONS

Kind = Literal["lateral", "frontal"]
FAMILY_OF: Final[Mapping[Kind, str]] = {
    "lateral": "rule14-lateral-only",
    "frontal": "rule14-frontal-only",
}
"""Counts (N, 3): told and on that kind of film alone, told and absent, on it alone and not told,
over all observations that some test study shows so. One that other films show too counts as none
of them."""


@dataclass(frozen=True)
class TrueStates:
    """One study's observations: ``hidden`` are on its lateral film alone, ``shown`` on frontal
    ones, and of these ``frontal`` on no lateral film."""

    hidden: frozenset[str]
    shown: frozenset[str]
    frontal: frozenset[str] = frozenset()

    def alone(self, kind: Kind) -> frozenset[str]:
        """The observations that this kind of film alone shows."""
        return self.hidden if kind == "lateral" else self.frontal


Truths = Mapping[tuple[str, str], TrueStates]
"""By source and study; studies that no replica drew are not in it."""


def film_counts(truths: Sequence[TrueStates | None], told: LabelMatrix, kind: Kind) -> Floats:
    """(N, 3) counts of N predictions; rows without a truth are zero.

    Only observations that one of the studies shows so are looked at: of the others there is
    nothing to find.
    """
    positive = told.positive("negative")
    looked_at = sorted(set().union(*(each.alone(kind) for each in truths if each)))
    found = np.zeros((len(truths), 3))
    for name in looked_at:
        is_told = positive[:, OBSERVATIONS.index(name)]
        found += _cells(name, truths, is_told, kind)
    return found


def _cells(
    name: str, truths: Sequence[TrueStates | None], is_told: NDArray[np.bool_], kind: Kind
) -> NDArray[np.float64]:
    """(N, 3) of one observation."""
    alone = np.array([each is not None and name in each.alone(kind) for each in truths], bool)
    absent = np.array(
        [each is not None and name not in each.hidden | each.shown for each in truths], bool
    )
    cells = [alone & is_told, absent & is_told, alone & ~is_told]
    return np.stack(cells, axis=-1).astype(np.float64)


def hidden_any(truths: Truths, studies: Sequence[tuple[str, str]]) -> bool:
    """Whether one of the studies hides a finding from its frontal films."""
    return any(truths[study].hidden for study in studies if study in truths)


def film_measures(kind: Kind) -> list[Measure]:
    """F1 and recall of findings that this kind of film alone shows."""
    other = "frontal" if kind == "lateral" else "lateral"
    about = {
        "implementation": f"{OWN} rule14 against a replica's truth",
        "version": str(labeler_rules.REVISION),
        "scale": "0-1",
        "level": "corpus",
        "uncertain_as": "negative",
        "labels": f"those on a {kind} film alone; what a {other} film shows is left out",
        "empty_output": "all unmentioned",
    }
    family = FAMILY_OF[kind]
    return [
        Measure(f"{kind}-only-F1", family, f1, True, about),
        Measure(f"{kind}-only-recall", family, _recall, True, about, is_detail=True),
    ]


def _recall(sums: Floats) -> Floats:
    """Told among all there are, from (..., 3); zero where there is none."""
    there = sums[..., 0] + sums[..., 2]
    return np.divide(sums[..., 0], there, out=np.zeros_like(there), where=there > 0)

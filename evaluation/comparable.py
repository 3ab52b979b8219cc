"""Whether two scorings' counts of one metric may be held against each other.

A metric's name does not tell which labeler, weights or judge counted; the counts table does. Two
numbers that were counted in different ways differ even where the models are alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from evaluation.counts_table import read_versions
from evaluation.measures import Measure
from evaluation.measures_neural import slots

if TYPE_CHECKING:
    from evaluation.paired import System

JUDGE = "judge "
"""How the families of a judge's counts begin."""
RULE14 = "rule14"
"""The labeler's entry among the versions: one for the families of both policies."""
_UNTOLD = "unknown"


def family_versions(counts: pa.Table, measures: Iterable[Measure]) -> dict[str, str]:
    """By family of the measures, what made its counts: code and data, weights, a judge's prompt."""
    told = read_versions(counts)
    encoders = {slot.measure.family: slot.encoders for slot in slots()}
    return {item.family: _version(item, told, encoders) for item in measures}


def _version(
    measure: Measure, told: Mapping[str, str], encoders: Mapping[str, tuple[str, ...]]
) -> str:
    family = measure.family
    if family.startswith(JUDGE):
        return measure.about["version"]
    if family.startswith(f"{RULE14}-"):
        return told.get(RULE14, _UNTOLD)
    names = encoders.get(family, (family,))
    return "; ".join(told.get(name, _UNTOLD) for name in names)


def why_not_comparable(own: System, other: System, metric: str) -> str | None:
    """Why one metric of the two cannot be compared; None if it can.

    Both must have it, with uncertain labels counted alike, from counts of one version.
    """
    for system, place in ((own, "first"), (other, "second")):
        if metric not in system.measures:
            return f"the {place} has no such metric"
    mine, theirs = own.measures[metric].family, other.measures[metric].family
    if mine != theirs:
        policies = [name.rpartition("-")[2] for name in (mine, theirs)]
        return f"uncertain labels count as {policies[0]} in the first, {policies[1]} in the second"
    versions = own.versions.get(mine, _UNTOLD), other.versions.get(mine, _UNTOLD)
    if versions[0] != versions[1]:
        return f"counted in two ways: {versions[0]} in the first, {versions[1]} in the second"
    return None


def common_judge(own: System, other: System) -> str | None:
    """The family of the first judge by name that judged both with one version; None without one.

    A mean of judges is none: it may be of other judges on each side.
    """
    families = [
        sorted({m.family for m in system.measures.values() if m.family.startswith(JUDGE)})
        for system in (own, other)
    ]
    for family in families[0]:
        if family in families[1] and own.versions.get(family) == other.versions.get(family):
            return family
    return None

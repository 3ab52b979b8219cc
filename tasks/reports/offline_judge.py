"""CheXprompt's six counts in two tiers, by rules: the offline stand-in for a judge.

Findings of reference and prediction are matched by name; what is left over is added or omitted,
what is matched may differ in side, region or grade. See ``offline_findings`` for the reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from tasks.reports.offline_findings import Finding, Reading, read_report

KINDS = (
    "false_positive_finding",
    "omission_finding",
    "incorrect_location",
    "incorrect_severity",
    "false_positive_comparison",
    "omission_comparison",
)
MINOR = frozenset(
    {
        "calcification",
        "spine",
        "aorta",
        "device",
        "emphysema",
        "thickening",
        "diaphragm",
        "blunting",
        "hernia",
    }
)
"""Findings whose error would seldom alter what is done (our choice, after the usual reading of
ReXVal's tiers: degenerative, atheromatous and long-standing changes)."""
KIN = (
    frozenset({"opacity", "infiltrate", "consolidation", "pneumonia"}),
    frozenset({"nodule", "mass", "cavity"}),
    frozenset({"atelectasis", "opacity"}),
    frozenset({"effusion", "blunting"}),
    frozenset({"fibrosis", "opacity"}),
)
"""Names of one thing in other words: taken for the other, they are one small error of grade."""


@dataclass(frozen=True)
class FoundError:
    """One error: its kind and tier, the finding it is about, and that finding's side as the text
    that has it says (``L``, ``R``, ``LR`` or empty). A change of no named finding is ``-``."""

    kind: str
    tier: Literal["significant", "insignificant"]
    finding: str
    side: str


def judge(payload: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The answer to a judge's question."""
    found = find_errors(str(payload["reference"]), str(payload["prediction"]))
    counts = Counter((error.tier, error.kind) for error in found)
    return {
        tier: {kind: counts[tier, kind] for kind in KINDS}
        for tier in ("significant", "insignificant")
    }


def find_errors(reference: str, prediction: str) -> list[FoundError]:
    """Every error of a prediction, one by one."""
    true, told = read_report(reference), read_report(prediction)
    return [*_findings_apart(true, told), *_changes_apart(true, told)]


def _findings_apart(reference: Reading, prediction: Reading) -> Iterator[FoundError]:
    added = [item for name, item in prediction.findings.items() if name not in reference.findings]
    lost = [item for name, item in reference.findings.items() if name not in prediction.findings]
    for finding in list(lost):
        kin = next((item for item in added if _are_kin(finding, item)), None)
        if kin is not None:
            lost.remove(finding)
            added.remove(kin)
            yield _error("incorrect_severity", "insignificant", finding)
            yield from _places_apart(finding, kin)
    for finding in added:
        yield _error("false_positive_finding", _tier(finding), finding)
    for finding in lost:
        yield _error("omission_finding", _tier(finding), finding)
    for name in reference.findings.keys() & prediction.findings.keys():
        one, other = reference.findings[name], prediction.findings[name]
        yield from _places_apart(one, other)
        if one.grade and other.grade and one.grade != other.grade:
            apart = abs(one.grade - other.grade) > 1 and name not in MINOR
            yield _error("incorrect_severity", "significant" if apart else "insignificant", one)


def _error(
    kind: str, tier: Literal["significant", "insignificant"], finding: Finding
) -> FoundError:
    return FoundError(kind, tier, finding.name, "".join(sorted(finding.sides)))


def _are_kin(one: Finding, other: Finding) -> bool:
    return any({one.name, other.name} <= names for names in KIN)


def _tier(finding: Finding) -> Literal["significant", "insignificant"]:
    """Minor, trace or doubted findings are insignificant when wrong."""
    small = finding.name in MINOR or finding.grade == 1 or finding.doubted
    return "insignificant" if small else "significant"


def _places_apart(one: Finding, other: Finding) -> Iterator[FoundError]:
    """Another side is significant, another region of the same side is not."""
    if one.sides and other.sides and one.sides != other.sides:
        minor = one.name in MINOR or bool(one.sides & other.sides)
        yield _error("incorrect_location", "insignificant" if minor else "significant", one)
    elif one.regions and other.regions and one.regions != other.regions:
        yield _error("incorrect_location", "insignificant", one)


def _changes_apart(reference: Reading, prediction: Reading) -> Iterator[FoundError]:
    """A change is significant, a statement that nothing changed is not."""
    for kind, changes in (
        ("false_positive_comparison", _beyond(prediction.changes, reference.changes)),
        ("omission_comparison", _beyond(reference.changes, prediction.changes)),
    ):
        for name, direction in sorted(changes):
            tier: Literal["significant", "insignificant"]
            tier = "insignificant" if direction == "same" else "significant"
            yield FoundError(kind, tier, name, "")


def _beyond(
    changes: frozenset[tuple[str, str]], other: frozenset[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Changes that the other text has not; one of no named finding fits any of its direction."""
    directions = {direction for _, direction in other}
    return {
        (name, direction)
        for name, direction in changes - other
        if ("-", direction) not in other and not (name == "-" and direction in directions)
    }

"""CheXprompt's six counts in two tiers, by rules: the offline stand-in for a judge.

Findings of reference and prediction are matched by name; what is left over is added or omitted,
what is matched may differ in side, region or grade. See ``offline_findings`` for the reading.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

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

Errors = Counter[tuple[str, str]]


def judge(payload: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The answer to a judge's question."""
    reference = read_report(str(payload["reference"]))
    prediction = read_report(str(payload["prediction"]))
    errors: Errors = Counter()
    _compare_findings(reference, prediction, errors)
    _compare_changes(reference, prediction, errors)
    return {
        tier: {kind: errors[tier, kind] for kind in KINDS}
        for tier in ("significant", "insignificant")
    }


def _compare_findings(reference: Reading, prediction: Reading, errors: Errors) -> None:
    added = [item for name, item in prediction.findings.items() if name not in reference.findings]
    lost = [item for name, item in reference.findings.items() if name not in prediction.findings]
    for finding in list(lost):
        kin = next((item for item in added if _are_kin(finding, item)), None)
        if kin is not None:
            lost.remove(finding)
            added.remove(kin)
            errors["insignificant", "incorrect_severity"] += 1
            _compare_places(finding, kin, errors)
    for finding in added:
        errors[_tier(finding), "false_positive_finding"] += 1
    for finding in lost:
        errors[_tier(finding), "omission_finding"] += 1
    for name in reference.findings.keys() & prediction.findings.keys():
        one, other = reference.findings[name], prediction.findings[name]
        _compare_places(one, other, errors)
        if one.grade and other.grade and one.grade != other.grade:
            apart = abs(one.grade - other.grade) > 1 and name not in MINOR
            errors["significant" if apart else "insignificant", "incorrect_severity"] += 1


def _are_kin(one: Finding, other: Finding) -> bool:
    return any({one.name, other.name} <= names for names in KIN)


def _tier(finding: Finding) -> str:
    """Minor, trace or doubted findings are insignificant when wrong."""
    small = finding.name in MINOR or finding.grade == 1 or finding.doubted
    return "insignificant" if small else "significant"


def _compare_places(one: Finding, other: Finding, errors: Errors) -> None:
    """Another side is significant, another region of the same side is not."""
    if one.sides and other.sides and one.sides != other.sides:
        minor = one.name in MINOR or bool(one.sides & other.sides)
        errors["insignificant" if minor else "significant", "incorrect_location"] += 1
    elif one.regions and other.regions and one.regions != other.regions:
        errors["insignificant", "incorrect_location"] += 1


def _compare_changes(reference: Reading, prediction: Reading, errors: Errors) -> None:
    """A change is significant, a statement that nothing changed is not."""
    for kind, changes in (
        ("false_positive_comparison", _beyond(prediction.changes, reference.changes)),
        ("omission_comparison", _beyond(reference.changes, prediction.changes)),
    ):
        for _, direction in changes:
            errors["insignificant" if direction == "same" else "significant", kind] += 1


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

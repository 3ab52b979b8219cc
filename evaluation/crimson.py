"""CRIMSON's arithmetic: from findings that a judge named, matched and weighed to a score.

A matched finding is worth its weight, less for attributes told wrongly; a false finding costs its
weight. What is left over the reference's weights is the score; where more is false than right it
falls towards -1 and never reaches it (evaluation_metrics 1.11). The judge itself is a language
model and is not part of this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from infra.errors import InputError

WEIGHTS: Mapping[str, float] = {
    "urgent": 1.0,
    "actionable_not_urgent": 0.5,
    "not_actionable_not_urgent": 0.25,
    "benign_expected": 0.0,
}
"""Of a finding's clinical significance (evaluation_metrics 1.11)."""
ATTRIBUTE_WEIGHTS: Mapping[str, float] = {"significant": 0.5, "negligible": 0.0}
"""Of one attribute told wrongly, such as side or size (evaluation_metrics 1.11)."""


_ADVICE = "ask the judge again"
Value = TypeVar("Value", str, float)


@dataclass(frozen=True)
class Judged:
    """What a judge said of one pair of reports.

    Args:
        reference, predicted: significance of each finding by its id.
        matched: pairs of ids, the reference's first.
        false: ids of predicted findings that the reference lacks.
        attribute_errors: by the reference's id, the severity of each wrong attribute of a match.
    """

    reference: Mapping[str, str]
    predicted: Mapping[str, str]
    matched: Sequence[tuple[str, str]] = ()
    false: Sequence[str] = ()
    attribute_errors: Mapping[str, Sequence[str]] = field(default_factory=dict)


def crimson(judged: Judged) -> float:
    """The score of one pair, in (-1, 1].

    A reference without weight (none, or benign findings alone) scores one where nothing is false;
    else what is false pulls it below zero.

    Raises:
        InputError: a significance, a severity or an id that there is none of; a finding that is
            matched twice, or both matched and false, or told false twice; attributes of a finding
            that is not matched.
    """
    _check(judged)
    kept = sum(_kept(judged, finding) for finding, _ in judged.matched)
    wrong = sum(_weight(judged.predicted, finding) for finding in judged.false)
    whole = sum(_weight(judged.reference, finding) for finding in judged.reference)
    if whole == 0:
        return 1.0 if wrong == 0 else -wrong / (1 + wrong)
    score = (kept - wrong) / whole
    short = wrong - kept
    return score if score >= 0 else -short / (1 + short)


def _check(judged: Judged) -> None:
    """Every finding of one side answers for at most one of the other."""
    references = [one for one, _ in judged.matched]
    told = [other for _, other in judged.matched]
    for findings, ids in (
        (judged.reference, references),
        (judged.predicted, [*told, *judged.false]),
    ):
        for finding in ids:
            _look_up(findings, finding, "finding")
        twice = next((finding for finding in ids if ids.count(finding) > 1), None)
        if twice is not None:
            raise InputError(f"finding '{twice}' twice", "matched or false, and once", _ADVICE)
    for finding, severities in judged.attribute_errors.items():
        _look_up(dict.fromkeys(references, ""), finding, "attributes of finding")
        for severity in severities:
            _look_up(ATTRIBUTE_WEIGHTS, severity, "severity")


def _kept(judged: Judged, finding: str) -> float:
    """w * w / (w + attribute errors); a weightless finding keeps nothing."""
    weight = _weight(judged.reference, finding)
    errors = judged.attribute_errors.get(finding, ())
    lost = sum(_look_up(ATTRIBUTE_WEIGHTS, severity, "severity") for severity in errors)
    return weight * weight / (weight + lost) if weight else 0.0


def _weight(findings: Mapping[str, str], finding: str) -> float:
    return _look_up(WEIGHTS, _look_up(findings, finding, "finding"), "significance")


def _look_up(table: Mapping[str, Value], key: str, what: str) -> Value:
    if key not in table:
        known = ", ".join(table) or "none at all"
        raise InputError(f"{what} '{key}'", f"one of {known}", _ADVICE)
    return table[key]

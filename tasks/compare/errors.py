"""Every error of a model by kind, finding and side, as the rules of the offline judge read texts.

A judge that counts errors does not say which finding each is about; these rules do. They are the
offline judge's, whoever judged the run, and the table says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tasks.reports.offline_findings import read_report
from tasks.reports.offline_judge import FoundError, find_errors

TITLES = {
    "false_positive_finding": "hallucinated",
    "omission_finding": "omitted",
    "incorrect_location": "wrong place",
    "incorrect_severity": "wrong severity",
    "false_positive_comparison": "invented comparison",
    "omission_comparison": "omitted comparison",
}
SIDES = {"": "-", "L": "left", "R": "right", "LR": "both"}
FORMAT = 1
"""Raise when a reader of ``to_dict`` must change."""


@dataclass(frozen=True)
class ErrorGroup:
    """Errors of one kind about one finding on one side; ``examples`` holds the first ids."""

    kind: str
    finding: str
    side: str
    significant: int
    insignificant: int
    examples: tuple[str, ...]

    @property
    def errors(self) -> int:
        return self.significant + self.insignificant


@dataclass(frozen=True)
class FindingRow:
    """One finding: reports that have it, and what the model made of them.

    Of those whose reference has it, the prediction has it too, omits it or names it otherwise (an
    opacity for a consolidation, which is an error of severity); of those whose prediction has it,
    the reference has it too, it is hallucinated, or it is said for another. So each adds up.
    """

    finding: str
    in_references: int
    in_predictions: int
    in_both: int
    hallucinated: int
    omitted: int
    named_otherwise: int
    said_for_another: int


@dataclass(frozen=True)
class ErrorTable:
    """All errors of a model; groups with most significant errors and findings with most errors
    first."""

    groups: tuple[ErrorGroup, ...]
    findings: tuple[FindingRow, ...]
    reports: int
    without_error: int
    without_significant_error: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"format": FORMAT, "read_by": "offline-rules", **asdict(self)}


def error_table(pairs: Iterable[tuple[str, str, str]], shown: int) -> ErrorTable:
    """The table of all (example id, reference, prediction) pairs.

    Args:
        shown: how many example ids each group keeps.
    """
    groups: dict[tuple[str, str, str], list[tuple[str, FoundError]]] = defaultdict(list)
    findings: dict[str, list[int]] = defaultdict(lambda: [0] * 7)
    reports = free = nearly_free = 0
    for example_id, reference, prediction in pairs:
        errors = find_errors(reference, prediction)
        reports += 1
        free += not errors
        nearly_free += not any(error.tier == "significant" for error in errors)
        for error in errors:
            groups[error.kind, error.finding, error.side].append((example_id, error))
        _count_findings(findings, reference, prediction, errors)
    rows = [FindingRow(name, *counts) for name, counts in findings.items()]
    return ErrorTable(
        tuple(sorted(_groups(groups, shown), key=_most_errors)),
        tuple(sorted(rows, key=lambda row: (-row.hallucinated - row.omitted, row.finding))),
        reports,
        free,
        nearly_free,
    )


def _most_errors(group: ErrorGroup) -> tuple[int, int, str, str, str]:
    return (-group.significant, -group.errors, group.kind, group.finding, group.side)


def _groups(
    groups: Mapping[tuple[str, str, str], list[tuple[str, FoundError]]], shown: int
) -> Iterable[ErrorGroup]:
    for (kind, finding, side), found in groups.items():
        significant = sum(error.tier == "significant" for _, error in found)
        ids = tuple(dict.fromkeys(example_id for example_id, _ in found))[:shown]
        yield ErrorGroup(
            TITLES[kind], finding, SIDES[side], significant, len(found) - significant, ids
        )


def _count_findings(
    findings: dict[str, list[int]], reference: str, prediction: str, errors: Sequence[FoundError]
) -> None:
    true, told = set(read_report(reference).findings), set(read_report(prediction).findings)
    for name in true | told:
        row = findings[name]
        row[0] += name in true
        row[1] += name in told
        row[2] += name in true and name in told
    added = {error.finding for error in errors if error.kind == "false_positive_finding"}
    lost = {error.finding for error in errors if error.kind == "omission_finding"}
    exchanged = true - told - lost, told - true - added
    for column, names in enumerate((added, lost, *exchanged), start=3):
        for name in names:
            findings[name][column] += 1

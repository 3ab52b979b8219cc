"""Comparisons, slices and errors as texts for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evaluation.interval_text import difference_text, interval_text, number_text, plain
from infra.errors import one_line
from tasks.compare.errors import ErrorTable

if TYPE_CHECKING:
    from evaluation.compare import Change, Comparison
    from evaluation.paired import PairedDifference
    from evaluation.slices import Slices
    from evaluation.statistics import Interval

Texts = Mapping[str, tuple[str, str, str]]
"""By example id: reference, first prediction, second prediction."""


def _gap(interval: Interval) -> str:
    return plain(difference_text(interval))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns: the first to the left, numbers to the right."""
    widths = [max(len(line[at]) for line in (header, *rows)) for at in range(len(header))]
    lines = []
    for line in (header, *rows):
        first, *rest = (
            cell.ljust(w) if not at else cell.rjust(w)
            for at, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)


def comparison_text(names: tuple[str, str], found: Comparison, texts: Texts | None) -> str:
    """Every metric, then the examples that changed most; report text only if it is given."""
    rows = [_difference_row(item) for item in found.differences]
    header = ["metric", "A", "B", "B less A [95 %]", "p", "p (Holm)", "B is"]
    parts = [
        f"A  {names[0]}\nB  {names[1]}\n{found.examples:,} examples of {found.subjects:,} "
        "subjects, of both",
        table(header, rows),
        _how_compared(found),
        *_reasons(found),
        *_changes_text("improved most in B", found.improved, texts),
        *_changes_text("worsened most in B", found.worsened, texts),
        f"{found.unchanged:,} examples unchanged"
        if found.improved or found.worsened or found.unchanged
        else "examples are not held against each other: their labelers differ",
    ]
    if found.judge is not None:
        parts.append(f"significant errors are those that {found.judge} counted")
    return "\n\n".join(parts)


def _difference_row(item: PairedDifference) -> list[str]:
    verdicts = {True: "better", False: "WORSE", None: "no difference shown"}
    return [
        f"{item.metric} {'↑' if item.higher_is_better else '↓'}",
        *(plain(number_text(value)) for value in (item.own, item.other)),
        _gap(item.difference),
        *("-" if p is None else f"{p:.4f}" for p in (item.p, item.p_holm)),
        verdicts[item.better] if item.reason is None else "not compared",
    ]


def _how_compared(found: Comparison) -> str:
    """What the columns are, and what a verdict takes."""
    from evaluation.paired import LEVEL, rounds_needed

    text = (
        "↑ higher is better, ↓ lower is better\n"
        f"intervals by {found.resamples:,} resamples of subjects, p by as many exchanges, seed "
        f"{found.seed}; p (Holm) is corrected for {found.tests} metrics tested\n"
        f"B is better or worse where p (Holm) is below {LEVEL:g} and the interval lies on one side "
        "of zero"
    )
    needed = rounds_needed(found.tests)
    if found.resamples >= needed:
        return text
    return f"{text}\ntoo few to tell any difference: give --resamples {needed} or more"


def _reasons(found: Comparison) -> list[str]:
    """Why some metrics were not compared; one line for those of one reason."""
    by_reason: dict[str, list[str]] = {}
    for item in found.differences:
        if item.reason is not None:
            by_reason.setdefault(item.reason, []).append(item.metric)
    lines = [f"not compared: {reason}: {', '.join(names)}" for reason, names in by_reason.items()]
    return ["\n".join(lines)] if lines else []


def _changes_text(title: str, changes: Sequence[Change], texts: Texts | None) -> list[str]:
    if not changes:
        return []
    lines = [f"{title}:"]
    for change in changes:
        errors = ""
        if change.errors is not None:
            errors = f", significant errors {change.errors[0]:g} to {change.errors[1]:g}"
        lines.append(
            f"  {change.example_id}: rule14 F1 {change.f1[0]:.2f} to {change.f1[1]:.2f}{errors}"
        )
        if texts is not None:
            labels = ("reference", "A", "B")
            lines += [
                f"    {label:9}  {one_line(text)}"
                for label, text in zip(labels, texts[change.example_id], strict=True)
            ]
    return ["\n".join(lines)]


def slices_text(name: str, found: Slices) -> str:
    """A table for each metric, then its worst slice."""
    from evaluation.slices import verdict

    parts = [name]
    for metric in dict.fromkeys(item.metric for item in found.scores):
        rows = [
            [
                f"{item.dimension}: {item.value}",
                f"{item.examples:,}",
                f"{item.subjects:,}",
                plain(interval_text(item.score)),
                _gap(item.gap),
            ]
            for item in found.scores
            if item.metric == metric
        ]
        parts.append(table([metric, "examples", "subjects", "score", "less the rest"], rows))
        parts.append(plain(verdict(found, metric)))
    parts.append(
        f"{found.looked_at} slices were looked at; intervals in the tables are those of each slice "
        "alone"
        if found.scores
        else "nothing to slice by: every dimension has one value"
    )
    if found.not_sliced:
        parts.append(f"not sliced: {found.not_sliced}")
    return "\n\n".join(parts)


def errors_text(name: str, found: ErrorTable, most: int, texts: Mapping[str, str] | None) -> str:
    """Findings, then the groups with most significant errors."""
    findings = [
        [
            row.finding,
            *(
                f"{number:,}"
                for number in (
                    row.in_references,
                    row.in_predictions,
                    row.in_both,
                    row.hallucinated,
                    row.omitted,
                    row.named_otherwise,
                    row.said_for_another,
                )
            ),
        ]
        for row in found.findings
    ]
    groups = [
        [
            f"{group.kind}: {group.finding}",
            group.side,
            f"{group.significant:,}",
            f"{group.insignificant:,}",
            group.examples[0],
        ]
        for group in found.groups[:most]
    ]
    header = ["finding", "in references", "in predictions", "in both", "hallucinated", "omitted"]
    header += ["named otherwise", "said for another"]
    parts = [
        f"{name}: {found.reports:,} reports, {found.without_error:,} without an error, "
        f"{found.without_significant_error:,} without a significant one (read by offline-rules)",
        table(header, findings),
        table(["error", "side", "significant", "insignificant", "for example"], groups),
    ]
    if len(found.groups) > most:
        rest = len(found.groups) - most
        parts.append(f"{rest} groups with no more significant errors are in --json")
    if texts:
        parts.append("\n".join(f"{key}\n{text}" for key, text in texts.items()))
    return "\n\n".join(parts)

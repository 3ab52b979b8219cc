"""Comparisons, slices and errors as texts for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evaluation.interval_text import difference_text, interval_text, number_text, plain
from infra.errors import one_line
from tasks.compare.errors import ErrorTable

if TYPE_CHECKING:
    from evaluation.compare import Change, Comparison
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
    verdicts = {True: "better", False: "WORSE", None: "no difference shown"}
    rows = [
        [
            item.metric,
            plain(number_text(item.own)),
            plain(number_text(item.other)),
            _gap(item.difference),
            f"{item.p:.4f}",
            f"{p:.4f}",
            verdicts[item.better],
        ]
        for item, p in zip(found.differences, found.p_holm, strict=True)
    ]
    header = ["metric", "A", "B", "B less A [95 %]", "p", "p (Holm)", "B is"]
    parts = [
        f"A  {names[0]}\nB  {names[1]}\n{found.examples:,} examples of both",
        table(header, rows),
        *_changes_text("improved most in B", found.improved, texts),
        *_changes_text("worsened most in B", found.worsened, texts),
        f"{found.unchanged:,} examples unchanged",
    ]
    return "\n\n".join(parts)


def _changes_text(title: str, changes: Sequence[Change], texts: Texts | None) -> list[str]:
    if not changes:
        return []
    lines = [f"{title}:"]
    for change in changes:
        errors = ""
        if change.errors is not None:
            errors = f", significant errors {change.errors[0]} to {change.errors[1]}"
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
        worst = found.worst.get(metric)
        if worst is not None:
            sure = (
                "and its interval excludes zero" if worst.is_worse else "which chance may explain"
            )
            parts.append(
                f"worst slice: {worst.dimension} {worst.value}, {_gap(worst.gap)} from the "
                f"rest, {sure}; {found.looked_at} slices were looked at"
            )
    if not found.scores:
        parts.append("nothing to slice by: every dimension has one value")
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
    parts = [
        f"{name}: {found.reports:,} reports, {found.without_error:,} without an error, "
        f"{found.without_significant_error:,} without a significant one (read by offline-rules)",
        table(header, findings),
        table(["error", "side", "significant", "insignificant", "for example"], groups),
    ]
    if len(found.groups) > most:
        parts.append(f"{len(found.groups) - most} smaller groups are in --json")
    if texts:
        parts.append("\n".join(f"{key}\n{text}" for key, text in texts.items()))
    return "\n\n".join(parts)

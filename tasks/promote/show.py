"""Outcomes, promotions and their history for a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from infra.errors import one_line
from infra.promotion_log import Entry, History
from infra.promotions import CHAMPION, shown

if TYPE_CHECKING:
    from evaluation.gate_outcome import Check, Outcome

FORMAT: Final = 1
"""Raise when a reader of ``history_json`` must change."""


def outcome_text(outcome: Outcome) -> str:
    """A line for each check, then the verdict, then each failed check on a line of its own."""
    from evaluation.gate_page import title_of

    lines = [_line(check) for check in outcome.checks]
    lines += ["", one_line(title_of(outcome)), f"outcome {outcome.digest}"]
    lines += [f"failed: {one_line(f'{each.title}: {each.reason}')}" for each in outcome.failed]
    return "\n".join(lines)


def _line(check: Check) -> str:
    verdict = "ok    " if check.passed else "FAILED"
    return f"{verdict}  {one_line(f'{check.title}: {check.reason}')}"


def entry_text(model: str, entry: Entry) -> str:
    """What an entry that holds has done."""
    before = f"in place of {shown(entry.expected)}" if entry.expected else "the first"
    return f"models:/{model}@{CHAMPION} is version {entry.version}, {before} (entry {entry.number})"


def history_text(model: str, history: History, alias: int) -> str:
    """The table, newest entry first, and what is out of order."""
    lines = [f"{'entry':>5}  {'when':<25}  {'kind':<8}  {'version':>7}  {'before':>6}  who and why"]
    lines += [_row(history, entry) for entry in reversed(history.entries)]
    lines += ["", f"{CHAMPION} of {model}: {shown(history.champion)}"]
    if alias != history.champion:
        lines.append(
            f"alias {CHAMPION} points at {shown(alias)}: the next promotion or rollback puts it in "
            "order"
        )
    if history.missing:
        lines.append(f"deleted from the log: entries {', '.join(map(str, history.missing))}")
    return "\n".join(lines)


def _row(history: History, entry: Entry) -> str:
    effect = "" if history.holds(entry.key) else "without effect, another one was first; "
    why = one_line(f"{effect}{entry.by}{': ' if entry.reason else ''}{entry.reason}")
    return (
        f"{entry.number:>5}  {entry.at:<25}  {entry.kind:<8}  {entry.version or 'none':>7}  "
        f"{entry.expected or 'none':>6}  {why}"
    )


def history_json(model: str, history: History, alias: int) -> dict[str, Any]:
    """Plain values for JSON; 0 stands for no champion."""
    return {
        "format": FORMAT,
        "model": model,
        "champion": history.champion,
        "alias": alias,
        "entries": [
            {**asdict(entry), "holds": history.holds(entry.key)} for entry in history.entries
        ],
        "missing": list(history.missing),
    }

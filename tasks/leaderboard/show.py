"""The leaderboard for a terminal, 100 columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from evaluation.interval_text import interval_text, plain
from evaluation.leaderboard_page import (
    OTHER_TEST_SETS,
    controls_text,
    named,
    reasons,
    standing_parts,
)
from infra.errors import one_line
from tasks.leaderboard.work import Leaderboard, status_of

if TYPE_CHECKING:
    from evaluation.leaderboard import Group, Placed, Refusal, Table

WIDTH: Final = 100
_SYSTEM: Final = 40  # columns of a system's name where its group is named beside it (our choice)
_NAME: Final = 60  # and where it is not
_NUMBER: Final = 20  # "0.455 [0.418, 0.491]"


def overview_text(found: Leaderboard) -> str:
    """What was run, then every headline's entries of the reproduced systems, a line each."""
    shown = found.headlines
    parts = [_systems(found), _how_ranked(), *_tasks(shown), _legend(shown)]
    left = len(found.tables) - len(shown)
    parts.append(f"signatures, and what parts groups: --measure NAME, or --all ({left} more)")
    return "\n\n".join([*parts, *_older(found)])


def full_text(found: Leaderboard, tables: Sequence[Table]) -> str:
    """The same with every entry of these tables, its signature, and why groups are parted."""
    parts = [_systems(found), _how_ranked(), *(table_text(table) for table in tables)]
    return "\n\n".join([*parts, *_older(found)])


def _older(found: Leaderboard) -> list[str]:
    told = f"{found.older} older runs of the same settings: --older"
    return [told] if found.older else []


def _systems(found: Leaderboard) -> str:
    """A line for each recipe; one that was not run stands there with its published figures."""
    lines = [f"data root  {one_line(root)}" for root in found.roots]
    lines += ["", f"{'recipe':<11}{'here':<22}{'published':<12}paper"]
    for system in found.systems:
        runs = found.runs_of(system.recipe)
        ablations = sum(bool(run.variant) for run in runs)
        told = f"runs {len(runs) - ablations}, variants {ablations}" if runs else status_of(runs)
        figures = f"{found.published_figures(system.recipe)} figures"
        lines.append(f"{system.recipe:<11}{told:<22}{figures:<12}{system.paper}")
    return "\n".join(lines)


def _how_ranked() -> str:
    text = (
        "Numbers are ranked within a group alone, where all that made them is told and equal. "
        "Groups of a measure (a, b, ...) stand side by side, never ranked with each other."
    )
    return "\n".join([*wrap(text, WIDTH), *wrap(OTHER_TEST_SETS, WIDTH)])


def _tasks(tables: Sequence[Table]) -> list[str]:
    """One block for each task, its measures under each other."""
    blocks: dict[str, list[str]] = {}
    for table in tables:
        blocks.setdefault(table.task, []).extend(_brief(table))
    head = f"{'value [95 %]':>{_NUMBER}}  {'rank':<5}  group"
    return [
        "\n".join([f"{task.upper():<{_SYSTEM}} {head}", *lines]) for task, lines in blocks.items()
    ]


def _brief(table: Table) -> list[str]:
    better = "higher" if table.higher_is_better else "lower"
    lines = [f"  {table.measure} ({table.scale}, {better} is better)"]
    for group in table.groups:
        for placed in group.entries:
            if placed.entry.recipe is not None:
                lines += _brief_lines(group, placed, table.scale)
    return lines


def _brief_lines(group: Group, placed: Placed, scale: str) -> list[str]:
    """One line, or two where a variant's name is long."""
    rank = "-" if placed.rank is None else f"{placed.rank}/{len(group.entries)}"
    told = group.standing.told
    place = group.standing.within or f"{told['dataset']}, n {int(told['n']):,}"
    name = f"    {one_line(placed.entry.system)}{_policy(group)}"
    rest = f" {_number(placed, scale):>{_NUMBER}}  {rank:<5}  {group.name} {place}"
    lines = [f"{name:<{_SYSTEM}}{rest}"]
    if len(name) > _SYSTEM:
        lines = [*wrap(name, WIDTH, subsequent_indent=" " * 6), f"{'':<{_SYSTEM}}{rest}"]
    return [*lines, *_controls(placed, scale)]


def _controls(placed: Placed, scale: str) -> list[str]:
    """What the same model's controls reach, under the number."""
    told = controls_text(placed.entry.controls_on(scale), scale)
    return [f"      without looking: {plain(told)}"] if told else []


def _policy(group: Group) -> str:
    """What becomes of doubts, of a number measured here whose name tells it."""
    policy = group.standing.told.get("uncertain_as", "none")
    return "" if group.standing.within or policy == "none" else f" (uncertain {policy})"


def _number(placed: Placed, scale: str) -> str:
    value, low, high = placed.entry.on(scale)
    return plain(interval_text({"value": value, "low": low, "high": high}, scale))


def _legend(tables: Sequence[Table]) -> str:
    """Where the published figures among those shown are quoted from."""
    from evaluation.published import quoted_tables

    used = {
        group.standing.within
        for table in tables
        for group in table.groups
        if any(placed.entry.recipe for placed in group.entries)
    }
    lines = ["QUOTED FROM"]
    for name, about in quoted_tables().items():
        if name in used:
            note = f" ({about['note']})" if about["note"] else ""
            text = f"{name:<23}{about['quoted_from']}{note}"
            lines += wrap(text, WIDTH, initial_indent="  ", subsequent_indent=" " * 25)
    return "\n".join(lines)


def table_text(table: Table) -> str:
    """One measure of one task: its groups, then which are not ranked together."""
    better = "higher" if table.higher_is_better else "lower"
    head = f"{table.task}: {table.measure} ({table.scale}, {better} is better)"
    lines = [head, "-" * len(head)]
    for group in table.groups:
        lines += _group(group, table.scale)
    lines += [line for each in table.refusals for line in _refusal(each)]
    return "\n".join(lines)


def _group(group: Group, scale: str) -> list[str]:
    lines = wrap(
        f"{group.name}  {standing_text(group)}", WIDTH, initial_indent="", subsequent_indent="   "
    )
    for placed in group.entries:
        lines += [*_entry(placed, scale), *_controls(placed, scale)]
    for place in dict.fromkeys(each.entry.quoted_from for each in group.entries):
        if place is not None:
            lines += wrap(
                f"quoted from {place}", WIDTH, initial_indent="      ", subsequent_indent="      "
            )
    return lines


def standing_text(group: Group) -> str:
    """What all entries of the group share, and what is not told of them."""
    parts = standing_parts(group.standing.told, group.standing.details)
    if group.standing.untold:
        parts.append(f"not told: {named(group.standing.untold)}")
    return " | ".join(parts)


def _entry(placed: Placed, scale: str) -> list[str]:
    entry = placed.entry
    number = _number(placed, scale)
    rank = "" if placed.rank is None else str(placed.rank)
    *above, name = wrap(one_line(entry.system), _NAME)
    first = [f"{'':>5} {line}" for line in above]
    return [*first, f"{rank:>5} {name:<{_NAME}} {number:>{_NUMBER}}  {entry.kind}"]


def _refusal(each: Refusal) -> list[str]:
    one, other = each.groups
    text = f"not ranked: {one} with {other} ({reasons(each.differ, each.untold)})"
    return wrap(text, WIDTH, initial_indent="   ", subsequent_indent="     ")

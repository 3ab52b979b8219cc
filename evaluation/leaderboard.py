"""Scores of recipes, of their ablations and of papers side by side, ranked where that may be.

Two numbers of one name are ranked together only where all that made them is told and equal: the
metric with its profile, its version, its label set and what becomes of doubts, the data set, the
split, the section of text, how many examples and which. What a paper does not tell may be anything,
so it equals nothing but the same table's. Entries of one standing are a group; groups of one
measure stand under each other, with what parts them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

FORMAT: Final = 1
"""Raise when a reader of ``Leaderboard.to_dict`` must change."""

Kind = Literal["measured", "ablation", "published"]
COMPARED: Final[tuple[str, ...]] = (
    "metric", "version", "labels", "uncertain_as", "dataset", "split", "section", "n", "test_set",
)  # fmt: skip
"""What must be told and equal, in the order in which it is shown. ``test_set`` is a digest of the
studies and their references; a paper's is never known."""
PROTOCOL: Final = "protocol"
"""The detail that says how a figure was made otherwise than the rest of its column."""
NO_LABELS: Final = "none"
"""Of a metric that reads no labels."""
_MOST: Final = {"0-1": 1.0, "0-100": 100.0}
"""Scales of shares by their largest value: one of them holds for a whole table."""


@dataclass(frozen=True)
class Standing:
    """What made a number.

    Args:
        told: by name of COMPARED what is known; a name that is absent is not told.
        details: what else its signature holds (weights, tokenizer, a protocol of its own).
        within: where what is not told is the same for all: a published table.
    """

    told: Mapping[str, str]
    details: Mapping[str, str] = field(default_factory=dict)
    within: str = ""

    @property
    def untold(self) -> tuple[str, ...]:
        return tuple(name for name in COMPARED if name not in self.told)

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """Equal for numbers that may be ranked together, and for no others."""
        known = {name: f"told: {self.told[name]}" for name in COMPARED if name in self.told}
        unknown = dict.fromkeys(self.untold, f"as in {self.within}")
        more = {f"detail {name}": value for name, value in self.details.items()}
        return tuple(sorted((known | unknown | more).items()))

    def apart(self, other: Standing) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of what differs from the other's, and of what one of the two does not tell."""
        both = [name for name in COMPARED if name in self.told and name in other.told]
        differ = [name for name in both if self.told[name] != other.told[name]]
        untold = [name for name in COMPARED if name not in both]
        if self.within and self.within == other.within:
            untold = [name for name in untold if (name in self.told) != (name in other.told)]
        names = sorted(self.details.keys() | other.details.keys())
        for name in names:
            if name in self.details and name in other.details:
                differ += [name] if self.details[name] != other.details[name] else []
            elif self.within == other.within or name == PROTOCOL:
                differ.append(name)
        return tuple(differ), tuple(untold)


@dataclass(frozen=True)
class Entry:
    """One number of one system.

    Args:
        recipe: the recipe that it is of, if it is of one.
        run: the scores artifact behind a number measured here.
        quoted_from: where a published one stands.
        controls: by control what it reaches in the same metric on the same examples, on ``scale``:
            without them nobody can tell what the number owes to looking at the film.
    """

    system: str
    recipe: str | None
    kind: Kind
    task: str
    measure: str
    value: float
    low: float | None
    high: float | None
    scale: str
    higher_is_better: bool
    standing: Standing
    run: str | None = None
    quoted_from: str | None = None
    controls: Mapping[str, float] = field(default_factory=dict)

    def controls_on(self, scale: str) -> dict[str, float]:
        """The controls on another scale of shares."""
        return {name: self._factor(scale) * value for name, value in self.controls.items()}

    def _factor(self, scale: str) -> float:
        return _MOST[scale] / _MOST[self.scale] if scale != self.scale else 1.0

    def on(self, scale: str) -> tuple[float, float | None, float | None]:
        """Value and ends on another scale of shares."""
        factor = self._factor(scale)
        low, high = (None if end is None else factor * end for end in (self.low, self.high))
        return factor * self.value, low, high


@dataclass(frozen=True)
class Placed:
    """An entry with its rank in its group; None where it is alone there."""

    entry: Entry
    rank: int | None


@dataclass(frozen=True)
class Group:
    """Entries of one standing, best first; ``name`` is a letter, in the order of the table."""

    name: str
    standing: Standing
    entries: tuple[Placed, ...]


@dataclass(frozen=True)
class Refusal:
    """Two groups that are not ranked together, and why."""

    groups: tuple[str, str]
    differ: tuple[str, ...]
    untold: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """All entries of one measure of one task, on one scale."""

    task: str
    measure: str
    scale: str
    higher_is_better: bool
    groups: tuple[Group, ...]

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Of each group with the first, which holds what was measured here if anything was."""
        return tuple(
            Refusal(
                (self.groups[0].name, other.name), *self.groups[0].standing.apart(other.standing)
            )
            for other in self.groups[1:]
        )

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(placed.entry for group in self.groups for placed in group.entries)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, all numbers on the table's scale."""
        return {
            "task": self.task,
            "measure": self.measure,
            "scale": self.scale,
            "higher_is_better": self.higher_is_better,
            "groups": [_group_row(group, self.scale) for group in self.groups],
            "not_ranked": [
                {
                    "groups": list(each.groups),
                    "differ": list(each.differ),
                    "untold": list(each.untold),
                }
                for each in self.refusals
            ],
        }


def _group_row(group: Group, scale: str) -> dict[str, Any]:
    return {
        "group": group.name,
        "quoted": group.standing.within or None,
        "signature": {name: group.standing.told.get(name) for name in COMPARED},
        "details": dict(group.standing.details),
        "untold": list(group.standing.untold),
        "entries": [_entry_row(placed, scale) for placed in group.entries],
    }


def _entry_row(placed: Placed, scale: str) -> dict[str, Any]:
    entry = placed.entry
    value, low, high = entry.on(scale)
    return {
        "rank": placed.rank,
        "system": entry.system,
        "recipe": entry.recipe,
        "kind": entry.kind,
        "value": value,
        "low": low,
        "high": high,
        "run": entry.run,
        "quoted_from": entry.quoted_from,
        "controls": entry.controls_on(scale),
    }


def measure_of(metric: str) -> str:
    """A metric's name without its profile: what a reader looks for in a table of a paper."""
    start, end = metric.find("["), metric.find("]")
    return metric if start < 0 or end < start else metric[:start] + metric[end + 1 :]


def tables_of(entries: Iterable[Entry]) -> list[Table]:
    """A table for each task, measure and kind of scale, in the order in which they first come."""
    found: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        kind = "share" if entry.scale in _MOST else entry.scale
        found.setdefault((entry.task, entry.measure, kind), []).append(entry)
    return [_table(task, measure, rows) for (task, measure, _), rows in found.items()]


def _table(task: str, measure: str, entries: Sequence[Entry]) -> Table:
    higher = entries[0].higher_is_better
    assert all(each.higher_is_better == higher for each in entries), f"{measure}: both directions"
    scales = {each.scale for each in entries}
    scale = "0-100" if len(scales) > 1 else scales.pop()
    by_key: dict[tuple[tuple[str, str], ...], list[Entry]] = {}
    for entry in sorted(entries, key=lambda each: each.kind == "published"):
        by_key.setdefault(entry.standing.key, []).append(entry)
    groups = tuple(
        Group(_letter(place), rows[0].standing, _ranked(rows, higher))
        for place, rows in enumerate(by_key.values())
    )
    return Table(task, measure, scale, higher, groups)


def _ranked(entries: Sequence[Entry], higher: bool) -> tuple[Placed, ...]:
    """Best first; equal values share a rank, as in a race, and what is no number stands last."""
    ordered = sorted(
        entries,
        key=lambda each: (math.isnan(each.value), -each.value if higher else each.value),
    )
    values = [each.value for each in ordered]
    alone = len(ordered) == 1
    return tuple(Placed(each, None if alone else values.index(each.value) + 1) for each in ordered)


def _letter(place: int) -> str:
    """a to z, then aa, ab …: as columns of a sheet."""
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        name = chr(ord("a") + rest) + name
    return name

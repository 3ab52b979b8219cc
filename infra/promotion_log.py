"""What a log of promotions says: which entries hold, who reigned, and who does now.

The log of a registered model is read in the order in which the registry numbered its entries, so
that all who read it agree. An entry names the champion that it was judged against, and holds only
if that is the champion which the entries before it left. Nothing here knows MLflow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["promote", "rollback", "outside"]
"""``outside``: the alias was found moved by something that keeps no log, MLflow's pages say."""
NOBODY: Final = 0
"""In place of a version's number: there is no champion."""


@dataclass(frozen=True)
class Entry:
    """One entry.

    Args:
        number: the registry's, counted from 1.
        key: drawn at random by who wrote it, who finds it again by that.
        version: who shall be champion.
        expected: who was when this was judged.
        at: time of writing, ISO 8601 in UTC.
        outcome: digest of the gate's outcome; empty where no gate was asked.
        run_id: the MLflow run that holds the evidence.
        settled: whether the alias has been seen to agree.
    """

    number: int
    key: str
    kind: Kind
    version: int
    expected: int
    by: str
    at: str
    outcome: str = ""
    reason: str = ""
    run_id: str = ""
    settled: bool = False


@dataclass(frozen=True)
class History:
    """The entries in their order.

    ``held`` are those that took effect. ``reigns`` are the champions that a rollback can return to,
    and last the present one; a rollback takes away what it undoes.
    """

    entries: tuple[Entry, ...]
    held: tuple[Entry, ...]
    reigns: tuple[int, ...]

    @property
    def champion(self) -> int:
        """The champion's version, or NOBODY."""
        return self.reigns[-1] if self.reigns else NOBODY

    @property
    def earlier(self) -> tuple[int, ...]:
        """Champions before the present one that a rollback can return to, the last one first."""
        before = [version for version in self.reigns[:-1] if version not in (NOBODY, self.champion)]
        return tuple(dict.fromkeys(reversed(before)))

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers of entries that somebody has deleted from the registry."""
        numbers = {entry.number for entry in self.entries}
        return tuple(
            number for number in range(1, max(numbers, default=0)) if number not in numbers
        )

    @property
    def last(self) -> Entry | None:
        """The entry that made the present champion."""
        return self.held[-1] if self.held else None

    def holds(self, key: str) -> bool:
        """Whether the entry of that key took effect."""
        return any(entry.key == key for entry in self.held)

    def after(self, champion: int) -> Entry | None:
        """The last entry that replaced that champion, if one did."""
        return next((one for one in reversed(self.held) if one.expected == champion), None)


def read_log(entries: Iterable[Entry]) -> History:
    """Read entries, in any order."""
    ordered = sorted(entries, key=lambda entry: entry.number)
    reigns: list[int] = []
    held: list[Entry] = []
    for entry in ordered:
        champion = reigns[-1] if reigns else NOBODY
        if entry.expected != champion or entry.version == champion:
            continue
        if entry.kind == "rollback":
            if entry.version not in reigns:
                continue
            while reigns[-1] != entry.version:
                reigns.pop()
        else:
            reigns.append(entry.version)
        held.append(entry)
    return History(tuple(ordered), tuple(held), tuple(reigns))

"""Whether the place has room for what a run will write, by what it wrote before."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.artifact import read_artifact
from infra.step import sibling_manifests
from tasks.context import Context
from tasks.monitor.plan import steps_until

GB: Final = 1e9
_MOST_NAMED: Final = 4
"""Steps that a line names (our choice); it counts the others."""


@dataclass(frozen=True)
class Room:
    """Bytes that are free and bytes that will be written at least.

    Args:
        free: None on an object store, whose room nobody tells.
        wanted: of absent artifacts that have a sibling: each will be about as large.
        unknown: steps that were never built under this root. What they write depends on their data
            and sizes, and no ratio to their inputs holds from one recipe to the next.
    """

    place: str
    free: int | None
    wanted: int
    unknown: tuple[str, ...]

    @property
    def is_enough(self) -> bool:
        """As far as is known."""
        return self.free is None or self.free >= self.wanted

    @property
    def line(self) -> str | None:
        """What is known, what is not, and what to do; None where nothing is to be said."""
        if not self.wanted and not self.unknown:
            return None
        if self.free is None:
            return f"free space of the object store {self.place} is unknown; {self._written}"
        if self.is_enough and not self.unknown:
            return None
        make_room = "; make room, or look at what 'cxr gc --dry-run' would remove"
        advice = "" if self.is_enough else make_room
        return f"free disk is {self.free / GB:.1f} GB at {self.place}; {self._written}{advice}"

    @property
    def _written(self) -> str:
        known = f"this run will write about {self.wanted / GB:.1f} GB by what it wrote before"
        if not self.unknown:
            return known
        names = ", ".join(self.unknown[:_MOST_NAMED])
        more = len(self.unknown) - _MOST_NAMED
        others = f" and {more} more" if more > 0 else ""
        count = len(self.unknown)
        steps = "a step was" if count == 1 else f"{count} steps were"
        first = f"{known}, and how much more" if self.wanted else "how much this run writes"
        return f"{first} cannot be told, for {steps} never built here: {names}{others}"


def room_for(context: Context, goal: str) -> Room:
    """The room of a run up to a goal."""
    store = context.store
    wanted, unknown = 0, []
    for step in steps_until(context, "register" if goal == "run" else goal):
        if read_artifact(store, step) is not None:
            continue
        siblings = sibling_manifests(store, step)
        if siblings:
            pieces = siblings[0]["pieces"]
            wanted += sum(file["bytes"] for piece in pieces for file in piece["files"])
        else:
            unknown.append(f"{step.kind}/{step.name}")
    if not store.is_local:
        return Room(store.root, None, wanted, tuple(unknown))
    place = Path(store.path(""))
    while not place.exists():
        place = place.parent
    return Room(str(place), shutil.disk_usage(place).free, wanted, tuple(unknown))

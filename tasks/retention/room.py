"""Whether the disk has room for what a run will write, by what it wrote before."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from infra.artifact import read_artifact
from infra.step import sibling_manifests
from tasks.context import Context
from tasks.monitor.plan import steps_until

GB = 1e9


@dataclass(frozen=True)
class Room:
    """Bytes that are free and bytes that will be written at least; ``unknown`` counts steps that
    were never built, of which nothing is known."""

    place: str
    free: int
    wanted: int
    unknown: int

    @property
    def is_enough(self) -> bool:
        return self.free >= self.wanted

    @property
    def line(self) -> str:
        """What is wrong, and what to do, on one line."""
        more = f", and {self.unknown} steps were never built" if self.unknown else ""
        return (
            f"free disk is {self.free / GB:.1f} GB at {self.place}, and this run will write about "
            f"{self.wanted / GB:.1f} GB by what it wrote before{more}; make room, or look at what "
            "'cxr gc --dry-run' would remove"
        )


def room_for(context: Context, goal: str) -> Room | None:
    """The room of a run up to a goal; None on a remote data root, whose room nobody tells.

    An absent artifact will be about as large as its newest sibling.
    """
    store = context.store
    if not store.is_local:
        return None
    place = Path(store.path(""))
    while not place.exists():
        place = place.parent
    wanted = unknown = 0
    for step in steps_until(context, "register" if goal == "run" else goal):
        if read_artifact(store, step) is not None:
            continue
        siblings = sibling_manifests(store, step)
        if siblings:
            pieces = siblings[0]["pieces"]
            wanted += sum(file["bytes"] for piece in pieces for file in piece["files"])
        else:
            unknown += 1
    return Room(str(place), shutil.disk_usage(place).free, wanted, unknown)

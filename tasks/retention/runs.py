"""A record of each run: which artifacts it is about, so that they are kept while it is the latest.

Written under the data root before a run's first step, as ``runs/<recipe>.<scale>/<plan>.json``;
equal plans share one record.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from infra.fingerprint import fingerprint
from infra.occupancy import enter
from infra.record_file import read_record, sealed
from infra.store import Store
from infra.tracking_runs import is_gone, this_process
from tasks.context import Context

FOLDER: Final = "runs"
GATE: Final = "gc"
"""The lock between a run that notes what it needs and whoever removes what nobody needs."""
_NOTED: set[str] = set()
"""Records that this process has written: a run does so once, however many steps it has."""


@dataclass(frozen=True)
class RunRecord:
    """One plan that was run; ``at`` is when it last began, in seconds of the Unix clock."""

    recipe: str
    scale: str
    folders: tuple[str, ...]
    at: float
    process: str

    @property
    def is_alive(self) -> bool:
        """Whether its process may still be at work; another machine's is taken to be."""
        return not is_gone(self.process)


def join_run(context: Context) -> None:
    """Enter the state folder and note what this run is about; a second time does nothing.

    Raises:
        InputError: somebody rewrites the data root.
    """
    settings, store = context.settings, context.store
    folders = sorted(step.folder for step in context.graph.steps.values())
    place = f"{FOLDER}/{settings.recipe}.{settings.scale}/{fingerprint(folders)}.json"
    known = f"{store.root} {place}"
    if known in _NOTED:
        return
    enter(store.state)
    told = (settings.recipe, settings.scale, tuple(folders), time.time(), this_process())
    with store.lock(GATE):
        store.overwrite(place, sealed(asdict(RunRecord(*told))))
    _NOTED.add(known)


def read_runs(store: Store) -> dict[str, RunRecord]:
    """All sound records by their place, the latest first."""
    found: dict[str, RunRecord] = {}
    for group in store.list_folder(FOLDER):
        for name in store.list_folder(f"{FOLDER}/{group}"):
            place = f"{FOLDER}/{group}/{name}"
            record = read_record(store, place)
            if record is not None:
                found[place] = RunRecord(**{**record, "folders": tuple(record["folders"])})
    return dict(sorted(found.items(), key=lambda item: item[1].at, reverse=True))


def kept_runs(runs: dict[str, RunRecord], keep: int) -> dict[str, RunRecord]:
    """The last runs of each recipe and scale, and those that may still be at work."""
    seen: dict[tuple[str, str], int] = {}
    kept = {}
    for place, record in runs.items():
        key = record.recipe, record.scale
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= keep or record.is_alive:
            kept[place] = record
    return kept


def folders_of(records: Sequence[RunRecord]) -> frozenset[str]:
    """All artifacts that these runs are about."""
    return frozenset(folder for record in records for folder in record.folders)

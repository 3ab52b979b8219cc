"""A record of each run: which artifacts it is about, so that they are kept while it is the latest.

Written under the data root by each process before its first step, as
``runs/<recipe>.<scale>/<plan>-<process>.json``: of two runs of one plan the one that ends first
says nothing of the other.
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
from infra.tracking_runs import is_gone, is_of_this_host, this_process
from tasks.context import Context

FOLDER: Final = "runs"
GATE: Final = "gc"
"""The lock between a run that notes what it needs and whoever removes what nobody needs."""
ELSEWHERE_SECONDS: Final = 90 * 24 * 3600.0
"""Our choice: no run lasts a quarter of a year. Whether another machine's process is at work cannot
be asked from here, and a container's host name may never come again."""
_NOTED: set[str] = set()
"""Records that this process has written: a run does so once, however many steps it has."""


@dataclass(frozen=True)
class RunRecord:
    """One process at one plan; ``at`` is when it began, in seconds of the Unix clock."""

    recipe: str
    scale: str
    folders: tuple[str, ...]
    at: float
    process: str

    @property
    def is_alive(self) -> bool:
        """Whether its process may still be at work; another machine's is taken to be, for long."""
        if is_gone(self.process):
            return False
        return is_of_this_host(self.process) or time.time() - self.at < ELSEWHERE_SECONDS


def join_run(context: Context) -> None:
    """Enter the state folder and note what this run is about; a second time does nothing.

    Raises:
        InputError: somebody rewrites the data root.
    """
    settings, store = context.settings, context.store
    folders = sorted(step.folder for step in context.graph.steps.values())
    group = f"{FOLDER}/{settings.recipe}.{settings.scale}"
    plan, process = fingerprint(folders), this_process()
    place = f"{group}/{plan}-{fingerprint(process)}.json"
    known = f"{store.root} {place}"
    if known in _NOTED:
        return
    enter(store.state)
    record = RunRecord(settings.recipe, settings.scale, tuple(folders), time.time(), process)
    with store.lock(GATE):
        store.overwrite(place, sealed(asdict(record)))
        _drop_ended(store, group, plan)
    _NOTED.add(known)


def _drop_ended(store: Store, group: str, plan: str) -> None:
    """Remove an equal plan's records of processes that are no more: a later one stands for them."""
    for name in store.list_folder(group):
        if name.startswith(plan):
            record = _read(store, f"{group}/{name}")
            if record is not None and not record.is_alive:
                store.remove(f"{group}/{name}")


def read_runs(store: Store) -> dict[str, RunRecord]:
    """All sound records by their place, the latest first."""
    found: dict[str, RunRecord] = {}
    for group in store.list_folder(FOLDER):
        for name in store.list_folder(f"{FOLDER}/{group}"):
            place = f"{FOLDER}/{group}/{name}"
            record = _read(store, place)
            if record is not None:
                found[place] = record
    return dict(sorted(found.items(), key=lambda item: item[1].at, reverse=True))


def _read(store: Store, place: str) -> RunRecord | None:
    told = read_record(store, place)
    return None if told is None else RunRecord(**{**told, "folders": tuple(told["folders"])})


def kept_runs(runs: dict[str, RunRecord], keep: int) -> dict[str, RunRecord]:
    """The last plans of each recipe and scale, and all processes that may still be at work.

    Args:
        runs: the latest first.
    """
    seen: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    kept = {}
    for place, record in runs.items():
        plans = seen.setdefault((record.recipe, record.scale), [])
        is_first = record.folders not in plans
        if is_first:
            plans.append(record.folders)
        if (is_first and len(plans) <= keep) or record.is_alive:
            kept[place] = record
    return kept


def folders_of(records: Sequence[RunRecord]) -> frozenset[str]:
    """All artifacts that these runs are about."""
    return frozenset(folder for record in records for folder in record.folders)

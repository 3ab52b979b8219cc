"""Remove artifacts that nothing needs, and work that was left for them.

A folder whose pieces a kept sibling refers to loses its manifest and its other pieces; what is left
of it goes when no sibling refers to it any more.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.checked import FOLDER as CHECKED
from infra.checked import forget_checks
from infra.occupancy import enter
from infra.settings.environment import Environment
from infra.step import MANIFEST
from infra.store import Store
from infra.tracking import all_versions
from infra.tracking_runs import RunBook
from tasks.retention.needed import Stored, read_stored, why_needed
from tasks.retention.runs import GATE, folders_of, kept_runs, read_runs

KEEP_DAYS: Final = 30
"""Our choice: somebody who comes back after a month starts anew."""
KEEP_RUNS: Final = 1
"""Our choice: of each recipe and scale the run that one would go on from."""
DAY_SECONDS: Final = 24 * 3600.0
_WORK: Final = re.compile(r"(?:^|-)(?P<fingerprint>[0-9a-f]{16})$")
"""How the folders of unfinished work are named below the state folder."""
_RECEIPTS: Final = ".receipts"


@dataclass(frozen=True)
class Collected:
    """One thing that went, or would go; ``part`` is True where a sibling needs some of it."""

    folder: str
    bytes: int
    why: str
    part: bool = False


@dataclass(frozen=True)
class Collection:
    """What went, and how many artifacts stay for which reason."""

    gone: tuple[Collected, ...]
    kept: Mapping[str, int]

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.gone)


def collect(
    store: Store,
    environment: Environment,
    *,
    keep_days: float = KEEP_DAYS,
    keep_runs: int = KEEP_RUNS,
    dry_run: bool = False,
) -> Collection:
    """Remove what no registered model, kept run or recent artifact needs.

    A run that is at work has told what it needs before its first step.

    Raises:
        InputError: the registry does not answer, so that nobody knows what models need; or a
            subject is being forgotten.
    """
    enter(store.state)
    versions = all_versions(RunBook(environment.tracking_uri, ""))
    with store.lock(GATE):
        runs = read_runs(store)
        stay = kept_runs(runs, keep_runs)
        stored = read_stored(store)
        oldest = time.time() - keep_days * DAY_SECONDS
        at_work = _at_work(store, stored)
        planned = folders_of(list(stay.values())) | at_work
        kept = why_needed(stored, versions, planned, oldest)
        gone = [
            *_unneeded(store, stored, kept, dry_run),
            *_left_work(store, stored, planned | kept.keys(), oldest, dry_run),
        ]
        for place in runs.keys() - stay.keys() if not dry_run else ():
            store.remove(place)
    reasons: dict[str, int] = {}
    for why in kept.values():
        reasons[why] = reasons.get(why, 0) + 1
    return Collection(tuple(gone), dict(sorted(reasons.items())))


def _at_work(store: Store, stored: Mapping[str, Stored]) -> frozenset[str]:
    """Artifacts that somebody on this machine is building now, in a run's plan or not.

    Beside a folder that is there, also the name of a lock whose artifact has no folder yet.
    """
    held = frozenset(store.held_locks())
    return held | {folder for folder in stored if folder.replace("/", "--") in held}


def _unneeded(
    store: Store, stored: Mapping[str, Stored], kept: Mapping[str, str], dry_run: bool
) -> list[Collected]:
    wanted = {piece for folder in kept for piece in stored[folder].pieces}
    gone = []
    for folder, each in stored.items():
        if folder in kept:
            continue
        names = [name for name in store.list_folder(folder) if name not in (MANIFEST, _RECEIPTS)]
        shared = [name for name in names if f"{folder}/{name}" in wanted]
        doomed = [f"{folder}/{name}" for name in names if name not in shared]
        parts = [f"{folder}/{MANIFEST}", f"{folder}/{_RECEIPTS}", *doomed] if shared else [folder]
        if shared and not doomed and each.state == "unfinished":
            continue  # nothing but what a sibling needs
        size = sum(_bytes_of(store, part) for part in parts)
        gone.append(Collected(folder, size, "nothing needs it", bool(shared)))
        if not dry_run:
            store.remove(f"{folder}/{MANIFEST}")  # first, or half of it would pass for whole
            for part in parts:
                store.remove(part)
            if not shared:
                forget_checks(store, folder)
    return gone


def _bytes_of(store: Store, relative: str) -> int:
    try:
        found = store.fs.find(store.path(relative), detail=True)
    except FileNotFoundError:
        return 0
    return sum(int(told["size"] or 0) for told in found.values())


def _left_work(
    store: Store,
    stored: Mapping[str, Stored],
    needed: frozenset[str],
    oldest: float,
    dry_run: bool,
) -> list[Collected]:
    """Work in the state folder for artifacts that are not needed, and scratch of dead processes.

    Args:
        needed: folders of artifacts, also of those that are not there yet.
    """
    fingerprints = {folder.rpartition("-")[2] for folder in needed}
    known = {folder.rpartition("-")[2] for folder in stored}
    gone = []
    for path in sorted(store.state.glob("*/*")):
        named = _WORK.search(path.name)
        if named is None or not path.is_dir() or named["fingerprint"] in fingerprints:
            continue
        if path.parent.name == CHECKED:  # of a whole data root, by a digest that looks like others
            continue
        if named["fingerprint"] in known or path.stat().st_mtime < oldest:
            gone.append((path, "work of an artifact that nothing needs"))
    gone += [(path, "left by a process that is no more") for path in store.abandoned_scratch()]
    return [_removed(path, why, dry_run) for path, why in gone]


def _removed(path: Path, why: str, dry_run: bool) -> Collected:
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    size = sum(each.stat().st_size for each in files)
    if not dry_run:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return Collected(str(path), size, why)

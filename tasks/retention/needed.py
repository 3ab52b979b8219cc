"""What keeps an artifact: a registered model, a kept run, its age, or another that is kept.

An artifact that is kept keeps what it was made from, as far as that is there, and the pieces of
siblings that its manifest refers to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from infra.record_file import read_record
from infra.step import MANIFEST
from infra.store import Store
from infra.tracking import VersionSeen
from tasks.graph import REVISIONS

LEAVES: Final = ("ablations", "comparisons", "teachers")
"""Kinds that no run's plan names: the newest of each name is kept."""


@dataclass(frozen=True)
class Stored:
    """One artifact's folder as it lies there.

    Args:
        inputs: folders that it was made from.
        pieces: folders that its manifest refers to, its own and siblings'.
        made_at: seconds of the Unix clock; of an unfinished one when it was last written to.
        state: whole, unfinished, or damaged where its manifest cannot be trusted.
    """

    folder: str
    inputs: tuple[str, ...]
    pieces: tuple[str, ...]
    made_at: float
    state: str = "whole"

    @property
    def lineage(self) -> str:
        """Kind and name, which siblings share."""
        return self.folder.rpartition("-")[0]


def read_stored(store: Store) -> dict[str, Stored]:
    """Every artifact under the root, by folder."""
    found: dict[str, Stored] = {}
    for kind in REVISIONS:
        for name in store.list_folder(kind):
            if not name.startswith("."):
                found[f"{kind}/{name}"] = _read(store, f"{kind}/{name}")
    return found


def _read(store: Store, folder: str) -> Stored:
    manifest = read_record(store, f"{folder}/{MANIFEST}")
    if manifest is None:
        state = "damaged" if store.exists(f"{folder}/{MANIFEST}") else "unfinished"
        return Stored(folder, (), (), _last_written(store, folder), state)
    return Stored(
        folder,
        tuple(f"{key}-{value}" for key, value in manifest["inputs"].items() if "/" in key),
        tuple(piece["folder"] for piece in manifest["pieces"]),
        datetime.fromisoformat(manifest["created_at"]).timestamp(),
    )


def _last_written(store: Store, folder: str) -> float:
    """When the newest file of a folder was written; now where that is not known."""
    times = [_written_at(told) for told in _listed(store, folder).values()]
    return max(times, default=0.0)


def _listed(store: Store, folder: str) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = store.fs.find(store.path(folder), detail=True)
    return found


def _written_at(told: Mapping[str, Any]) -> float:
    when = told.get("mtime", told.get("LastModified"))
    if isinstance(when, datetime):
        return when.timestamp()
    return float(when) if when is not None else datetime.now(UTC).timestamp()


def lineage_folders(version: VersionSeen) -> frozenset[str]:
    """Every artifact behind a registered version, as its tags tell."""
    found = set()
    for key, value in version.tags.items():
        parts = key.split(".", 2)
        if len(parts) == 3 and parts[0] == "cxrflow" and parts[1] in REVISIONS:
            found.add(f"{parts[1]}/{parts[2]}-{value}")
    return frozenset(found)


def why_needed(
    stored: Mapping[str, Stored],
    versions: Iterable[VersionSeen],
    runs: Iterable[str],
    younger_than: float,
) -> dict[str, str]:
    """Folders that stay, each with the first reason.

    Args:
        runs: folders that kept runs are about.
        younger_than: seconds of the Unix clock: what was made later stays.
    """
    kept: dict[str, str] = {}
    for version in versions:
        for folder in sorted(lineage_folders(version) & stored.keys()):
            kept.setdefault(folder, f"models:/{version.label}")
    for folder in sorted(set(runs) & stored.keys()):
        kept.setdefault(folder, "a kept run")
    for folder in _newest_leaves(stored):
        kept.setdefault(folder, "the newest of its name")
    for folder, each in stored.items():
        if each.made_at > younger_than:
            kept.setdefault(folder, "its age")
        if each.state == "damaged":  # which siblings' pieces it refers to is not known
            for other, sibling in stored.items():
                if sibling.lineage == each.lineage:
                    kept.setdefault(other, "a damaged manifest")
    return _with_inputs(stored, kept)


def _newest_leaves(stored: Mapping[str, Stored]) -> list[str]:
    newest: dict[str, Stored] = {}
    for each in stored.values():
        if each.folder.partition("/")[0] in LEAVES and each.state == "whole":
            other = newest.get(each.lineage)
            if other is None or other.made_at < each.made_at:
                newest[each.lineage] = each
    return sorted(each.folder for each in newest.values())


def _with_inputs(stored: Mapping[str, Stored], kept: dict[str, str]) -> dict[str, str]:
    waiting = list(kept)
    while waiting:
        folder = waiting.pop()
        for needed in stored[folder].inputs:
            if needed in stored and needed not in kept:
                kept[needed] = kept[folder]
                waiting.append(needed)
    return kept

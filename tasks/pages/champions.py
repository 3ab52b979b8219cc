"""Registered models as the registry has them: versions, aliases, who was champion, and why."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.promotion_log import Entry, History
from infra.promotions import CHAMPION, Promotions
from infra.registry import LOG_SUFFIX, Registry
from infra.settings.environment import Environment
from infra.tracking import VersionSeen, all_versions
from infra.tracking_database import has_database
from tasks.pages.library import Library
from tasks.promote.evidence import GATE_TAG, OUTCOME_FILE
from tasks.promote.work import open_registry
from tasks.serve.refused import Refused

CANDIDATE: Final = "candidate"
_LINEAGE: Final = "cxrflow."


@dataclass(frozen=True)
class ShownVersion:
    """A version with what a page says of it.

    Args:
        gate: the last verdict and its day, from the tags; empty where none was asked.
        folders: artifacts behind it that are under this data root.
    """

    seen: VersionSeen
    gate: str
    failed: str
    gate_run: str
    folders: tuple[str, ...]

    @property
    def number(self) -> int:
        return int(self.seen.version)

    @property
    def scores(self) -> tuple[str, ...]:
        return tuple(one.partition("/")[2] for one in self.folders if one.startswith("scores/"))


@dataclass(frozen=True)
class ShownEntry:
    """An entry of the log; ``checks`` are the gate's, where the evidence can be read."""

    entry: Entry
    holds: bool
    checks: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class ShownModel:
    """One registered model."""

    name: str
    versions: tuple[ShownVersion, ...]
    history: History
    entries: tuple[ShownEntry, ...]

    def aliased(self, alias: str) -> ShownVersion | None:
        return next((one for one in self.versions if alias in one.seen.aliases), None)

    @property
    def champion(self) -> ShownVersion | None:
        return self.aliased(CHAMPION)

    @property
    def candidate(self) -> ShownVersion | None:
        return self.aliased(CANDIDATE)


def models(environment: Environment, library: Library) -> list[ShownModel]:
    """All models, by name; none where nothing was registered.

    Raises:
        CxrError: the registry does not answer.
    """
    if not has_database(environment.tracking_uri):
        return []
    registry = open_registry(environment)
    known = library.all()
    by_name: dict[str, list[VersionSeen]] = {}
    for seen in all_versions(registry.book):
        if not seen.name.endswith(LOG_SUFFIX):
            by_name.setdefault(seen.name, []).append(seen)
    return [_model(registry, name, by_name[name], known) for name in sorted(by_name)]


def _model(
    registry: Registry, name: str, seen: list[VersionSeen], known: Collection[str]
) -> ShownModel:
    history = Promotions(registry, name).history()
    ordered = sorted(seen, key=lambda one: int(one.version), reverse=True)
    return ShownModel(
        name,
        tuple(_version(one, known) for one in ordered),
        history,
        tuple(_entry(registry, history, one) for one in reversed(history.entries)),
    )


def _version(seen: VersionSeen, known: Collection[str]) -> ShownVersion:
    tags = seen.tags
    verdict = tags.get(GATE_TAG, "")
    at = tags.get(f"{GATE_TAG}.at", "")[:10]
    return ShownVersion(
        seen,
        f"{verdict} {at}".strip(),
        tags.get(f"{GATE_TAG}.failed", ""),
        tags.get(f"{GATE_TAG}.run", ""),
        tuple(one for one in _folders(tags) if one in known),
    )


def _folders(tags: Mapping[str, str]) -> list[str]:
    found = []
    for key, value in tags.items():
        parts = key.split(".", 2)
        if key.startswith(_LINEAGE) and len(parts) == 3:
            found.append(f"{parts[1]}/{parts[2]}-{value}")
    return found


def _entry(registry: Registry, history: History, entry: Entry) -> ShownEntry:
    checks = _checks(registry, entry.run_id) if entry.outcome else ()
    return ShownEntry(entry, history.holds(entry.key), checks)


def _checks(registry: Registry, run_id: str) -> tuple[dict[str, Any], ...]:
    """The gate's checks; none where the evidence is gone or is no outcome."""
    text = registry.evidence(run_id, OUTCOME_FILE)
    if text is None:
        return ()
    try:
        told = json.loads(text)
        return tuple(
            {name: check[name] for name in ("name", "passed", "reason", "ability")}
            for check in told["checks"]
        )
    except (ValueError, KeyError, TypeError):
        return ()


def find_model(found: list[ShownModel], name: str) -> ShownModel:
    """Raises:
    Refused: 404.
    """
    for one in found:
        if one.name == name:
            return one
    raise Refused(404, "no_model", "the registry has no model of that name")

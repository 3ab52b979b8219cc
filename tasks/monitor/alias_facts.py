"""The history of aliases: the registry says where an alias points, and not where it did.

Whoever looks compares the registry with the last fact and writes what differs, so that a move by
hand in MLflow's pages is told too, at the time when it was seen. Two that see the same move write
one file, and the first wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.facts.files import read_facts, write_facts
from infra.settings.environment import Environment
from infra.store import Store
from infra.tracking import Pointing, all_aliases
from infra.tracking_database import SQLITE

_SCORES_TAG = "cxrflow.scores."


def observe_aliases(store: Store, environment: Environment) -> int:
    """Write what has changed since the last fact; how many aliases that were.

    Raises:
        Unavailable: the registry does not answer.
    """
    uri = environment.tracking_uri
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists():
        return 0  # nothing was registered yet, and looking would make a database
    history: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in read_facts(store, "aliases"):
        history.setdefault((row["model"], row["alias"]), []).append(row)
    seen = {(each.model, each.alias): each for each in all_aliases(uri)}
    changed = 0
    for key in sorted(history.keys() | seen.keys()):
        known, now = history.get(key, []), seen.get(key)
        before = known[-1]["version"] if known else None
        version = None if now is None else now.version
        if version != before:
            changed += 1
            _write(store, key, len(known), before, now)
    return changed


def _write(
    store: Store, key: tuple[str, str], number: int, before: int | None, now: Pointing | None
) -> None:
    model, alias = key
    at, tags = datetime.now(UTC), {} if now is None else now.tags
    scores = sorted(value for tag, value in tags.items() if tag.startswith(_SCORES_TAG))
    row = {
        "run_id": "",
        "recorded_at": at,
        "model": model,
        "alias": alias,
        "version": None if now is None else now.version,
        "previous": before,
        "scores": ",".join(scores),
    }
    name = re.sub(r"[^\w.-]", "_", f"{model}-{alias}") + f"-{number:06d}"
    write_facts(store, "aliases", name, at, [row])

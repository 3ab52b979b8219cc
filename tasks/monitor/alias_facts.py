"""The history of aliases: the registry says where an alias points, and not where it did.

Whoever looks compares the registry with the last fact and writes what differs, so that a move by
hand in MLflow's pages is told too, at the time when it was seen. Two that see the same move write
one file, and the first wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from infra.artifact import find_artifacts
from infra.errors import ArtifactError
from infra.facts.files import EARLIER, read_facts, write_facts
from infra.log import LOGGER
from infra.settings.environment import Environment
from infra.store import Store
from infra.tracking import Pointing, all_aliases
from infra.tracking_database import SQLITE
from tasks.monitor.fact_rows import Told, earlier_score_rows

_SCORES_TAG = "cxrflow.scores."
_RECIPE_TAG, _SCALE_TAG = "cxrflow.recipe", "cxrflow.scale"
_TOLD: Final[set[tuple[str, str]]] = set()
"""Data roots and scores of which this process knows that facts tell them, or that nobody can."""


def observe_aliases(store: Store, environment: Environment) -> int:
    """Write what has changed since the last fact; how many aliases that were.

    Scores behind an alias that no fact tells, for they were made before facts were kept or in a run
    whose facts were lost, are told too.

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
    _tell_earlier_scores(store, seen.values())
    return changed


def _tell_earlier_scores(store: Store, seen: Iterable[Pointing]) -> None:
    behind = {
        (value, tag.removeprefix(_SCORES_TAG)): each
        for each in seen
        for tag, value in each.tags.items()
        if tag.startswith(_SCORES_TAG) and (store.root, value) not in _TOLD
    }
    if not behind:
        return
    told = {row["fingerprint"] for row in read_facts(store, "scores")}
    for (scores, ability), pointing in behind.items():
        if scores not in told:
            _tell_scores(store, scores, ability, pointing)
        _TOLD.add((store.root, scores))


def _tell_scores(store: Store, scores: str, ability: str, pointing: Pointing) -> None:
    """One artifact's scores, if it is there and whole."""
    of = Told("", pointing.tags.get(_RECIPE_TAG, ""), pointing.tags.get(_SCALE_TAG, ""))
    try:
        for artifact in find_artifacts(store, "scores", f"{ability}-{scores}")[:1]:
            rows = earlier_score_rows(replace(of, model=pointing.model), artifact)
            write_facts(store, "scores", f"{EARLIER}{scores}", rows[0]["recorded_at"], rows)
    except (ArtifactError, FileNotFoundError, ValueError, IndexError) as error:
        LOGGER.warning("scores/%s-%s cannot be told: %s", ability, scores, error)


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

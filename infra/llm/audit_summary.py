"""The audit log added up: whose text went where, under which guarantee, and what came of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.errors import InputError
from infra.llm.audit import AUDIT_FILE

Place = tuple[str, str, str, str]
"""Source, endpoint, guarantee, model."""
_TEXTS = ("at", "source", "request", "endpoint", "guarantee")
_NUMBERS = ("input_tokens", "output_tokens")


@dataclass
class Sent:
    """What left for one place; ``first`` and ``last`` are times of sending (UTC, ISO 8601)."""

    source: str
    endpoint: str
    guarantee: str
    model: str
    requests: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    unanswered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    first: str = ""
    last: str = ""


@dataclass(frozen=True)
class AuditSummary:
    """All places, and lines that tell nothing: damaged ones, and answers to nothing that was sent.

    ``unanswered`` requests are in flight, or their process was killed: their text has left. Those
    that ended as ``over-budget`` were stopped before a later exchange of theirs.
    """

    sent: tuple[Sent, ...]
    damaged_lines: int
    stray_answers: int


def summarize_audit(state_dir: Path) -> AuditSummary:
    """Add up the log of one state folder, line by line.

    Raises:
        InputError: there is no log.
    """
    path = state_dir / AUDIT_FILE
    if not path.is_file():
        raise InputError(
            f"no audit log at {path}", "a log of what was sent", "nothing was sent yet"
        )
    places: dict[Place, Sent] = {}
    waiting: defaultdict[tuple[str, ...], list[Sent]] = defaultdict(list)
    damaged = stray = 0
    for entry in _entries(path):
        if entry is None:
            damaged += 1
            continue
        key = (entry["request"], entry["source"], entry["endpoint"], entry["guarantee"])
        if entry["event"] == "sent":
            place = (*key[1:], entry["model"])
            known = places.setdefault(place, Sent(*place))
            _count_sent(known, entry["at"])
            waiting[key].append(known)
        elif waiting[key]:
            _count_answer(waiting[key].pop(), entry)
        else:
            stray += 1
        if not waiting[key]:
            del waiting[key]
    for left in waiting.values():
        for known in left:
            known.unanswered += 1
    return AuditSummary(tuple(places[key] for key in sorted(places)), damaged, stray)


def _count_sent(known: Sent, at: str) -> None:
    known.requests += 1
    known.first = min(known.first or at, at)
    known.last = max(known.last, at)


def _count_answer(known: Sent, entry: dict[str, Any]) -> None:
    outcome = entry["outcome"]
    known.outcomes[outcome] = known.outcomes.get(outcome, 0) + 1
    known.input_tokens += entry["input_tokens"]
    known.output_tokens += entry["output_tokens"]


def _entries(path: Path) -> Iterator[dict[str, Any] | None]:
    """One entry a line, None for a line that is none of ours (cut off, or edited)."""
    with path.open("rb") as log:
        for line in log:
            try:
                entry = json.loads(line)
            except ValueError:
                yield None
                continue
            yield entry if _is_entry(entry) else None


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in _TEXTS):
        return False
    if entry.get("event") == "sent":
        return isinstance(entry.get("model"), str)
    numbers = all(type(entry.get(key)) is int for key in _NUMBERS)
    return entry.get("event") == "answered" and numbers and isinstance(entry.get("outcome"), str)

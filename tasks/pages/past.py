"""What runs did, from their facts: those that ended, and those under way."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final

from infra.errors import ArtifactError
from infra.facts.contract import KINDS, FactRows, Kind
from infra.facts.files import FOLDER, fact_files, read_file
from infra.facts.open_runs import OpenRun, notes_of, open_runs
from infra.store import Store
from tasks.serve.refused import Refused

UNDER_WAY: Final = "running"
_UNTOLD: Final = "killed"
"""How a step stands in a run's notes until more is heard of it."""


@dataclass(frozen=True)
class PastRun:
    """One run: its row of ``runs``, and where its other rows are."""

    row: Mapping[str, Any]
    place: str

    @property
    def run_id(self) -> str:
        return str(self.row["run_id"])

    @property
    def state(self) -> str:
        return str(self.row["state"])


@dataclass
class Past:
    """The facts of a data root. Any thread may ask; files that have been read are kept."""

    store: Store
    _rows: dict[str, tuple[PastRun, ...]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def runs(self) -> list[PastRun]:
        """All runs, newest first; dead ones that nobody has settled count as killed."""
        with self._lock:
            ended = [run for place in fact_files(self.store, "runs") for run in self._read(place)]
        known = {PurePosixPath(run.place).stem for run in ended}
        now = datetime.now(UTC)
        live = [_live(each, now) for each in open_runs(self.store) if each.key not in known]
        return sorted([*ended, *live], key=lambda run: run.row["started_at"], reverse=True)

    def run(self, run_id: str) -> PastRun:
        """The newest run of that id.

        Raises:
            Refused: 404, there is none.
        """
        for run in self.runs():
            if run.run_id == run_id:
                return run
        raise Refused(404, "no_run", "no run of this data root has that id")

    def facts(self, run: PastRun) -> FactRows:
        """All rows of a run, by kind."""
        if run.place.startswith("open/"):
            rows = notes_of(self.store, run.place.removeprefix("open/"))
            if run.state == UNDER_WAY:
                return {**rows, "steps": [_under_way(row) for row in rows["steps"]]}
            return rows
        path = PurePosixPath(run.place)
        return {
            kind: self._file(kind, f"{FOLDER}/{kind}/{path.parent.name}/{path.name}")
            for kind in KINDS
        }

    def _read(self, place: str) -> tuple[PastRun, ...]:
        """Files are only added, but for a run that was given up too early and lives."""
        stamp = f"{place} {self._stamp(place)}"
        if stamp not in self._rows:
            rows = self._file("runs", place)
            self._rows[stamp] = tuple(PastRun(row, place) for row in rows)
        return self._rows[stamp]

    def _stamp(self, place: str) -> str:
        told = self.store.fs.info(self.store.path(place))
        return f"{told.get('size')} {told.get('mtime', told.get('LastModified'))}"

    def _file(self, kind: Kind, place: str) -> list[dict[str, Any]]:
        try:
            return read_file(self.store, kind, place)
        except (FileNotFoundError, ArtifactError):
            return []  # no row of that table; or 'cxr facts' tells what is damaged


def _live(opened: OpenRun, now: datetime) -> PastRun:
    ended = opened.end[0] if opened.end else "killed" if opened.is_dead(now) else UNDER_WAY
    until = now if ended == UNDER_WAY else opened.seen_at
    seconds = (until - opened.run["started_at"]).total_seconds()
    told = {"state": ended, "seconds": seconds, "why": "", "recorded_at": until}
    return PastRun({**opened.run, **told}, f"open/{opened.key}")


def _under_way(row: Mapping[str, Any]) -> dict[str, Any]:
    is_it = row["state"] == _UNTOLD
    return {**row, "state": UNDER_WAY, "why": ""} if is_it else dict(row)

"""Facts of a data root as a tally: what is new is read once, runs under way each time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final

from infra.errors import ArtifactError
from infra.facts.contract import KINDS, FactRows, Kind
from infra.facts.files import EARLIER, FOLDER, fact_files, read_file
from infra.facts.open_runs import OpenRun, notes_of, open_runs
from infra.log import LOGGER
from infra.store import Store
from tasks.metrics.tally import Tally

APART: Final[tuple[Kind, ...]] = ("aliases", "drift")
"""Tables whose files are no run's."""
UNDER_WAY = "killed"
"""The state of a step's row until more is heard of it: of a run under way it is no fact yet."""


class FactReader:
    """Reads a data root's facts again and again; not for several threads at once.

    ``unreadable`` counts damaged files, which are left out.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: set[str] = set()
        self._ended = Tally()
        self.unreadable = 0
        self.running: list[OpenRun] = []

    @property
    def runs(self) -> int:
        """How many ended runs have been read."""
        return sum(map(len, self._ended.runs.values()))

    def tally(self) -> Tally:
        """All facts until now. Runs under way are listed first: one that ends meanwhile is found
        among those that have ended, and counted once."""
        now = datetime.now(UTC)
        open_now = [(each, notes_of(self._store, each.key)) for each in open_runs(self._store)]
        for place in fact_files(self._store, "runs"):
            self._read_run(place)
        for kind in APART:
            for place in fact_files(self._store, kind):
                self._read_apart(kind, place)
        for place in fact_files(self._store, "scores"):
            if PurePosixPath(place).stem.startswith(EARLIER):
                self._read_apart("scores", place)
        self.running = [
            each for each, _ in open_now if not self._has_ended(each) and not each.is_dead(now)
        ]
        if not self.running:
            return self._ended
        found = self._ended.copy()
        for opened, rows in open_now:
            if not self._has_ended(opened):
                found.add(_known(rows))
        return found

    def _has_ended(self, opened: OpenRun) -> bool:
        return opened.key in self._read

    def _read_run(self, place: str) -> None:
        """A run's files of all tables, once; that of ``runs`` tells that the others are there."""
        path = PurePosixPath(place)
        if path.stem in self._read:
            return
        self._read.add(path.stem)
        rows: FactRows = {}
        for kind in KINDS:
            if kind not in APART:
                rows[kind] = self._rows(kind, f"{FOLDER}/{kind}/{path.parent.name}/{path.name}")
        self._ended.add(rows)

    def _read_apart(self, kind: Kind, place: str) -> None:
        if place not in self._read:
            self._read.add(place)
            self._ended.add({kind: self._rows(kind, place)})

    def _rows(self, kind: Kind, place: str) -> list[dict[str, Any]]:
        try:
            return read_file(self._store, kind, place)
        except FileNotFoundError:
            return []  # the run had no row of that table
        except ArtifactError as error:
            LOGGER.warning("%s", error)
            self.unreadable += 1
            return []


def _known(rows: FactRows) -> FactRows:
    """What is a fact already of a run under way."""
    steps = [row for row in rows["steps"] if row["state"] != UNDER_WAY]
    return {**rows, "steps": steps}

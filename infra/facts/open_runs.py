"""Runs under way: what each has told so far, until it has ended or is found dead.

A run keeps a folder ``facts/v1/open/<start>-<run>/`` with ``run.json`` (who it is, when it last
lived) and notes of its steps. ``settle`` turns it into rows; whoever looks next does so for a run
whose process was killed, so that a run that could not say how it ended still shows. Two that settle
the same run write the same files, and the first wins.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from infra.facts.contract import KINDS, FactRows, Kind, Row, RunState, from_json, to_json
from infra.facts.files import FOLDER, file_name, write_facts
from infra.record_file import read_record, sealed
from infra.store import Store
from infra.tracking_runs import is_gone, this_process

OPEN = f"{FOLDER}/open"
HEAD = "run.json"
BEAT_SECONDS: Final = 60.0
SILENT_SECONDS: Final = 600.0
"""Our choice: a run of another host counts as dead when ten of its heartbeats are missing."""


@dataclass(frozen=True)
class OpenRun:
    """A run under way as its head tells it.

    Args:
        run: the columns of ``runs`` that are known from the start.
        owner: its process: host, process id, start time.
        state_folder: where its ledger of language-model requests lies.
        seen_at: when it was last known to live.
        end: how it ended, the error's class and when; None as long as it runs.
    """

    run: Row
    owner: str
    state_folder: str
    seen_at: datetime
    end: tuple[RunState, str, datetime] | None = None

    @property
    def key(self) -> str:
        """Its folder's name, and later its files': one that is started again has another."""
        return file_name(self.run["started_at"], self.run["run_id"])

    def is_dead(self, now: datetime) -> bool:
        """Whether its process is gone, or of another host and silent for long."""
        if self.owner.partition(":")[0] == this_process().partition(":")[0]:
            return is_gone(self.owner)
        return (now - self.seen_at).total_seconds() > SILENT_SECONDS


def begin(store: Store, run: Row) -> OpenRun:
    """Open a run of this process.

    Raises:
        InputError: the data root cannot be written.
    """
    opened = OpenRun(run, this_process(), str(store.state), datetime.now(UTC))
    _write_head(store, opened)
    return opened


def beat(store: Store, opened: OpenRun, end: tuple[RunState, str] | None = None) -> OpenRun:
    """Say that the run lives, or how it ended."""
    now = datetime.now(UTC)
    told = (*end, now) if end is not None else opened.end
    living = OpenRun(opened.run, opened.owner, opened.state_folder, now, told)
    _write_head(store, living)
    return living


def _write_head(store: Store, opened: OpenRun) -> None:
    end = None if opened.end is None else [*opened.end[:2], opened.end[2].isoformat()]
    told = {
        "run": to_json(opened.run),
        "owner": opened.owner,
        "state_folder": opened.state_folder,
        "seen_at": opened.seen_at.isoformat(),
        "end": end,
    }
    store.overwrite(f"{OPEN}/{opened.key}/{HEAD}", sealed(told))


def is_open(store: Store, key: str) -> bool:
    """Whether that run is under way."""
    return store.exists(f"{OPEN}/{key}/{HEAD}")


def find_open(store: Store, run_id: str) -> str | None:
    """The key of the newest run under way with that id."""
    keys = [key for key in store.list_folder(OPEN) if key.partition("-")[2] == run_id]
    return keys[-1] if keys else None


def note(store: Store, key: str, name: str, rows: FactRows) -> None:
    """Keep rows of a run under a name, in place of what was kept under it."""
    text = sealed({kind: [to_json(row) for row in found] for kind, found in rows.items()})
    store.overwrite(f"{OPEN}/{key}/{name}.json", text)


def has_note(store: Store, key: str, name: str) -> bool:
    """Whether such a note is there; a settled run has none."""
    return store.exists(f"{OPEN}/{key}/{name}.json")


def open_runs(store: Store) -> list[OpenRun]:
    """All runs under way, dead ones too; what another process settles meanwhile is left out."""
    store.fs.invalidate_cache(store.path(OPEN))  # other processes add to it
    found = [_read_head(store, name) for name in store.list_folder(OPEN)]
    return [opened for opened in found if opened is not None]


def _read_head(store: Store, key: str) -> OpenRun | None:
    told = read_record(store, f"{OPEN}/{key}/{HEAD}")
    if told is None:
        return None
    end = told["end"]
    return OpenRun(
        from_json("runs", told["run"]),
        told["owner"],
        told["state_folder"],
        datetime.fromisoformat(told["seen_at"]),
        None if end is None else (end[0], end[1], datetime.fromisoformat(end[2])),
    )


def notes_of(store: Store, key: str) -> FactRows:
    """All rows that a run has kept so far, by kind."""
    rows: FactRows = {kind: [] for kind in KINDS}
    folder = f"{OPEN}/{key}"
    store.fs.invalidate_cache(store.path(folder))
    for name in store.list_folder(folder):
        told = None if name == HEAD else read_record(store, f"{folder}/{name}")
        if told is None:
            continue
        for kind in KINDS:
            rows[kind] += [from_json(kind, row) for row in told.get(kind, ())]
    return rows


def settle(store: Store, opened: OpenRun, *, anew: bool) -> None:
    """Turn a run's folder into files of facts, that of ``runs`` last, and remove it.

    Args:
        anew: the run itself has the last word; others leave what is there.
    """
    rows = notes_of(store, opened.key)
    rows["runs"] = [run_row(opened, rows["steps"])]
    started_at = opened.run["started_at"]
    for kind in sorted(KINDS, key=lambda kind: kind == "runs"):
        write_facts(store, kind, opened.key, started_at, rows[kind], anew=anew)
    store.remove(f"{OPEN}/{opened.key}")


def dead_runs(store: Store) -> Iterator[OpenRun]:
    """Runs under way whose process is gone."""
    now = datetime.now(UTC)
    return (opened for opened in open_runs(store) if opened.is_dead(now))


def run_row(opened: OpenRun, steps: Sequence[Row]) -> dict[str, Any]:
    """The row of ``runs``: as it ended, or killed when it was last seen."""
    state, error, at = opened.end or ("killed", "", opened.seen_at)
    states = [step["state"] for step in steps]
    built, cached = states.count("built"), states.count("cached")
    return {
        **opened.run,
        "recorded_at": at,
        "state": state,
        "seconds": round((at - opened.run["started_at"]).total_seconds(), 3),
        "why": _why(state, error, steps),
        "steps": len(steps),
        "built": built,
        "cached": cached,
        "failed": len(steps) - built - cached,
    }


def _why(state: RunState, error: str, steps: Sequence[Row]) -> str:
    """Of errors only the class: their words may quote what they met."""
    if state == "completed":
        built = sum(step["state"] == "built" for step in steps)
        return f"built {built} of {len(steps)} steps"
    broken = [step for step in steps if step["state"] in ("failed", "killed")]
    where = f"in {broken[0]['kind']}/{broken[0]['name']}" if broken else "between steps"
    return f"{error or state} {where}"


def new_run_id() -> str:
    """For facts that no flow run tells."""
    return str(uuid.uuid4())


def head_row(known: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``runs`` with the columns that are known at a run's start."""
    later = {"recorded_at": None, "state": None, "seconds": None, "why": None}
    counts: dict[Kind | str, Any] = dict.fromkeys(("steps", "built", "cached", "failed"))
    return {**later, **counts, **known}

"""Bring a stack up, look at it, and stop it; the supervisor does the work."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.errors import CxrError, InputError
from infra.fingerprint import HOUSE
from infra.stack.addresses import write_shell_file
from infra.stack.place import UNFINISHED, Place, make_place, read_place
from infra.stack.supervise import end_leftovers
from infra.stack.table import table

_LOOK_SECONDS = 0.2
_STOP_SECONDS = 120.0
"""Our choice: each of a handful of processes has some seconds to end by itself."""


@dataclass(frozen=True)
class Seen:
    """One process as its supervisor last told."""

    name: str
    state: str
    pid: int | None
    port: int | None
    starts: int
    since: float


def bring_up(
    root: Path,
    deploy: Sequence[str],
    patience_seconds: float,
    on_change: Callable[[Seen], None],
) -> Place:
    """Start what is not up, and wait until all is; a stack that is up is left as it is.

    Args:
        deploy: the command that registers pools and deployments, part of a first start.
        on_change: called whenever a process has got into another state.

    Raises:
        InputError: the folder, a port or PostgreSQL cannot be used.
        CxrError: a process is not up in time, or the supervisor has ended.
    """
    if (root / UNFINISHED).exists():
        raise InputError(
            f"a restore into {root} that was not finished",
            "a whole stack",
            "run 'cxr stack restore' again, which begins anew",
        )
    place = make_place(root)
    write_shell_file(place)
    supervisor = supervisor_of(place)
    names = [one.name for one in status(place)]  # what it was started with, whatever is set now
    if supervisor is None:
        supervisor = _start_supervisor(place, deploy)
        names = []
    names = names or [service.name for service in table(place, deploy)]
    _wait_until_up(place, supervisor, names, patience_seconds, on_change)
    return place


def _start_supervisor(place: Place, deploy: Sequence[str]) -> psutil.Process:
    place.status_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "infra.stack.supervise", str(place.root), *deploy]
    with place.log_file("supervisor").open("ab") as log:
        started = subprocess.Popen(
            command,
            cwd=HOUSE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return psutil.Process(started.pid)


def _wait_until_up(
    place: Place,
    supervisor: psutil.Process,
    names: Sequence[str],
    patience_seconds: float,
    on_change: Callable[[Seen], None],
) -> None:
    until = time.monotonic() + patience_seconds
    told: dict[str, str] = {}
    while True:
        seen = {one.name: one for one in status(place)}
        for one in seen.values():
            if told.get(one.name) != one.state:
                told[one.name] = one.state
                on_change(one)
        if [name for name in names if name in seen and seen[name].state == "up"] == list(names):
            return
        if not _lives(supervisor):
            raise CxrError(f"the supervisor has ended: {_last_line(place.log_file('supervisor'))}")
        if time.monotonic() > until:
            late = [name for name in names if name not in seen or seen[name].state != "up"]
            raise CxrError(
                f"{', '.join(late)} not up after {patience_seconds:.0f} s; "
                f"look into {place.log_file(late[0])}: {_last_line(place.log_file(late[0]))}"
            )
        time.sleep(_LOOK_SECONDS)


def status(place: Place) -> list[Seen]:
    """How each process is; none where no supervisor has told of any."""
    try:
        rows = json.loads(place.status_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [Seen(name, **row) for name, row in rows.items()]


def supervisor_of(place: Place) -> psutil.Process | None:
    """The living supervisor, if there is one."""
    with suppress(FileNotFoundError, ValueError, psutil.Error):
        told = json.loads(place.supervisor_file.read_text(encoding="utf-8"))
        found = psutil.Process(told["pid"])
        if _lives(found) and found.create_time() == told["started"]:
            return found
    return None


def stop(root: Path) -> bool:
    """Stop all processes of a stack; False if none ran.

    Raises:
        InputError: there is no stack at the folder.
        CxrError: the supervisor does not end.
    """
    place = read_place(root)
    supervisor = supervisor_of(place)
    if supervisor is not None:
        supervisor.terminate()
        with suppress(psutil.TimeoutExpired):
            supervisor.wait(_STOP_SECONDS)
        if _lives(supervisor):
            raise CxrError(f"the supervisor (process {supervisor.pid}) does not end")
    end_leftovers(place)  # of a supervisor that was killed
    place.supervisor_file.unlink(missing_ok=True)
    place.status_file.unlink(missing_ok=True)
    return supervisor is not None


def require_stack(root: Path) -> Place:
    """The stack at a folder, with its supervisor alive.

    Raises:
        InputError: there is none, or it is stopped.
    """
    place = read_place(root)
    if supervisor_of(place) is None:
        raise InputError(f"a stopped stack at {place.root}", "one that is up", "run 'make stack'")
    return place


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except FileNotFoundError:
        return "no log"
    return lines[-1] if lines else "it is empty"

"""Which runs start again and which are told of; plain rules over what Prefect knows of each.

A run crashes through no fault of its own: a machine went down, a process was killed. Everything
that it has built is there, so it is started again, a few times. A run that failed met an error that
the next start would meet again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Final, Literal

OWN_TAG: Final = "cxrflow"
"""Deployments that are attended to have it; ``attend`` itself has not."""
MOST_STARTS = 4
"""Our choice: what has killed a run four times will do so again."""
PENDING_SECONDS = 300.0
"""Our choice: on two very busy cores a run begins within one minute of being taken; a worker that
needs five has died over it."""
MISSED_HEARTBEATS = 6
"""Our choice: a server that was killed is back within two of a stack's, and loses what came
meanwhile."""
LOOK_BACK = timedelta(hours=24)
"""Our choice: what ended longer ago is not started again."""
DATA_HOURS = 26
"""Our choice: a day, and two hours for the nightly run itself."""
ATTENTION_FILE = "attention.jsonl"
Deed = Literal["restart", "tell"]


@dataclass(frozen=True)
class RunSeen:
    """One flow run.

    Args:
        deployment: its deployment's name.
        kind, state: the type of its state and its name (``SCHEDULED`` and ``Late``, say).
        since: when it got into that state.
        starts: how often it has begun to run.
        heard: when it last told that it lives; None if it never did.
    """

    run_id: str
    name: str
    deployment: str
    kind: str
    state: str
    since: datetime
    starts: int
    heard: datetime | None
    message: str = ""


@dataclass(frozen=True)
class Verdict:
    """What is done about one run, or (without one) about missing data, and why."""

    deed: Deed
    subject: str
    name: str
    deployment: str
    why: str


def judge(run: RunSeen, now: datetime, heartbeat_seconds: float) -> Verdict | None:
    """What one run needs; None if nothing.

    Args:
        heartbeat_seconds: how often runs tell that they live.
    """
    why = _why_restarted(run, now, heartbeat_seconds)
    if why and run.starts >= MOST_STARTS:
        return _verdict("tell", run, f"{why}, after {run.starts} starts: not started again")
    if why:
        return _verdict("restart", run, why)
    if run.kind == "FAILED":
        return _verdict("tell", run, f"it failed ({run.state}): {run.message}")
    if run.state == "Late":
        return _verdict("tell", run, "it is late: no worker has taken it")
    return None


def _why_restarted(run: RunSeen, now: datetime, heartbeat_seconds: float) -> str:
    silent = (now - (run.heard or now)).total_seconds()
    waiting = (now - run.since).total_seconds()
    if run.kind == "CRASHED":
        return "it crashed"
    if run.state == "TimedOut":
        return "it was cut off"  # by its timeout, or because a server forgot its slot
    if run.kind == "RUNNING" and silent > MISSED_HEARTBEATS * heartbeat_seconds:
        return f"it has been silent for {silent:.0f} s"
    if run.kind == "PENDING" and waiting > PENDING_SECONDS:
        return f"it was taken {waiting:.0f} s ago and has not begun"
    return ""


def _verdict(deed: Deed, run: RunSeen, why: str) -> Verdict:
    return Verdict(deed, run.run_id, run.name, run.deployment, why)


def judge_data(last_read: datetime | None, since: datetime, now: datetime) -> Verdict | None:
    """Whether raw data has been read of late.

    Args:
        last_read: when a run that reads it was last completed.
        since: when it was first scheduled to be.
    """
    latest = max(last_read or since, since)
    hours = (now - latest).total_seconds() / 3600
    if hours <= DATA_HOURS:
        return None
    why = f"no raw data has been read for {hours:.0f} hours"
    return Verdict("tell", f"data since {latest.isoformat()}", "ingest", "ingest", why)


def not_told(verdicts: Iterable[Verdict], state: Path) -> list[Verdict]:
    """Those that the file does not hold yet; a restart is always told of."""
    try:
        lines = (state / ATTENTION_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    told = set()
    for line in lines:
        with suppress(ValueError, KeyError):  # half a line of one that was killed tells nobody
            row = json.loads(line)
            told.add((row["subject"], row["why"]))
    return [
        each for each in verdicts if each.deed == "restart" or (each.subject, each.why) not in told
    ]


def tell(verdicts: Sequence[Verdict], state: Path, now: datetime) -> None:
    """Append them to the file that a person, or a program of theirs, follows."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / ATTENTION_FILE).open("a+b") as file:
        if file.tell() and not _ends_a_line(file):
            file.write(b"\n")
        for each in verdicts:
            at = {"at": now.isoformat(timespec="seconds")}
            line = json.dumps({**at, **asdict(each)}, sort_keys=True) + "\n"
            file.write(line.encode())


def _ends_a_line(file: IO[bytes]) -> bool:
    """Whether the last writer was not killed half way."""
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"

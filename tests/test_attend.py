"""Which runs are started again, which are told of, and how often."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.attend.work import (
    ATTENTION_FILE,
    DATA_HOURS,
    MISSED_HEARTBEATS,
    MOST_STARTS,
    PENDING_SECONDS,
    RunSeen,
    Verdict,
    judge,
    judge_data,
    not_told,
    tell,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEARTBEAT = 30.0
RUN = RunSeen("7", "llava_rad tiny", "llava-rad", "RUNNING", "Running", NOW, 1, NOW)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


SILENT = MISSED_HEARTBEATS * HEARTBEAT
CASES = [
    (RUN, None, ""),
    (replace(RUN, heard=ago(SILENT - 1)), None, ""),
    (replace(RUN, heard=ago(SILENT + 1)), "restart", "it has been silent for 181 s"),
    (replace(RUN, heard=None, since=ago(99_999)), None, ""),  # it never told that it lives
    (replace(RUN, kind="CRASHED", state="Crashed"), "restart", "it crashed"),
    (replace(RUN, kind="CRASHED", starts=MOST_STARTS), "tell", "it crashed, after 4 starts"),
    (replace(RUN, kind="FAILED", state="TimedOut"), "restart", "it was cut off"),
    (replace(RUN, kind="FAILED", state="Failed", message="no space"), "tell", "no space"),
    (replace(RUN, kind="PENDING", since=ago(PENDING_SECONDS - 1)), None, ""),
    (replace(RUN, kind="PENDING", since=ago(PENDING_SECONDS + 1)), "restart", "has not begun"),
    (replace(RUN, kind="SCHEDULED", state="Late", starts=0), "tell", "no worker has taken it"),
]


@pytest.mark.parametrize(("run", "deed", "why"), CASES)
def test_a_run_gets_what_it_needs(run: RunSeen, deed: str | None, why: str) -> None:
    found = judge(run, NOW, HEARTBEAT)
    assert (found.deed if found else None) == deed
    assert why in (found.why if found else "")


def test_runs_are_never_silent_where_none_tells_that_it_lives() -> None:
    assert judge(replace(RUN, heard=ago(10**6)), NOW, float("inf")) is None


@pytest.mark.parametrize(
    ("last", "since", "missing"),
    [
        (None, 1, False),  # hours ago
        (None, DATA_HOURS + 1, True),
        (1, 999, False),
        (DATA_HOURS + 1, 999, True),
    ],
)
def test_data_that_has_not_come_is_told_of(last: float | None, since: float, missing: bool) -> None:
    read = None if last is None else ago(last * 3600)
    assert (judge_data(read, ago(since * 3600), NOW) is not None) == missing


def test_each_thing_is_told_once_and_each_restart_always(tmp_path: Path) -> None:
    told = Verdict("tell", "7", "a run", "llava-rad", "it failed")
    again = Verdict("restart", "8", "another", "llava-rad", "it crashed")
    assert not_told([told, again], tmp_path) == [told, again]
    tell([told, again], tmp_path / "state", NOW)
    assert not_told([told, again], tmp_path / "state") == [again]
    other = replace(told, why="it is late")
    assert not_told([other], tmp_path / "state") == [other]
    lines = (tmp_path / "state" / ATTENTION_FILE).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["at"], row["deed"], row["subject"]) for row in rows] == [
        ("2026-03-01T12:00:00+00:00", "tell", "7"),
        ("2026-03-01T12:00:00+00:00", "restart", "8"),
    ]


def test_half_a_line_of_a_killed_flow_silences_nobody(tmp_path: Path) -> None:
    told = Verdict("tell", "7", "a run", "llava-rad", "it failed")
    tell([told], tmp_path, NOW)
    with (tmp_path / ATTENTION_FILE).open("a", encoding="utf-8") as file:
        file.write('{"at": "2026-03-01T12:')
    other = replace(told, subject="8")
    assert not_told([told, other], tmp_path) == [other]
    tell([other], tmp_path, NOW)
    assert not_told([told, other], tmp_path) == []

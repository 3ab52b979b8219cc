"""Runs under way: what they told so far, who settles a dead one, and that nothing counts twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.facts.contract import KINDS
from infra.facts.files import fact_files, read_facts
from infra.facts.open_runs import (
    HEAD,
    OPEN,
    SILENT_SECONDS,
    OpenRun,
    beat,
    begin,
    dead_runs,
    find_open,
    head_row,
    is_open,
    note,
    notes_of,
    open_runs,
    settle,
)
from infra.store import Store
from infra.tracking_runs import this_process
from tests.facts_world import house, row
from tests.small_world import HOUSE


def started(store: Store, run_id: str = "run", **known: Any) -> OpenRun:
    told = {
        "run_id": run_id,
        "flow": "ingest",
        "recipe": "llava_rad",
        "scale": "tiny",
        "goal": "ingest",
        "started_at": datetime.now(UTC),
        "expected_at": None,
        "late_seconds": None,
        "trigger": "command",
        "replicas": False,
        "git_commit": "abc",
        "host": "here",
    }
    return begin(store, head_row({**told, **known}))


def step(state: str, name: str = "openi") -> dict[str, Any]:
    return row("steps", run_id="run", kind="studies", name=name, state=state)


def test_a_run_that_ended_is_settled_with_its_steps(tmp_path: Path) -> None:
    store = house(tmp_path)
    opened = started(store)
    assert is_open(store, opened.key)
    note(store, opened.key, "one", {"steps": [step("built")], "rejects": [row("rejects", count=2)]})
    note(store, opened.key, "two", {"steps": [step("cached", "mimic_cxr")]})
    settle(store, beat(store, opened, ("completed", "")), anew=True)
    [run] = read_facts(store, "runs")
    assert (run["state"], run["why"]) == ("completed", "built 1 of 2 steps")
    assert (run["steps"], run["built"], run["cached"], run["failed"]) == (2, 1, 1, 0)
    assert run["seconds"] >= 0
    assert [each["count"] for each in read_facts(store, "rejects")] == [2]
    assert not store.exists(f"{OPEN}/{opened.key}")
    assert fact_files(store, "llm") == []


@pytest.mark.parametrize(
    ("end", "states", "why"),
    [
        (("failed", "SourceError"), ["built", "failed"], "SourceError in studies/1"),
        (("failed", "SettingsError"), [], "SettingsError between steps"),
        (("cancelled", ""), ["killed"], "cancelled in studies/0"),
        (None, ["built", "killed"], "killed in studies/1"),
        (None, ["built"], "killed between steps"),
    ],
)
def test_a_run_says_where_it_broke(tmp_path: Path, end: Any, states: list[str], why: str) -> None:
    store = house(tmp_path)
    opened = started(store)
    for number, state in enumerate(states):
        note(store, opened.key, f"step{number}", {"steps": [step(state, str(number))]})
    settle(store, beat(store, opened, end), anew=True)
    [run] = read_facts(store, "runs")
    assert (run["state"], run["why"]) == ((end or ("killed",))[0], why)


def test_a_later_note_replaces_the_earlier(tmp_path: Path) -> None:
    store = house(tmp_path)
    opened = started(store)
    note(store, opened.key, "one", {"steps": [step("killed")]})
    note(store, opened.key, "one", {"steps": [step("built")]})
    assert [each["state"] for each in notes_of(store, opened.key)["steps"]] == ["built"]


def test_an_object_store_will_do(tmp_path: Path) -> None:
    """fsspec's memory file system: no rename, no folders of their own."""
    store = Store("memory://open-runs", tmp_path)
    opened = started(store)
    note(store, opened.key, "one", {"steps": [step("built")]})
    assert open_runs(store) == [opened]
    settle(store, beat(store, opened, ("completed", "")), anew=True)
    assert [run["why"] for run in read_facts(store, "runs")] == ["built 1 of 1 steps"]
    assert open_runs(store) == []
    store.fs.rm("/open-runs", recursive=True)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {house!r})
from infra.facts.open_runs import note
from tests.facts_world import house
from tests.test_facts_open_runs import started, step
store = house(Path({root!r}))
opened = started(store)
note(store, opened.key, "one", {{"steps": [step("built")]}})
note(store, opened.key, "two", {{"steps": [step("killed", "mimic_cxr")]}})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_shows_at_the_next_look(tmp_path: Path) -> None:
    code = KILLED.format(house=str(HOUSE), root=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], cwd=HOUSE, check=False)
    assert done.returncode == -9
    store = house(tmp_path)
    assert read_facts(store, "runs") == []
    [dead] = dead_runs(store)
    settle(store, dead, anew=False)
    [run] = read_facts(store, "runs")
    assert (run["state"], run["why"]) == ("killed", "killed in studies/mimic_cxr")
    assert (run["built"], run["failed"]) == (1, 1)
    assert run["recorded_at"] == dead.seen_at
    assert list(dead_runs(store)) == []


def test_a_living_run_is_left_alone_and_one_of_another_host_for_ten_minutes(
    tmp_path: Path,
) -> None:
    store = house(tmp_path)
    opened = started(store)
    assert list(dead_runs(store)) == []
    now = datetime.now(UTC)
    away = replace(opened, owner="elsewhere:7:1", seen_at=now)
    assert not away.is_dead(now + timedelta(seconds=SILENT_SECONDS))
    assert away.is_dead(now + timedelta(seconds=SILENT_SECONDS + 1))
    number = this_process().split(":")[1]
    assert replace(opened, owner=f"{this_process().split(':')[0]}:{number}:1").is_dead(now)


def test_two_that_settle_one_run_write_it_once(tmp_path: Path) -> None:
    store = house(tmp_path)
    opened = started(store)
    note(store, opened.key, "one", {"steps": [step("built")], "rejects": [row("rejects", count=2)]})
    both = threading.Barrier(2)

    def look() -> None:
        both.wait()
        settle(store, opened, anew=False)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run["state"] for run in read_facts(store, "runs")] == ["killed"]
    assert len(read_facts(store, "rejects")) == 1
    assert {kind: len(fact_files(store, kind)) for kind in KINDS if fact_files(store, kind)} == {
        "runs": 1, "steps": 1, "rejects": 1
    }  # fmt: skip


def test_a_run_that_was_taken_for_dead_has_the_last_word(tmp_path: Path) -> None:
    store = house(tmp_path)
    opened = started(store)
    settle(store, opened, anew=False)
    assert [run["state"] for run in read_facts(store, "runs")] == ["killed"]
    note(store, opened.key, "one", {"steps": [step("built")]})
    settle(store, beat(store, opened, ("completed", "")), anew=True)
    assert [run["state"] for run in read_facts(store, "runs")] == ["completed"]
    settle(store, opened, anew=False)
    assert [run["state"] for run in read_facts(store, "runs")] == ["completed"]


def test_a_process_that_died_between_its_end_and_its_files_has_ended_well(tmp_path: Path) -> None:
    store = house(tmp_path)
    beat(store, started(store), ("completed", ""))
    [found] = open_runs(store)
    settle(store, found, anew=False)
    assert [run["state"] for run in read_facts(store, "runs")] == ["completed"]


def test_a_damaged_note_is_left_out_and_a_damaged_head_hides_the_run(tmp_path: Path) -> None:
    store = house(tmp_path)
    opened = started(store)
    note(store, opened.key, "one", {"steps": [step("built")]})
    (tmp_path / OPEN / opened.key / "two.json").write_text("{")
    assert len(notes_of(store, opened.key)["steps"]) == 1
    (tmp_path / OPEN / opened.key / HEAD).write_text('{"run": 1}')
    assert open_runs(store) == []


def test_a_run_that_is_started_again_has_a_row_for_each_try(tmp_path: Path) -> None:
    """As Prefect does with a run whose worker was killed."""
    store = house(tmp_path)
    first = started(store)
    note(store, first.key, "one", {"steps": [step("killed")]})
    settle(store, first, anew=False)
    again = started(store, started_at=first.run["started_at"] + timedelta(seconds=5))
    assert again.key != first.key
    assert find_open(store, "run") == again.key
    settle(store, beat(store, again, ("completed", "")), anew=True)
    assert find_open(store, "run") is None
    runs = read_facts(store, "runs")
    assert sorted((run["run_id"], run["state"]) for run in runs) == [
        ("run", "completed"),
        ("run", "killed"),
    ]

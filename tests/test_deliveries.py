"""The delivery log: each event once, over restarts and over several watchers, with retries."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from infra.deliveries import FIRST_WAIT_S, MOST_ATTEMPTS, Deliveries, Delivery
from infra.errors import CxrError, InputError
from tasks.promote.trigger import deliver_due
from tests.small_world import HOUSE, cxr_environment


@pytest.fixture
def log(tmp_path: Path) -> Deliveries:
    return Deliveries(tmp_path / "watch" / "deliveries.sqlite", "one")


def states(log: Deliveries) -> list[tuple[str, int, str]]:
    return [(each.model, each.version, each.state) for each in log.all()]


def take(log: Deliveries, now: float) -> Delivery:
    found = log.take(now)
    assert found is not None
    return found


def test_an_alias_that_stays_is_noticed_once(log: Deliveries) -> None:
    [first] = log.notice({"llava_rad": 1}, 10.0)
    assert (first.model, first.version, first.noticed_at, first.state) == (
        "llava_rad",
        1,
        10.0,
        "waiting",
    )
    assert log.notice({"llava_rad": 1}, 11.0) == []
    again = Deliveries(log.path, log.registry)
    assert again.notice({"llava_rad": 1}, 12.0) == [], "nor after a restart"


def test_an_alias_that_moves_or_is_set_anew_is_another_event(log: Deliveries) -> None:
    log.notice({"a": 1}, 1.0)
    assert [one.version for one in log.notice({"a": 2, "b": 7}, 2.0)] == [2, 7]
    assert log.notice({"b": 7}, 3.0) == [], "taken away"
    assert [one.version for one in log.notice({"a": 2, "b": 7}, 4.0)] == [2]
    assert len({one.key for one in log.all()}) == 4


def test_what_waits_for_a_version_that_was_replaced_is_overtaken(log: Deliveries) -> None:
    log.notice({"a": 1}, 1.0)
    log.notice({"a": 2}, 2.0)
    assert states(log) == [("a", 1, "overtaken"), ("a", 2, "waiting")]
    assert take(log, 3.0).version == 2
    assert log.take(3.0) is None


def test_another_registry_has_events_of_its_own(log: Deliveries) -> None:
    other = Deliveries(log.path, "two")
    log.notice({"a": 1}, 1.0)
    assert other.all() == []
    assert len(other.notice({"a": 1}, 1.0)) == 1
    assert len(log.all()) == 1


def test_what_fails_waits_longer_each_time_and_then_is_given_up(log: Deliveries) -> None:
    log.notice({"a": 1}, 0.0)
    now, waits = 0.0, []
    for _ in range(MOST_ATTEMPTS):
        taken = take(log, now)
        assert log.take(now) is None, "it is this process's"
        kept = log.failed(taken, "no scores", now)
        waits.append(kept.next_at - now)
        assert kept.state == "failed" or log.take(kept.next_at - 0.1) is None
        now = kept.next_at
    assert waits[:-1] == [FIRST_WAIT_S * 2**attempt for attempt in range(MOST_ATTEMPTS - 1)]
    assert states(log) == [("a", 1, "failed")]
    assert log.all()[0].detail == "no scores"
    assert log.take(now + 1e6) is None


TAKE = (
    "import os, sys, time; from pathlib import Path; from infra.deliveries import Deliveries;"
    "assert Deliveries(Path(sys.argv[1]), 'one').take(time.time()); os.kill(os.getpid(), 9)"
)


def test_what_a_killed_watcher_had_taken_is_taken_again(log: Deliveries) -> None:
    log.notice({"a": 1}, 0.0)
    done = subprocess.run(
        [sys.executable, "-c", TAKE, str(log.path)], cwd=HOUSE, env=cxr_environment(), check=False
    )
    assert done.returncode == -9
    assert states(log) == [("a", 1, "running")]
    again = take(log, 1e12)
    assert (again.attempts, again.state) == (2, "running")


def test_what_a_living_watcher_has_taken_is_left_to_it(log: Deliveries) -> None:
    log.notice({"a": 1}, 0.0)
    take(log, 1.0)
    assert Deliveries(log.path, log.registry).take(1e12) is None


def test_many_watchers_take_each_event_once(log: Deliveries) -> None:
    log.notice({f"model {number}": 1 for number in range(40)}, 0.0)
    taken: list[int] = []

    def watch() -> None:
        own = Deliveries(log.path, log.registry)
        own.notice({f"model {number}": 1 for number in range(40)}, 0.0)
        while (found := own.take(1.0)) is not None:
            taken.append(found.number)

    threads = [threading.Thread(target=watch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [one.number for one in log.all()]
    assert len(taken) == 40


def test_everything_that_is_due_is_started_once(log: Deliveries) -> None:
    log.notice({"a": 1, "b": 2}, 0.0)
    started: list[str] = []

    def start(delivery: Delivery) -> str:
        started.append(delivery.key)
        return "passed"

    assert deliver_due(log, start) == 2
    assert deliver_due(log, start) == 0
    assert len(set(started)) == 2
    assert {one.detail for one in log.all()} == {"passed"}
    assert all(one.ended_at is not None for one in log.all())


def test_one_that_fails_holds_no_other_up(log: Deliveries) -> None:
    log.notice({"a": 1, "b": 2}, 0.0)

    def start(delivery: Delivery) -> str:
        if delivery.model == "a":
            raise InputError("no scores", "some", "run 'cxr evaluate'")
        return "passed"

    assert deliver_due(log, start) == 1
    assert states(log) == [("a", 1, "waiting"), ("b", 2, "delivered")]
    assert log.all()[0].detail == "found no scores; expected some; run 'cxr evaluate'"


def test_an_error_that_nobody_foresaw_is_entered_and_raised(log: Deliveries) -> None:
    log.notice({"a": 1}, 0.0)

    def start(delivery: Delivery) -> str:
        raise ZeroDivisionError("secret text")

    with pytest.raises(ZeroDivisionError):
        deliver_due(log, start)
    [kept] = log.all()
    assert (kept.state, kept.detail) == ("waiting", "ZeroDivisionError")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(CxrError, match="no permission"):
        Deliveries(tmp_path / "closed" / "deliveries.sqlite", "one").all()

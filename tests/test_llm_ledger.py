"""The ledger: counts that add up over threads and processes, and nothing left of the dead."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from llm_world import GOOD, QUICK, Script, completion, question, scripted_server
from test_llm_cache import stored

from infra.errors import InputError
from infra.llm import Client
from infra.llm.cache import AnswerCache
from infra.llm.ledger import (
    EARLIER,
    FLUSH_SECONDS,
    LEDGER_FILE,
    NANO,
    Ledger,
    Observed,
    Work,
    dead_processes,
    money,
    release_dead,
    task_of,
)
from infra.llm.status import WorkCounts, read_status

WORK = Work("openi", "verdict", "scripted")
_HOLDER = """
import sys
from pathlib import Path
from infra.llm.ledger import Ledger, Work
ledger = Ledger(Path(sys.argv[1]))
ledger.add(Work("openi", "verdict", "scripted"), sent=3, ok=1, cost_nano=7)
ledger.move(Work("openi", "verdict", "scripted"), 2)
with ledger.transaction() as run:
    ledger.reserve(run, 500)
    ledger.write_pending(run)
print("ready", flush=True)
sys.stdin.read()
"""


def holder(state: Path) -> subprocess.Popen[str]:
    """A process with two requests in flight and a reservation."""
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def kill(child: subprocess.Popen[str]) -> None:
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()


def counts(state: Path) -> dict[str, int]:
    with closing(sqlite3.connect(state / LEDGER_FILE)) as run:
        return dict(run.execute("SELECT what, sum(number) FROM counts GROUP BY what"))


@pytest.mark.parametrize(
    ("version", "task"), [("structure-3", "structure"), ("a-b-12", "a-b"), ("odd", "odd")]
)
def test_a_prompts_version_names_its_task(version: str, task: str) -> None:
    assert task_of(version) == task


def test_counts_of_threads_add_up(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)

    def work() -> None:
        for _ in range(500):
            ledger.add(WORK, sent=1, ok=1, cost_nano=3)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
    assert counts(tmp_path) == {"sent": 2000, "ok": 2000, "cost_nano": 6000}


def test_counts_are_written_while_nothing_more_happens(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(WORK, sent=1)
    ledger.move(WORK, 1)
    deadline = time.monotonic() + 20 * FLUSH_SECONDS
    while counts(tmp_path) != {"sent": 1} and time.monotonic() < deadline:
        time.sleep(0.05)
    (row,) = read_status(tmp_path).work
    assert (row.sent, row.in_flight, row.lost) == (1, 1, 0)
    ledger.close()


def test_two_processes_add_to_one_table(tmp_path: Path) -> None:
    child, ledger = holder(tmp_path), Ledger(tmp_path)
    ledger.add(WORK, sent=1, ok=1, cost_nano=5)
    ledger.flush()
    assert counts(tmp_path) == {"sent": 4, "ok": 2, "cost_nano": 12}
    child.communicate()
    ledger.close()


def test_what_a_killed_process_had_is_lost_and_released(tmp_path: Path) -> None:
    child, ledger = holder(tmp_path), Ledger(tmp_path)
    with ledger.transaction() as run:
        assert (money(run), dead_processes(run)) == ((7, 500), [])
    (row,) = read_status(tmp_path).work
    assert (row.sent, row.kept, row.in_flight, row.lost) == (3, 1, 2, 0)
    kill(child)
    (row,) = read_status(tmp_path).work
    assert (row.sent, row.kept, row.in_flight, row.lost) == (3, 1, 0, 2)
    assert read_status(tmp_path).reserved_usd == 0.0
    with ledger.transaction() as run:
        assert len(dead_processes(run)) == 1
        assert release_dead(run) == 1
        assert money(run) == (7, 0)
    ledger.close()


def test_a_process_that_reuses_the_number_of_a_dead_one_is_another(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with ledger.transaction() as run:
        run.execute("UPDATE processes SET born = born - 1000")
        assert len(dead_processes(run)) == 1
        run.execute("UPDATE processes SET host = 'another'")
        assert dead_processes(run) == [], "seen a moment ago"
        run.execute("UPDATE processes SET seen = seen - 1000")
        assert len(dead_processes(run)) == 1
    ledger.close()


def test_sizes_are_observed_over_sources_and_processes(tmp_path: Path) -> None:
    first = Ledger(tmp_path)
    assert first.observed("verdict", "scripted") == Observed(0, 0, 0, 0, 0, 0)
    for source in ("openi", "brax"):
        first.add(
            Work(source, "verdict", "scripted"),
            asks=2,
            input_characters=400,
            input_tokens=100,
            output_tokens=20,
            timed=1,
            milliseconds=500,
        )
    assert first.observed("verdict", "scripted") == Observed(4, 800, 200, 40, 2, 1000)
    first.close()
    second = Ledger(tmp_path)
    assert second.observed("verdict", "scripted") == Observed(4, 800, 200, 40, 2, 1000)
    assert second.observed("verdict", "other").asks == 0
    second.close()


def test_what_was_paid_before_there_was_a_ledger_counts(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    for key, status in (("a", "ok"), ("b", "refused"), ("c", "ok")):
        cache.put(stored(key, status))
    for _ in range(2):  # once, not again
        Ledger(tmp_path, cache.paid_so_far).close()
    cache.close()
    found = read_status(tmp_path)
    assert found.work == (WorkCounts(EARLIER, "p", "m", 3, 2, {"refused": 1}, 0, 0, 0, 9, 12, 1.5),)
    assert found.spent_usd == 1.5


def test_a_failed_transaction_changes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(WORK, sent=1)
    with pytest.raises(ZeroDivisionError), ledger.transaction() as run:
        ledger.reserve(run, 10)
        _ = 1 // 0
    with ledger.transaction() as run:
        assert money(run) == (0, 0)
    ledger.close()
    assert counts(tmp_path) == {"sent": 1}


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "state")
    assert ledger.path.stat().st_mode & 0o777 == 0o600
    ledger.close()


def test_another_file_or_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / LEDGER_FILE
    path.write_text("no database, whatever its name may say" * 50)
    with pytest.raises(InputError) as caught:
        Ledger(tmp_path)
    assert str(caught.value) == (
        f"found {path} that is not a ledger; expected a SQLite file; move it away"
    )
    path.unlink()
    Ledger(tmp_path).close()
    with closing(sqlite3.connect(path)) as run:
        run.execute("PRAGMA user_version=7")
    with pytest.raises(InputError, match="of layout 7; expected layout 1; move it away"):
        Ledger(tmp_path)
    with pytest.raises(InputError, match="of layout 7; expected layout 1; move it away"):
        read_status(tmp_path)


def test_the_client_keeps_its_books(tmp_path: Path) -> None:
    refusal = completion(None, refusal="No.")
    unfit = completion('{"word": 1}')

    def reply(_: int, body: dict[str, object]) -> tuple[int, object]:
        text = str(body["messages"])
        return 200, refusal if "bad" in text else unfit if "unfit" in text else GOOD

    texts = ["a", "b", "bad", "unfit"]
    with scripted_server(Script(reply)) as endpoint:
        for _ in range(2):
            with Client(endpoint, tmp_path, QUICK) as client:
                client.complete_many([question(text) for text in texts])
    (row,) = read_status(tmp_path).work
    assert row == WorkCounts(
        "openi", "verdict", "scripted",
        sent=4, kept=2, failed={"refused": 1, "invalid": 1}, replayed=4,
        input_tokens=11 * 6, output_tokens=5 * 6, unpriced=6,
    )  # fmt: skip


def test_closing_twice_does_nothing_more(tmp_path: Path) -> None:
    with scripted_server(Script(lambda *_: (200, GOOD))) as endpoint:
        client = Client(endpoint, tmp_path, QUICK)
        client.complete_many([question("a")])
        client.close()
        client.close()
    assert read_status(tmp_path).work[0].kept == 1


def test_money_is_counted_without_drift(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for _ in range(1000):
        ledger.add(WORK, cost_nano=150)
    ledger.close()
    assert read_status(tmp_path).spent_usd == 150_000 / NANO

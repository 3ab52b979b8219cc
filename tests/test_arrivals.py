"""Folders that files arrive in: taken when they have come to rest, and each state once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from infra.deliveries import Deliveries, Delivery
from infra.errors import InputError
from infra.settings.environment import load_environment
from tasks.arrivals.look import Rest, Seen, see
from tasks.arrivals.trigger import files_of, look, open_deliveries, order_for, require_sources
from tasks.context import Order
from tasks.promote.trigger import deliver_due
from tests.small_world import HOUSE, cxr_environment


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "raw"
    root.mkdir()
    (root / "a.csv").write_text("a")
    return root


def rest_of(root: Path, rest: Rest, *times: float) -> list[int]:
    """The states that were taken at looks at these times."""
    return [state for now in times for state in rest.look({"x": root}, now).values()]


def test_a_state_is_told_by_paths_sizes_and_times(root: Path) -> None:
    first = see(root)
    assert first.files == 1
    assert see(root) == first
    os.utime(root / "a.csv", (1, 1))
    changed = see(root)
    assert changed.state != first.state
    (root / "a.csv").rename(root / "b.csv")
    assert see(root).state not in (first.state, changed.state)
    assert first.state.bit_length() <= 63


def test_hidden_files_and_links_to_nothing_do_not_count(root: Path) -> None:
    first = see(root)
    (root / ".a.csv.swp").write_text("x")
    (root / "link").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    assert see(root) == first
    assert see(root.parent / "raw" / "..").files == 1
    (root / "a.csv").unlink()
    assert see(root) == Seen(0, 0)


def test_a_folder_is_taken_when_all_of_it_has_stayed_the_same(root: Path) -> None:
    rest = Rest(10, 1000)
    assert rest_of(root, rest, 0, 5, 9) == []
    assert len(rest_of(root, rest, 10)) == 1
    assert rest_of(root, rest, 20, 99) == []
    (root / "b.jpg").write_text("half")
    assert rest_of(root, rest, 100, 105) == []
    (root / "b.jpg").write_text("half and half")
    assert rest_of(root, rest, 110, 119) == []
    assert len(rest_of(root, rest, 120)) == 1


def test_a_name_that_says_unfinished_holds_the_folder_up(root: Path) -> None:
    rest = Rest(10, 1000)
    (root / "b.jpg.part").write_text("half")
    assert rest_of(root, rest, 0, 50, 100) == []
    (root / "b.jpg.part").rename(root / "b.jpg")
    assert len(rest_of(root, rest, 110, 121)) == 1


def test_a_folder_that_never_rests_is_taken_at_last(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rest, taken = Rest(10, 60), []
    for now in range(0, 130, 5):
        (root / "growing").write_text("x" * (now + 1))
        taken += rest_of(root, rest, now)
    assert len(taken) == 2  # once in each patience
    assert "never at rest" in caplog.text


def test_a_disk_that_is_away_is_no_change(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    rest = Rest(10, 1000)
    assert len(rest_of(root, rest, 0, 10)) == 1
    away = root.rename(root.parent / "away")
    assert rest_of(root, rest, 20, 40) == []
    assert "is not there (FileNotFoundError)" in caplog.text
    root.mkdir()  # an empty mount point
    assert rest_of(root, rest, 50, 70) == []
    root.rmdir()
    away.rename(root)
    assert rest_of(root, rest, 80, 100) == []  # as it was when it was ingested


def test_each_state_is_delivered_once_whoever_watches(root: Path, tmp_path: Path) -> None:
    environment = load_environment(data_root=str(tmp_path / "data"))
    done: list[str] = []

    def start(delivery: Delivery) -> str:
        done.append(files_of(delivery))
        return "run"

    for _ in range(3):  # watchers that were started anew
        log, rest = open_deliveries(environment), Rest(0, 1000)
        look(rest, {"openi": root}, log)
        deliver_due(log, start, files_of)
    assert done == ["files of openi"]
    (root / "b").write_text("b")
    threads = [threading.Thread(target=watch, args=(environment, root, done)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == ["files of openi"] * 2
    assert [each.state for each in open_deliveries(environment).all()] == ["delivered"] * 2


def watch(environment: object, root: Path, done: list[str]) -> None:
    log = open_deliveries(environment)  # type: ignore[arg-type]  # it is one
    look(Rest(0, 1000), {"openi": root}, log)
    deliver_due(log, lambda delivery: done.append(files_of(delivery)) or "run", files_of)  # type: ignore[func-returns-value]  # nothing


def test_one_watcher_that_lags_does_not_undo_what_another_has_seen(tmp_path: Path) -> None:
    log = Deliveries(tmp_path / "log.sqlite", "files")
    assert [each.version for each in log.notice({"openi": 1}, 0, is_all=False)] == [1]
    assert [each.version for each in log.notice({"openi": 2}, 1, is_all=False)] == [2]
    assert log.notice({}, 2, is_all=False) == []  # the other has not seen it come to rest yet
    assert log.notice({"openi": 2}, 3, is_all=False) == []


def test_the_order_names_the_source_alone() -> None:
    delivery = Delivery(1, "k", "openi", 5, 0, "waiting", 0, 0, None, "")
    told = order_for(Order(scale="tiny"), delivery)
    assert told["asked"]["only"] == ["openi"]
    assert told["asked"]["again"] is False
    assert told["order"]["scale"] == "tiny"


def test_nothing_to_watch_is_one_line(root: Path) -> None:
    with pytest.raises(InputError, match="found no folder to watch"):
        require_sources({})
    with pytest.raises(InputError, match="found source 'opni'"):
        require_sources({"opni": root})


@pytest.mark.slow
def test_the_command_ingests_what_has_arrived(tmp_path: Path) -> None:
    from raw_world import write_raw

    raw = write_raw("object_cxr", tmp_path / "raw", 6)
    words = ("watch-files", "--once", "--settle", "0", "--every", "0.2", "--data-root")
    place = (str(tmp_path / "data"), "--source", f"object_cxr={raw}")
    command = [sys.executable, "-c", "from flows.cli import main; main()", *words, *place]
    for pieces in (1, 1):
        done = subprocess.run(
            command, cwd=HOUSE, env=cxr_environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("delivered") == pieces, done.stdout
    assert list((tmp_path / "data").glob("images/object_cxr-*/manifest.json"))

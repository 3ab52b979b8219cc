"""What Prefect shows of a step while a language model answers: progress and counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from llm_world import GOOD, QUICK, Reply, Script, completion, question, scripted_server
from prefect import flow
from prefect.settings import get_current_settings
from prefect.testing.utilities import prefect_test_harness

from infra.llm import Client
from infra.log import LOGGER
from tasks.monitor import live
from tasks.monitor.live import LiveCounts
from tasks.monitor.states import Progress

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


def artifacts(**wanted: Any) -> list[dict[str, Any]]:
    url = get_current_settings().api.url
    answer = httpx.post(f"{url}/artifacts/filter", json={"artifacts": wanted}, timeout=60)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def tables(what: str) -> list[Any]:
    key = f"language-model-{what.replace(' ', '-')}"
    return [json.loads(item["data"]) for item in artifacts(key={"any_": [key]})]


def progress(what: str) -> list[float]:
    return [
        float(item["data"])
        for item in artifacts(type={"any_": ["progress"]})
        if item["description"] == what
    ]


def test_counts_and_progress_are_shown_while_answers_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "TELL_EVERY_SECONDS", 0.05)
    release, seen = threading.Event(), []

    def reply(number: int, _: dict[str, Any]) -> Reply:
        if number == 2:
            release.wait(60)
        return 200, GOOD if number else completion(None, refusal="No.")

    def watch() -> None:
        pause = threading.Event()
        for _ in range(400):
            rows = [row for table in tables("reports of openi") for row in table]
            if rows and rows[0]["in flight"] == 1 and rows[0]["sent"] == 3:
                seen.append((rows[0], progress("reports of openi")))
                break
            pause.wait(0.05)
        release.set()

    @flow
    def step() -> None:
        script = Script(reply)
        with (
            scripted_server(script) as endpoint,
            Client(endpoint, tmp_path, QUICK) as client,
            LiveCounts("reports of openi", tmp_path, lambda row: row.source == "openi") as shown,
        ):
            shown.on_piece(1, 4)
            watcher = threading.Thread(target=watch)
            watcher.start()
            client.complete_many([question(text) for text in "abc"], shown.on_answer)
            client.complete_many([question("d", source="brax")])
            watcher.join()
            shown.on_piece(4, 4)

    step()
    ((row, percent),) = seen
    assert (row["sent"], row["kept"], row["failed"], row["in flight"]) == (3, 1, "refused 1", 1)
    assert len(percent) == 1
    assert 25 <= percent[0] < 50, "a quarter, and two of three of the next piece"
    (table,) = tables("reports of openi")
    (row,) = table
    assert (row["sent"], row["kept"], row["in flight"], row["tokens in"]) == (3, 2, 0, 33)
    assert progress("reports of openi") == [100.0]


def test_a_step_that_asks_nothing_shows_nothing(tmp_path: Path) -> None:
    @flow
    def step() -> None:
        with LiveCounts("cached", tmp_path, lambda _: True):
            pass

    step()
    assert tables("cached") == []
    assert progress("cached") == []


def test_a_quick_step_shows_its_end_once(tmp_path: Path) -> None:
    @flow
    def step() -> None:
        with (
            scripted_server(Script(lambda *_: (200, GOOD))) as endpoint,
            Client(endpoint, tmp_path, QUICK) as client,
            LiveCounts("quick", tmp_path, lambda _: True) as shown,
        ):
            client.complete_many([question("a")], shown.on_answer)
            shown.on_piece(1, 1)

    step()
    ((row,),) = tables("quick")
    assert (row["sent"], row["kept"], row["cost in dollars"]) == (1, 1, 0.0)
    assert progress("quick") == [100.0]


def test_a_server_that_does_not_listen_stops_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise httpx.ConnectError("down")

    monkeypatch.setattr(Progress, "__call__", refuse)
    monkeypatch.setattr(LOGGER, "propagate", True)
    with LiveCounts("unseen", tmp_path, lambda _: True) as shown:
        shown.on_piece(1, 2)
    assert "unseen: not shown in Prefect (ConnectError)" in caplog.text


def test_an_error_of_the_step_goes_on(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), LiveCounts("failing", tmp_path, lambda _: True):
        _ = 1 // 0

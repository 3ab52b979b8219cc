"""Threads and processes that ask the same at the same time pay for it once, or nearly."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from llm_world import GOOD, QUICK, Script, question, scripted_server

from infra.errors import SettingsError
from infra.llm import AnswerStatus, Client
from infra.llm.status import read_status
from infra.settings import load_settings

TEXTS = [f"text {number}" for number in range(60)]


class Slow(Script):
    """Takes its time."""

    async def handle(self, request: web.Request) -> web.Response:
        await asyncio.sleep(0.02)
        return await super().handle(request)


def asked(script: Script) -> Counter[str]:
    return Counter(body["messages"][0]["content"] for body in script.bodies)


def test_threads_that_share_a_client_and_ask_the_same_pay_once(tmp_path: Path) -> None:
    script = Slow(lambda *_: (200, GOOD))
    questions = [question(text) for text in TEXTS]
    with (
        scripted_server(script) as endpoint,
        Client(endpoint, tmp_path, QUICK) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        ends = list(pool.map(client.complete_many, [questions] * 4))
    assert all(answer.status is AnswerStatus.OK for answers in ends for answer in answers)
    assert set(asked(script).values()) == {1}
    (counts,) = read_status(tmp_path).work
    assert (counts.sent, counts.kept, counts.replayed) == (60, 60, 180)


def test_a_thread_that_waited_in_vain_asks_itself(tmp_path: Path) -> None:
    """The first is never answered; who waited for it is none the worse."""
    script = Slow(lambda number, _: (500, {}) if number == 0 else (200, GOOD))
    with (
        scripted_server(script) as endpoint,
        Client(endpoint, tmp_path, replace(QUICK, attempts=1)) as client,
        ThreadPoolExecutor(3) as pool,
    ):
        ends = list(pool.map(client.complete_many, [[question("a")]] * 3))
    assert sorted(str(answers[0].status) for answers in ends) == ["ok", "ok", "unreached"]
    assert len(script.bodies) == 2


def test_clients_that_ask_the_same_at_once_pay_little_twice(tmp_path: Path) -> None:
    """As processes do: each has its own cache, ledger and connections."""
    script = Slow(lambda *_: (200, GOOD))
    limits = replace(QUICK, concurrency=1)
    meet = threading.Barrier(3)

    def work(client: Client) -> list[AnswerStatus]:
        client.complete_many([question("first")])
        meet.wait(20)
        return [answer.status for answer in client.complete_many([question(t) for t in TEXTS])]

    with scripted_server(script) as endpoint:
        clients = [Client(endpoint, tmp_path, limits) for _ in range(3)]
        with ThreadPoolExecutor(3) as pool:
            ends = list(pool.map(work, clients))
        for client in clients:
            client.close()
    assert ends == [[AnswerStatus.OK] * 60] * 3
    assert sum(asked(script)[text] for text in TEXTS) < 2 * len(TEXTS)
    (counts,) = read_status(tmp_path).work
    assert counts.sent == counts.kept == len(script.bodies)
    assert counts.sent + counts.replayed == 3 * 61


def test_a_setting_in_another_coding_is_bad_input() -> None:
    with pytest.raises(SettingsError, match="text in UTF-8"):
        load_settings("llava_rad", "tiny", ["reports.model=\udcff"])

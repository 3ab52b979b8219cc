"""Requests once the openai client has shown the way: what is sent, and how failures are called."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import web
from llm_world import GOOD, QUICK, Reply, Script, question, scripted_server

from infra.llm import AnswerStatus, Client
from infra.llm.wire import ConnectionLost, RawReply, Route, Wire

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Told: yes\r\n\r\n{}"


class AllAtOnce(Script):
    """Answers nobody before four have asked."""

    async def handle(self, request: web.Request) -> web.Response:
        answer = await super().handle(request)
        async with asyncio.timeout(20):
            while len(self.bodies) < 4:
                await asyncio.sleep(0.01)
        return answer


@contextmanager
def raw_server(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Says these bytes, one connection each, and hangs up; its URL and what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    said = b""
                    while b"{question}" not in said:
                        said += connection.recv(65536)
                    heard.append(said)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1", heard
        thread.join(10)


def post(url: str, headers: dict[str, str] | None = None) -> RawReply:
    async def ask() -> RawReply:
        wire = Wire(2, may_use_proxy=False)
        try:
            return await wire.post(Route(url, headers or {}), b"{question}")
        finally:
            await wire.close()

    return asyncio.run(ask())


def test_the_reply_comes_whole() -> None:
    with raw_server(WHOLE) as (url, heard):
        raw = post(url, {"Authorization": "Bearer k"})
    assert (raw.status, raw.content, raw.headers["x-told"]) == (200, b"{}", "yes")
    assert heard[0].startswith(b"POST /v1 HTTP/1.1")
    assert b"Authorization: Bearer k" in heard[0]


@pytest.mark.parametrize(
    "answer",
    [b"", b"not http", WHOLE[:-1], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"],
    ids=["nothing", "noise", "a byte short", "a chunk short"],
)
def test_half_an_answer_is_none(answer: bytes) -> None:
    with raw_server(answer) as (url, _), pytest.raises(ConnectionLost):
        post(url)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionLost):
        post(f"http://127.0.0.1:{port}/v1")


def test_a_redirect_is_not_followed() -> None:
    there = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/\r\n"
    with raw_server(there + b"Content-Length: 0\r\n\r\n") as (url, heard):
        assert post(url).status == 307
    assert len(heard) == 1


def test_a_route_keeps_what_all_requests_share() -> None:
    headers = {"Authorization": "Bearer k", "Accept-Encoding": "br", "X-Stainless-Retry-Count": "0"}
    request = httpx2.Request("POST", "https://example.org/v1/x?api-version=1", headers=headers)
    route = Route.of(request)
    assert route.url == "https://example.org/v1/x?api-version=1"
    assert {name.lower() for name in route.headers} == {"authorization"}


def test_only_the_first_request_of_a_model_goes_through_the_openai_client(tmp_path: Path) -> None:
    """The two ways differ in nothing that the server may act on."""
    seen: list[dict[str, Any]] = []

    def reply(_: int, body: dict[str, Any]) -> Reply:
        seen.append(body)
        return 200, GOOD

    with scripted_server(Script(reply)) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        client.complete_many([question("first")])
        answers = client.complete_many([question(text) for text in "abcd"])
    assert all(answer.status is AnswerStatus.OK for answer in answers)
    first, *others = seen
    for body in others:
        assert {**body, "messages": 0} == {**first, "messages": 0}


def test_requests_wait_for_the_way_and_not_for_the_first_answer(tmp_path: Path) -> None:
    """All of the first call are in flight at once: the server answers none before it has all."""
    script = AllAtOnce(lambda _, __: (200, GOOD))
    with scripted_server(script) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        answers = client.complete_many([question(text) for text in "abcd"])
    assert [answer.status for answer in answers] == [AnswerStatus.OK] * 4


def test_where_the_first_is_lost_another_finds_the_way(tmp_path: Path) -> None:
    def reply(number: int, _: dict[str, Any]) -> Reply:
        return (500, {}) if number < 2 else (200, GOOD)

    with scripted_server(Script(reply)) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        answers = client.complete_many([question(text) for text in "abcd"])
    assert [answer.status for answer in answers] == [AnswerStatus.OK] * 4

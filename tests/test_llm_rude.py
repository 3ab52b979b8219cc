"""Servers that speak broken HTTP, answer without end, or sit behind odd addresses and keys."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from llm_faults_world import SECRET
from llm_world import GOOD, QUICK, Script, question, scripted_server
from pydantic import SecretStr

from infra.errors import SettingsError
from infra.llm import Answer, AnswerStatus, Client, Endpoint
from infra.llm.batch_remote import Remote
from infra.llm.status import read_status
from infra.llm.transport import Transient
from infra.llm.wire import LONGEST_REPLY

BODY = json.dumps(GOOD).encode()


def http(head: bytes = b"", body: bytes = BODY, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return status + b"\r\n" + head + b"connection: close\r\n\r\n" + body


WHOLE = http()


@contextmanager
def rude_server(say: Callable[[int], bytes]) -> Iterator[Endpoint]:
    """Answers the n-th connection's request with ``say(n)`` and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            number = 0
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                answer(connection, number)
                number += 1

        def answer(connection: socket.socket, number: int) -> None:
            with connection:
                connection.settimeout(10)
                try:
                    heard = b""
                    while not heard.endswith((b"}", b"\r\n\r\n")):
                        heard += connection.recv(1 << 16)
                    if heard.startswith(b"POST") and not heard.endswith(b"}"):
                        connection.recv(1 << 16)
                    connection.sendall(say(number))
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Endpoint(f"http://127.0.0.1:{server.getsockname()[1]}/v1", SecretStr("k"))
        finally:
            over.set()
            thread.join()


def ask(endpoint: Endpoint, state: Path, *texts: str, **limits: Any) -> list[Answer]:
    """One question after the other."""
    with Client(endpoint, state, replace(QUICK, **{"attempts": 1, **limits})) as client:
        return [client.complete_many([question(text)])[0] for text in texts]


NO_HTTP = {
    "words": SECRET.encode() + b"\r\n",
    "a status of words": http(status=b"HTTP/1.1 " + SECRET.encode()),
    "a status of five digits": http(status=b"HTTP/1.1 99999 x"),
    "too many headers": http(b"".join(b"x%d: y\r\n" % number for number in range(20_000))),
    "a long header": http(b"x: " + SECRET.encode() * 1000 + b"\r\n"),
    "a length of words": http(b"content-length: many\r\n"),
    "a negative length": http(b"content-length: -5\r\n"),
    "two lengths": http(b"content-length: 3\r\ncontent-length: 4\r\n"),
    "a bad chunk": http(b"transfer-encoding: chunked\r\n"),
    "a control character": http(b"x\0y: z\r\n"),
    "noise said to be packed": http(b"content-encoding: gzip\r\n"),
}


@pytest.mark.parametrize("before", [0, 1], ids=["first request", "later request"])
@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_is_a_lost_connection(tmp_path: Path, name: str, before: int) -> None:
    """Of the openai client's request and of the wire's alike; and all is counted."""
    with rude_server(lambda number: WHOLE if number < before else NO_HTTP[name]) as endpoint:
        *_, last = ask(endpoint, tmp_path, *(["a"] * before), "b")
    assert (last.status, last.detail) == (AnswerStatus.UNREACHED, "connection")
    (counts,) = read_status(tmp_path).work
    assert (counts.kept, counts.failed, counts.lost) == (before, {"unreached": 1}, 0)


@pytest.mark.parametrize("before", [0, 1], ids=["first request", "later request"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_body_longer_than_any_answer_is_none(tmp_path: Path, packed: bool, before: int) -> None:
    body, head = b" " * (LONGEST_REPLY + 1) + BODY, b""
    if packed:
        packer = zlib.compressobj(wbits=31)
        body, head = packer.compress(body) + packer.flush(), b"content-encoding: gzip\r\n"
    with rude_server(lambda number: WHOLE if number < before else http(head, body)) as endpoint:
        *_, last = ask(endpoint, tmp_path, *(["a"] * before), "b")
    assert (last.status, last.detail) == (AnswerStatus.UNREACHED, "malformed-response")


def test_the_name_of_a_model_may_not_hold_half_a_character(tmp_path: Path) -> None:
    body = http(body=json.dumps({**GOOD, "model": "\ud800"}).encode())
    with rude_server(lambda _: body) as endpoint:
        (answer,) = ask(endpoint, tmp_path, "a")
    assert answer.detail == "malformed-response"


class Headers(Script):
    """Keeps what it is told of who asks."""

    told: list[tuple[str | None, str | None]]

    async def handle(self, request: web.Request) -> web.Response:
        headers = request.headers
        self.told.append((headers.get("Authorization"), headers.get("api-key")))
        return await super().handle(request)


@pytest.mark.parametrize(("kind", "key"), [("openai", None), ("azure", "key-1")])
def test_a_login_in_the_address_is_what_the_server_hears(
    tmp_path: Path, kind: Any, key: str | None
) -> None:
    script = Headers(lambda *_: (200, GOOD))
    script.told = []
    with scripted_server(script) as place:
        url = place.base_url.replace("//", "//user:p%40ss@")
        answers = ask(replace(place, base_url=url, kind=kind), tmp_path, "a", "b")
    assert [answer.status for answer in answers] == [AnswerStatus.OK] * 2
    assert script.told == [("Basic dXNlcjpwQHNz", key)] * 2


@pytest.mark.parametrize("key", ["", "  ", "sk-1\nX-Other: 1", "sk-1\u00e9", "sk 1"])
def test_a_key_that_no_header_can_hold_is_refused_unshown(key: str) -> None:
    with pytest.raises(SettingsError, match="correct or unset CXR_LLM_API_KEY") as caught:
        Endpoint("http://127.0.0.1/v1", SecretStr(key))
    assert "sk" not in "".join(traceback.format_exception_only(caught.value))


@pytest.mark.parametrize("host", ["a..b", "." * 3, "a" * 64 + ".org"])
def test_a_host_that_cannot_be_looked_up_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match="set CXR_LLM_BASE_URL"):
        Endpoint(f"http://{host}/v1", SecretStr("k"))


def test_what_is_no_http_is_a_lost_connection_to_batches_too() -> None:
    async def look(endpoint: Endpoint) -> object:
        remote = Remote(endpoint)
        try:
            return await remote.look("batch_1")
        finally:
            await remote.close()

    with rude_server(lambda _: NO_HTTP["words"]) as endpoint, pytest.raises(Transient) as caught:
        asyncio.run(look(endpoint))
    assert caught.value.code == "connection"


def test_an_empty_refusal_is_none(tmp_path: Path) -> None:
    message = {**GOOD["choices"][0]["message"], "refusal": ""}
    body = {**GOOD, "choices": [{"message": message, "finish_reason": "stop"}]}
    with rude_server(lambda _: http(body=json.dumps(body).encode())) as endpoint:
        (answer,) = ask(endpoint, tmp_path, "a")
    assert answer.status is AnswerStatus.OK

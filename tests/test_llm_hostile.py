"""Servers that answer with what no server should."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llm_faults_world import KEY, SECRET, one_answer, stored_statuses
from llm_world import GOOD, QUICK, Reply, completion, question
from pydantic import SecretStr

from infra.llm import AnswerStatus, Client, Endpoint
from infra.llm.transport import LONGEST_RETRY_AFTER_S, _retry_after

HOSTILE: dict[str, Any] = {
    "content is a list": completion([{"type": "text", "text": "{}"}]),  # type: ignore[arg-type]
    "content is a number": completion(7),  # type: ignore[arg-type]
    "finish reason is an object": completion("{}", {"why": "stop"}),  # type: ignore[arg-type]
    "model is a number": {**GOOD, "model": 3},
    "no choices": {**GOOD, "choices": []},
    "choices is null": {**GOOD, "choices": None},
    "an error with status 200": {"error": {"message": SECRET}},
    "usage is a list": {**GOOD, "usage": [1]},
    "tokens without bound": json.dumps(GOOD).replace(": 11", ": 1e999"),
    "tokens are words": json.dumps(GOOD).replace(": 11", ': "many"'),
    "brackets without end": "[" * 100_000,
    "not JSON": "<html>busy</html>",
    "nothing": "",
    "an unpaired surrogate": json.dumps(GOOD).replace("clear", "\\\\ud800 \\ud800"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_body_that_is_no_completion_is_tried_again_and_given_up(
    tmp_path: Path, name: str
) -> None:
    answer, asked = one_answer(tmp_path, lambda *_: (200, HOSTILE[name]))
    assert (answer.status, answer.detail) == (AnswerStatus.UNREACHED, "malformed-response")
    assert asked == 2 and stored_statuses(tmp_path) == Counter()


@pytest.mark.parametrize(
    ("tokens", "kept"), [(-5, 0), (10**30, 2**31 - 1), (None, 0), (2.0, 2), (0, 0)]
)
def test_token_counts_fit_the_tables(tmp_path: Path, tokens: Any, kept: int) -> None:
    body = {**GOOD, "usage": {"prompt_tokens": tokens, "completion_tokens": 1}}
    answer, _ = one_answer(tmp_path, lambda *_: (200, body))
    assert (answer.status, answer.input_tokens) == (AnswerStatus.OK, kept)


@contextmanager
def dripping_server(pause_s: float) -> Iterator[Endpoint]:
    """Sends a completion's head at once and its body byte by byte."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def serve() -> None:
            server.settimeout(0.1)
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=drip, args=(connection,), daemon=True).start()

        def drip(connection: socket.socket) -> None:
            body = json.dumps(GOOD).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            with connection:
                connection.recv(1 << 16)
                try:
                    connection.sendall(head)
                    for byte in body:
                        if over.wait(pause_s):
                            return
                        connection.sendall(bytes([byte]))
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            port = server.getsockname()[1]
            yield Endpoint(f"http://127.0.0.1:{port}/v1", SecretStr(KEY))
        finally:
            over.set()
            thread.join()


def test_a_slow_drip_is_a_timeout(tmp_path: Path) -> None:
    limits = replace(QUICK, attempts=2, timeout_s=0.4)
    started = time.monotonic()
    with dripping_server(0.1) as endpoint, Client(endpoint, tmp_path, limits) as client:
        answer = client.complete_many([question("a")])[0]
    assert (answer.status, answer.detail) == (AnswerStatus.UNREACHED, "timeout")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "30", "retry-after": "9"}, 0.03),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "86400"}, LONGEST_RETRY_AFTER_S),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
    ],
)
def test_how_long_a_server_may_ask_for(headers: dict[str, str], wait_s: float | None) -> None:
    import httpx2

    assert _retry_after(httpx2.Headers(headers)) == wait_s


def test_a_pause_without_end_does_not_stop_the_run(tmp_path: Path) -> None:
    def reply(number: int, _: Any) -> Reply:
        return (429, {"error": {}}, {"retry-after": "inf"}) if number == 0 else (200, GOOD)

    answer, asked = one_answer(tmp_path, reply)
    assert (answer.status, asked) == (AnswerStatus.OK, 2)


@pytest.mark.parametrize("status", [400, 422, 501])
def test_a_server_that_has_no_schemas_says_so_in_several_ways(tmp_path: Path, status: int) -> None:
    def reply(_: int, body: dict[str, Any]) -> Reply:
        if body["response_format"]["type"] == "json_schema":
            return status, {"error": {"message": "json_schema is not implemented"}}
        return 200, GOOD

    answer, asked = one_answer(tmp_path, reply)
    assert (answer.status, asked) == (AnswerStatus.OK, 2)


@pytest.mark.parametrize(
    "error",
    [
        {"code": "context_length_exceeded"},
        {"message": "This model's maximum context length is 4096 tokens"},
        {"code": 400, "type": "exceed_context_size_error"},
        {"message": "the request exceeds the available context size"},
    ],
)
def test_a_prompt_that_is_too_long_is_final_for_it_alone(
    tmp_path: Path, error: dict[str, Any]
) -> None:
    answer, asked = one_answer(tmp_path, lambda *_: (400, {"error": error}))
    assert (answer.status, asked) == (AnswerStatus.CONTEXT_LENGTH, 1)

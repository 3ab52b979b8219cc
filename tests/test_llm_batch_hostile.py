"""Servers that answer calls of files and batches with anything: no crash, no secret, no loop."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from batch_world import events, rule
from llm_world import GOOD, QUICK, question, running

from infra.errors import LanguageModelError
from infra.llm import Answer, AnswerStatus, Client, Endpoint

SECRET = "Mr Doe swallowed a golden ring"
FILE = {
    "id": "file-1",
    "object": "file",
    "bytes": 1,
    "created_at": 1,
    "filename": "x",
    "purpose": "batch",
    "status": "processed",
}
BATCH = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "input_file_id": "file-1",
    "completion_window": "24h",
    "created_at": 1,
    "status": "completed",
    "output_file_id": "file-2",
}
NOTHING: dict[str, Any] = {"object": "list", "data": [], "has_more": False}
Reply = tuple[int, Any]


def polite(method: str, path: str) -> Reply:
    """What a server says that has done everything and gives no answers."""
    if path.endswith("/chat/completions"):
        return 200, GOOD
    if path.endswith("/content"):
        return 200, ""
    if method == "GET" and path in ("/v1/files", "/v1/batches"):
        return 200, NOTHING
    if path.startswith("/v1/batches"):
        return 200, BATCH
    return 200, FILE


@contextmanager
def server(reply: Callable[[str, str], Reply | None]) -> Iterator[tuple[Endpoint, list[str]]]:
    """A server of those replies, polite where there is none, and the calls it got."""
    calls: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        calls.append(f"{request.method} {request.path}")
        found = reply(request.method, request.path)
        status, body = found if found is not None else polite(request.method, request.path)
        if isinstance(body, bytes | str):
            data = body.encode() if isinstance(body, str) else body
            return web.Response(status=status, body=data, content_type="text/html")
        return web.json_response(body, status=status)

    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", handle)
    with running(app) as endpoint:
        yield endpoint, calls


def at(wanted: str, *said: Any) -> Callable[[str, str], Reply | None]:
    """Say this to one kind of call; a dict or bytes alone comes with status 200."""
    status, body = said if len(said) == 2 else (200, said[0])

    def reply(method: str, path: str) -> Reply | None:
        return (status, body) if f"{method} {path}".startswith(wanted) else None

    return reply


def asked(
    tmp_path: Path, reply: Callable[[str, str], Reply | None], **changes: Any
) -> tuple[list[Answer], list[str]]:
    how = rule(**{"attempts": 2, "patience": 2, "deadline_hours": 24.0, **changes})
    with server(reply) as (endpoint, calls), Client(endpoint, tmp_path, QUICK, how) as client:
        return client.complete_many([question("a"), question(SECRET)]), calls


def row(**changes: Any) -> bytes:
    body = {"status_code": 200, "request_id": "r", "body": GOOD}
    plain = {"custom_id": question("a").identity(), "response": body, "error": None}
    return json.dumps({**plain, **changes}).encode()


ODD_BODIES: list[Any] = [{}, [], None, 7, "words", {"id": None}, {"id": 7}, {"id": ""}]


@pytest.mark.parametrize("body", ODD_BODIES, ids=repr)
def test_an_odd_reply_to_an_upload_leads_to_the_direct_path(tmp_path: Path, body: Any) -> None:
    answers, calls = asked(tmp_path, at("POST /v1/files", body))
    assert {answer.status for answer in answers} == {AnswerStatus.OK}
    assert calls.count("POST /v1/files") == 2
    assert calls.count("POST /v1/chat/completions") == 2
    assert "POST /v1/batches" not in calls


@pytest.mark.parametrize("body", ODD_BODIES, ids=repr)
def test_an_odd_reply_to_a_creation_keeps_the_job(tmp_path: Path, body: Any) -> None:
    """The batch may have been made: the run stops and the next one looks for it."""
    with pytest.raises(LanguageModelError, match="gives no news of a batch"):
        asked(tmp_path, at("POST /v1/batches", body))
    others = {**NOTHING, "data": [{**BATCH, "metadata": {"cxrflow_job": "another"}}, body]}

    def reply(method: str, path: str) -> Reply | None:
        replies = {"POST /v1/batches": body, "GET /v1/batches": others}
        call = f"{method} {path}"
        return (200, replies[call]) if call in replies else None

    with pytest.raises(LanguageModelError, match="gives no news of a batch"):
        asked(tmp_path, reply)


@pytest.mark.parametrize("body", [None, 7, "words", [], b"\xff", {"status": "completed"}], ids=repr)
def test_an_odd_batch_is_no_end_of_it(tmp_path: Path, body: Any) -> None:
    if isinstance(body, dict):
        answers, _ = asked(tmp_path, at("GET /v1/batches/", body))
        assert {answer.status for answer in answers} == {AnswerStatus.OK}
        return
    with pytest.raises(LanguageModelError, match="gives no news of a batch"):
        asked(tmp_path, at("GET /v1/batches/", body))


@pytest.mark.parametrize(
    "changes",
    [
        {"output_file_id": None},
        {"output_file_id": 7, "error_file_id": ["x"]},
        {"status": "failed"},
        {"status": "failed", "errors": "words"},
        {"status": "failed", "errors": {"data": "words"}},
        {"status": "failed", "errors": {"data": [None, 7, {"code": None}, {"code": SECRET}]}},
        {"status": "expired", "output_file_id": None},
        {"status": "cancelled", "input_file_id": None},
    ],
    ids=repr,
)
def test_odd_fields_of_a_batch_lose_nothing(
    tmp_path: Path, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers, calls = asked(tmp_path, at("GET /v1/batches/", {**BATCH, **changes}))
    assert {answer.status for answer in answers} == {AnswerStatus.OK}
    assert calls.count("POST /v1/batches") == 1
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("content", "direct"),
    [
        (b"", 2),
        (b"\n\n\n", 2),
        (SECRET.encode(), 2),
        (b"\xff\xfe\n[]\n{}\nnull\n7", 2),
        (row(custom_id="not asked"), 2),
        (row(custom_id=None) + b"\n" + row(response={"status_code": 200, "body": SECRET}), 2),
        (row(response={"status_code": 200, "body": {"choices": [{"message": {}}]}}), 2),
        (row(), 1),
        (row() + b"\r\n" + row(error={"code": "x"}, response=None) + b"\n\n", 1),
        (row(error={"code": "x"}, response=None) + b"\n" + row(), 1),
        (b"x" * 300_000 + b"\n" + row(), 1),
    ],
)
def test_odd_lines_are_passed_over(tmp_path: Path, content: bytes, direct: int) -> None:
    answers, calls = asked(tmp_path, at("GET /v1/files/file-2/content", content))
    assert {answer.status for answer in answers} == {AnswerStatus.OK}
    assert calls.count("POST /v1/chat/completions") == direct
    assert {"DELETE /v1/files/file-1", "DELETE /v1/files/file-2"} <= set(calls)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("call", ["POST /v1/files", "POST /v1/batches", "GET /v1/batches/"])
def test_a_key_that_may_not_is_told_without_the_server_s_words(
    tmp_path: Path, status: int, call: str
) -> None:
    with pytest.raises(LanguageModelError) as caught:
        asked(tmp_path, at(call, status, {"error": {"message": SECRET, "code": SECRET}}))
    assert f"answered status {status} to a call of files or batches" in str(caught.value)
    assert "CXR_LLM_BATCH=off" in str(caught.value)
    assert SECRET not in str(caught.value) and "key-1" not in str(caught.value)
    told = events(tmp_path)
    assert told["sent"] == 2
    assert told["answered"] == (2 if call == "POST /v1/files" else 0)  # else it may come yet


@pytest.mark.parametrize("status", [400, 404, 405, 413, 422, 501])
@pytest.mark.parametrize("call", ["POST /v1/files", "POST /v1/batches"])
def test_a_server_that_refuses_is_asked_directly(tmp_path: Path, status: int, call: str) -> None:
    (tmp_path / "llm-prices.toml").write_text(
        '[[price]]\nmodel = "scripted"\nsince = 2024-01-01\ninput = 1.0\noutput = 1.0\n'
        "batch_discount = 0.5\n"
    )
    said = at(call, status, {"error": {"message": SECRET, "code": "x"}})
    answers, calls = asked(tmp_path, said, mode="auto", smallest=2)
    assert {answer.status for answer in answers} == {AnswerStatus.OK}
    assert calls.count("POST /v1/chat/completions") == 2
    assert ("DELETE /v1/files/file-1" in calls) is (call == "POST /v1/batches")
    assert events(tmp_path) == {"sent": 4, "answered": 4}


@pytest.mark.parametrize("status", [403, 405, 500])
def test_files_that_may_not_be_deleted_are_told_and_tried_again(
    tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    said = at("DELETE /v1/files/", status, {"error": {"message": SECRET}})
    answers, _ = asked(tmp_path, said)
    assert {answer.status for answer in answers} == {AnswerStatus.OK}
    assert "files of a batch are still at 127.0.0.1" in caplog.text
    assert SECRET not in caplog.text


def test_a_redirect_of_an_upload_is_not_followed(tmp_path: Path) -> None:
    answers, calls = asked(tmp_path, at("POST /v1/files", 307, {}), mode="auto", smallest=1)
    assert {answer.status for answer in answers} == {AnswerStatus.OK}
    assert not any(call.startswith("POST /v1/elsewhere") for call in calls)


def test_a_batch_that_never_ends_is_left_to_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.llm.batch_job.LONGEST_CANCELLING_S", 0.05)
    said = at("GET /v1/batches/", {**BATCH, "status": "pondering"})
    with pytest.raises(LanguageModelError, match="cancelled in vain"):
        asked(tmp_path, said, deadline_hours=1.0 / 3600)

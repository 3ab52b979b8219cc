"""The server over HTTP with real children: OpenAI's client, uploads, films, what is refused."""

from __future__ import annotations

import asyncio
import http.client
import io
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import openai
import pytest
from models_world import picture
from PIL import Image
from serve_asking import Reply, ask, form, guarded, upload
from serve_world import Running, alone, films, running, user_turn

from infra.log import LOGGER
from infra.tokens import Role, add_token
from models.serving import Question
from tasks.serve.notice import NOTICE
from tests.pixel_samples import dicom

ASKED = "Is there a nodule?"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    made = {str(role): add_token(path, f"the-{role}", role) for role in Role}
    return {**made, "file": str(path)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tokens: dict[str, str]) -> Iterator[Running]:
    asked = guarded(tmp_path_factory.mktemp("served"), Path(tokens["file"]))
    with running(asked) as found:
        yield found


@pytest.fixture
def client(server: Running, tokens: dict[str, str]) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key=tokens["viewer"], max_retries=0
    ) as made:
        yield made


def test_openais_client_is_answered_as_the_registered_model_answers(client: openai.OpenAI) -> None:
    film = films(1)[0]
    found = client.chat.completions.create(
        model="cxr",
        messages=[user_turn(ASKED, film)],  # type: ignore[list-item]
    )
    assert found.choices[0].message.content == alone([Question(film, None, ASKED)])[0]
    assert found.choices[0].finish_reason in ("stop", "length")
    assert found.model == "cxr/folder"
    assert found.usage is not None
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    assert found.model_extra == {"notice": NOTICE}


def test_openais_client_streams_the_same_text(client: openai.OpenAI) -> None:
    film = films(2)[1]
    pieces = list(
        client.chat.completions.create(
            model="cxr/folder",
            messages=[user_turn("", film)],  # type: ignore[list-item]
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert text == alone([Question(film)])[0]
    assert pieces[-1].usage is not None
    assert pieces[-2].choices[0].finish_reason in ("stop", "length")
    assert sum(bool(p.choices and p.choices[0].delta.content) for p in pieces) > 2


def test_a_conversation_goes_on(client: openai.OpenAI) -> None:
    messages: list[Any] = [user_turn(ASKED, films(1)[0])]
    first = client.chat.completions.create(model="cxr", messages=messages)
    messages.append({"role": "assistant", "content": first.choices[0].message.content})
    messages.append({"role": "user", "content": "Where is it?"})
    second = client.chat.completions.create(model="cxr", messages=messages, max_tokens=3)
    assert second.usage is not None and first.usage is not None
    assert second.usage.prompt_tokens > first.usage.prompt_tokens
    assert second.usage.completion_tokens <= 3
    assert [model.id for model in client.models.list()] == ["cxr"]


def test_openais_client_raises_its_own_errors(
    client: openai.OpenAI, tokens: dict[str, str]
) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.BadRequestError) as bad:
        create(model="cxr", messages=[{"role": "system", "content": "Be brief."}])
    assert bad.value.param == "messages[0]"
    assert "Be brief" not in str(bad.value)
    with pytest.raises(openai.NotFoundError) as unknown:
        create(model="gpt-4o", messages=[{"role": "user", "content": "Hello."}])
    assert unknown.value.code == "model_not_found"
    stranger = client.with_options(api_key="cxr_nobody")
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()
    with pytest.raises(openai.BadRequestError) as image:
        create(model="cxr", messages=[user_turn("", b"no image")], stream=True)  # type: ignore[list-item]
    assert image.value.code == "image"


def test_findings_of_png_jpeg_and_dicom(server: Running, tokens: dict[str, str]) -> None:
    png = picture("left", 3, 60, 50)
    grey = np.asarray(Image.open(io.BytesIO(png)))
    with io.BytesIO() as sink:
        Image.fromarray(grey).save(sink, "JPEG", quality=95)
        jpeg = sink.getvalue()
    for film in (png, jpeg, dicom(grey.astype(np.uint16) * 16, bits=12)):
        reply = upload(server, tokens["viewer"], image=film, indication="Cough.")
        assert reply.status == 200, reply.body
        found = reply.json
        assert found.pop("usage")["completion_tokens"] > 0
        assert found == {
            "findings": alone([Question(film, "Cough.")])[0],
            "finish_reason": found["finish_reason"],
            "model": "cxr",
            "version": "folder",
            "notice": NOTICE,
        }


def test_a_question_is_answered_in_the_place_of_findings(
    server: Running, tokens: dict[str, str]
) -> None:
    film = films(1)[0]
    reply = upload(server, tokens["viewer"], file=film, question=f" {ASKED}\n")
    assert reply.json["answer"] == alone([Question(film, None, ASKED)])[0]


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ({}, 400, "invalid_value"),
        ({"question": ASKED}, 400, "invalid_value"),
        ({"image": b"no image"}, 400, "image"),
        ({"image": b""}, 400, "image"),
        ({"image1": b"a", "image2": b"b"}, 400, "films"),
        ({"image": b"a", "path": "/etc/passwd"}, 400, "invalid_value"),
        ({"image": b"a", "question1": "a", "question2": "b"}, 400, "invalid_value"),
        ({"image": b"a", "question": "x" * 20_001}, 400, "invalid_value"),
        ({"image": b"a" * 190_000, "file": b"b" * 20_000}, 413, "too_large"),
    ],
)
def test_a_bad_upload_is_refused(
    server: Running, tokens: dict[str, str], parts: dict[str, Any], status: int, code: str
) -> None:
    reply = upload(server, tokens["viewer"], **parts)
    assert (reply.status, reply.code) == (status, code)
    assert "passwd" not in str(reply.body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", "application/json"),
        (b"", "multipart/form-data"),
        (b"nothing of a form", "multipart/form-data; boundary=edge"),
        (form(image=b"abc")[0][:-12], "multipart/form-data; boundary=edge"),
        (b"--edge\r\n" + b"a" * 9000 + b"\r\n\r\n", "multipart/form-data; boundary=edge"),
        (b"--edge\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"
         b"--edge--\r\n", "multipart/form-data; boundary=edge"),
    ],
)  # fmt: skip
def test_a_form_that_is_none_is_refused(
    server: Running, tokens: dict[str, str], body: bytes, kind: str
) -> None:
    reply = ask(server, "/v1/findings", body, tokens["viewer"], Content_Type=kind)
    assert reply.status == 400
    assert reply.code == "invalid_value"


def test_every_answer_says_whose_it_is_and_that_it_is_no_medical_device(
    server: Running, tokens: dict[str, str]
) -> None:
    replies = [
        ask(server, "/health"),
        ask(server, "/v1/models"),
        ask(server, "/v1/models", token=tokens["viewer"]),
        ask(server, "/v1/findings", b"x", tokens["viewer"]),
        ask(server, "/nowhere/%0d%0aX-Evil:1", token=tokens["viewer"]),
        ask(server, "/v1/models", token=tokens["viewer"], method="DELETE"),
    ]
    assert [reply.status for reply in replies] == [200, 401, 200, 400, 404, 405]
    drawn = ask(server, "/v1/drawings", {"prompt": "A nodule."}, tokens["viewer"])
    assert (drawn.status, drawn.code) == (404, "no_such_part")
    for reply in replies:
        assert reply.headers["X-Not-A-Medical-Device"] == NOTICE
        assert reply.headers["X-Cxr-Model"] == "cxr/folder"
        assert reply.headers["Server"] == "cxrflow"
        assert reply.headers["X-Evil"] is None
    assert len({reply.headers["X-Request-Id"] for reply in replies}) == len(replies)


@pytest.mark.parametrize(
    ("path", "who", "status"),
    [
        ("/health/live", None, 200),
        ("/health/ready", None, 200),
        ("/metrics", None, 401),
        ("/metrics", "viewer", 200),
        ("/admin/reload", "viewer", 403),
        ("/admin/reload", "operator", 200),
        ("/admin/reload", "promoter", 200),
    ],
)
def test_who_may_what(
    server: Running, tokens: dict[str, str], path: str, who: str | None, status: int
) -> None:
    method = "POST" if path == "/admin/reload" else "GET"
    token = tokens[who] if who else None
    assert ask(server, path, token=token, method=method).status == status


def test_other_schemes_and_sites_are_kept_out(server: Running, tokens: dict[str, str]) -> None:
    token = tokens["viewer"]
    assert ask(server, "/v1/models", Authorization=f"Basic {token}").status == 401
    assert ask(server, "/v1/models", Authorization=token).status == 401
    assert ask(server, "/v1/models", Authorization=f"bearer {token}").status == 200
    reply = ask(server, "/v1/models", token=token, Origin="http://evil.example")
    assert (reply.status, reply.code) == (403, "other_site")
    assert ask(server, "/v1/models", token=token, Origin=server.url).status == 200


def test_large_and_packed_bodies_are_refused(server: Running, tokens: dict[str, str]) -> None:
    token = tokens["viewer"]
    large = ask(server, "/v1/chat/completions", b"x" * 200_001, token)
    assert (large.status, large.code) == (413, "too_large")
    packed = ask(server, "/v1/chat/completions", b"x", token, Content_Encoding="gzip")
    assert (packed.status, packed.code) == (415, "compressed")
    assert server.front.held.now == 0


def chunked(server: Running, token: str, sizes: list[int]) -> Reply:
    """A body whose length is not told before."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    told = {"Authorization": f"Bearer {token}"}
    body = (b"x" * size for size in sizes)
    try:
        connection.request("POST", "/v1/chat/completions", body, told, encode_chunked=True)
        reply = connection.getresponse()
        return Reply(reply.status, reply.read(), reply.headers)
    finally:
        connection.close()


def test_a_body_of_untold_length_is_counted_as_it_comes(
    server: Running, tokens: dict[str, str]
) -> None:
    assert chunked(server, tokens["viewer"], [1000]).status == 400
    assert chunked(server, tokens["viewer"], [60_000] * 4).status == 413


def raw(server: Running, sent: bytes, *, seconds: float = 20.0) -> bytes:
    """What comes back until the other end closes."""
    parts = urlsplit(server.url)
    with socket.create_connection((str(parts.hostname), parts.port), seconds) as line:
        line.sendall(sent)
        found = b""
        while piece := line.recv(65536):
            found += piece
        return found


def test_who_is_slow_is_not_waited_for(server: Running, tokens: dict[str, str]) -> None:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n"
        f"Authorization: Bearer {tokens['viewer']}\r\n\r\n"
    ).encode()
    with ThreadPoolExecutor() as hands:  # both wait for the same patience
        body, no_end = hands.map(partial(raw, server), (head + b"{", b"GET /health HTT"))
    assert body.startswith(b"HTTP/1.1 408 ")
    assert no_end == b"", "a head that does not end"
    assert server.front.inside == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 300 + b"\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_heads_are_limited(server: Running, sent: bytes) -> None:
    assert raw(server, sent).startswith(b"HTTP/1.0 400 ")


def test_no_more_is_let_in_than_there_are_places(server: Running, tokens: dict[str, str]) -> None:
    """Two in work, two that wait; the others are told when to come again, and are answered then."""
    film, statuses, after = films(1)[0], [], []
    expected = alone([Question(film)])[0]

    def work() -> None:
        reply = upload(server, tokens["viewer"], image=film)
        statuses.append(reply.status)
        if reply.status == 200:
            assert reply.json["findings"] == expected
        else:
            assert reply.code == "overloaded"
            after.append(int(reply.headers["Retry-After"]))

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 429}
    assert all(1 <= seconds <= 60 for seconds in after)
    assert server.front.keepers["answers"].desk.places == 0
    assert server.front.held.now == 0


def test_who_leaves_frees_the_place(server: Running, tokens: dict[str, str]) -> None:
    desk = server.front.keepers["answers"].desk
    body, kind = form(image=films(1)[0])
    head = (
        f"POST /v1/findings HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: {kind}\r\nAuthorization: Bearer {tokens['viewer']}\r\n\r\n"
    ).encode()
    parts = urlsplit(server.url)
    for _ in range(12):
        with socket.create_connection((str(parts.hostname), parts.port)) as line:
            line.sendall(head + body)

    async def all_gone() -> None:
        async with asyncio.timeout(30):
            while desk.places or server.front.inside:
                await asyncio.sleep(0.01)

    asyncio.run_coroutine_threadsafe(all_gone(), server.loop).result()
    assert upload(server, tokens["viewer"], image=films(1)[0]).status == 200


def test_metrics_are_prometheus_text(server: Running, tokens: dict[str, str]) -> None:
    upload(server, tokens["viewer"], image=films(1)[0])
    reply = ask(server, "/metrics", token=tokens["viewer"])
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4"
    lines = dict(line.rsplit(" ", 1) for line in reply.body.decode().splitlines() if line[0] != "#")
    assert float(lines['cxr_serve_requests_total{route="/v1/findings",status="200"}']) >= 1
    assert lines['cxr_serve_ready{part="answers"}'] == "1.0"
    assert lines['cxr_serve_places_most{part="answers"}'] == "4.0"
    assert float(lines['cxr_serve_tokens{part="answers"}']) > 0
    info = 'cxr_serve_model_info{model="cxr",part="answers",version="folder"}'
    assert lines[info] == "1.0"
    assert not any("nowhere" in line for line in lines), "a stranger's path is no label"


def test_the_log_holds_ids_and_nothing_that_was_said(
    server: Running, tokens: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    LOGGER.addHandler(caplog.handler)
    level = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    try:
        film = films(1)[0]
        told = {"image": film, "indication": "Unmentionable.", "question": "Unspeakable?"}
        reply = upload(server, tokens["viewer"], **told)
        ask(server, "/Unprintable?Unmentionable", token=tokens["viewer"])
    finally:
        LOGGER.removeHandler(caplog.handler)
        LOGGER.setLevel(level)
    lines = [record.getMessage() for record in caplog.records]
    assert any(reply.headers["X-Request-Id"] in line for line in lines)
    assert any("the-viewer POST /v1/findings 200" in line for line in lines)
    for word in ("Unmentionable", "Unspeakable", "Unprintable", tokens["viewer"], "127.0.0.1"):
        assert word not in "".join(lines)
    assert reply.json["answer"] not in "".join(lines)


def test_health_tells_reasons_to_operators_alone(server: Running, tokens: dict[str, str]) -> None:
    found = ask(server, "/health").json
    assert found["status"] == "ready"
    assert set(found["models"]) == {"answers"}
    assert found["models"]["answers"]["version"] == "folder"
    assert "device" not in found["models"]["answers"]
    known = ask(server, "/health", token=tokens["operator"]).json
    assert known["models"]["answers"]["device"] == "cpu"

"""What somebody sends to do harm: markup, paths, bodies; each is refused or shown as plain text."""

from __future__ import annotations

import http.client
import socket
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from tasks.pages.forms import Form
from tasks.pages.guard import Visitor
from tasks.serve.limits import Limits
from tasks.serve.refused import Refused
from tests.pages_world import (
    SCRIPT,
    House,
    Reply,
    Room,
    copied_house,
    open_room,
)
from tests.serve_asking import form

LIMITS = replace(Limits(), body_bytes=200_000, body_seconds=1.0, idle_seconds=2.0, text_letters=500)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    found = copied_house(tmp_path_factory.mktemp("house"))
    (found.root / "secret.txt").write_text("do not show")
    (found.root / "scores" / "outside-0000000000000000").symlink_to("/etc")
    return found


@pytest.fixture(scope="module")
def room(house: House) -> Iterator[Room]:
    with open_room(house.root, limits=LIMITS) as found:
        yield found


def upload(room: Room, **parts: bytes | str) -> Reply:
    body, kind = form(form_key=room.form_key(), **parts)
    return room.ask("/ask", body, Content_Type=kind)


# Markup.


def test_texts_ids_and_addresses_are_shown_as_they_are_and_never_run(
    room: Room, house: House
) -> None:
    case = f"/cases/{house.scores}/case?example=e0005"
    pages = [f"/cases/{house.scores}", f"/cases/{house.scores}?page=2", case]
    shown = "".join(room.ask(path).text for path in pages)
    assert SCRIPT not in shown and "<img src=x" not in shown and "alert(" in shown
    assert "&lt;script&gt;" in shown
    evil = quote(f'"><script>{"x"}</script>')
    for path in (
        "/runs/",
        "/champions/",
        "/cases/",
        "/scores/",
        "/lineage/scores/",
        "/ask/",
        "/x/",
    ):
        reply = room.ask(path + evil)
        assert reply.status == 404 and "<script>x" not in reply.text, path
    for query in ("source", "finding", "order", "show", "page", "example", "side"):
        reply = room.ask(f"/cases/{house.scores}?{query}={evil}")
        assert reply.status in (200, 400) and "<script>x" not in reply.text, query
    assert "<script>x" not in room.ask(f"/draw?text={evil}&seed={evil}&view={evil}").text


def test_source_and_example_are_no_sql(room: Room, house: House) -> None:
    base = f"/cases/{house.scores}"
    evil = quote("x' OR 1=1; COPY (SELECT 1) TO '/tmp/evil' --")
    assert "0 cases" in room.ask(f"{base}?source={evil}").text
    assert room.ask(f"{base}/case?example={evil}").status == 404
    assert not Path("/tmp/evil").exists()


# Paths.


def raw(room: Room, path: str) -> tuple[int, bytes]:
    """A path as it is: urllib would tidy it."""
    place = urlsplit(room.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    try:
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", place.netloc)
        connection.endheaders()
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "/static/../work.py",
        "/static/..%2fwork.py",
        "/static/%2e%2e/%2e%2e/guard.py",
        "/static//etc/passwd",
        "/static/room.css%00",
        "/../secret.txt",
        "/scores/..%2f..%2fsecret.txt",
        "/scores/../../secret.txt/report",
        "/scores/outside-0000000000000000",
        "/cases/..%2fscores",
        "/lineage/..%2f..%2fetc/passwd",
        "/lineage/.state/mlflow",
        "/lineage/scores/..",
        "/ask/..%2f..%2fsecret/film.png",
    ],
)
def test_paths_lead_to_nothing_but_artifacts(room: Room, path: str) -> None:
    status, body = raw(room, path)
    assert status in (400, 404), path
    assert b"do not show" not in body and b"root:" not in body


def test_only_files_of_the_manifest_are_served(room: Room, house: House) -> None:
    folder = house.root / house.made["scores"].pieces[0].folder
    (folder / "stranger.html").write_text("stranger")
    assert room.ask(f"/scores/{house.scores}/stranger.html").status == 404
    own = folder / "report.html"
    kept = own.read_bytes()
    try:
        own.unlink()
        own.symlink_to(house.root / "secret.txt")
        reply = room.ask(f"/scores/{house.scores}/report")
        assert reply.status == 500 and "do not show" not in reply.text
    finally:
        own.unlink()
        own.write_bytes(kept)


# Bodies.


def test_too_large_too_many_and_strange_bodies_are_refused(room: Room) -> None:
    assert upload(room, image=b"x" * 300_000).status == 413
    assert (
        room.ask("/ask", b"x" * 600_000, Content_Type="application/x-www-form-urlencoded").status
        == 413
    )
    many = {f"part{letter}": "x" for letter in "abcdefghijklmnopqrst"}
    assert upload(room, **many).status == 400
    assert upload(room, question="x" * 501).status in (400, 503)
    assert upload(room, question=b"\xff\xfe").status == 400
    assert upload(room).status == 400
    plain = "application/x-www-form-urlencoded"
    for body, kind in (
        (b"{}", "application/json"),
        (b"", "multipart/form-data"),
        (b"--edge", "multipart/form-data; boundary=edge"),
        (b"a=" + b"%ff", plain),
        (b"&".join(b"a%d=1" % n for n in range(99)), plain),
    ):
        assert room.ask("/ask", body, Content_Type=kind).status in (400, 403), kind
    packed = zlib.compress(b"x" * 100_000)
    assert room.ask("/ask", packed, Content_Type=plain, Content_Encoding="deflate").status == 415


def test_what_is_no_film_is_refused_before_a_model_is_asked(room: Room) -> None:
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\x00\x0f\x00\x00" * 2 + b"\x08\0\0\0\0" + b"\0" * 4
    for film in (b"GIF89a", b"no film", bomb, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0" * 200):
        reply = upload(room, image=film)
        assert reply.status == 400 and "found a film that is" in reply.text, film[:8]


def test_a_body_that_never_ends_is_given_up(room: Room) -> None:
    place = urlsplit(room.url)
    head = (
        f"POST /ask HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 1000\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\nform_key="
    )
    with socket.create_connection((place.hostname, place.port), timeout=30) as line:
        line.sendall(head.encode())
        begun = time.monotonic()
        assert b"408" in line.recv(100)
        assert time.monotonic() - begun >= 0.9


def test_a_head_that_is_none_is_refused(room: Room) -> None:
    place = urlsplit(room.url)
    for head in (
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"\x16\x03\x01\0\0\r\n\r\n",
    ):
        with socket.create_connection((place.hostname, place.port), timeout=30) as line:
            line.sendall(head)
            assert b" 400 " in line.recv(200)


def test_a_long_text_of_a_form_is_refused() -> None:
    from infra.tokens import Bearer, Role

    visitor = Visitor(Bearer("a", Role.VIEWER), "k", None, by_cookie=True)
    told = Form(visitor, {"question": "x" * 501})
    with pytest.raises(Refused, match="500 letters at most"):
        told.text("question", LIMITS)
    assert Form(visitor, {"question": "  x "}).text("question", LIMITS) == "x"

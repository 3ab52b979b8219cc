"""Questions and films of the pages, answered by a real serving process with small models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from serve_asking import form
from serve_world import Running, alone, films, order, running, writer_folder

from infra.errors import InputError
from infra.tokens import Role, add_token
from models.serving import Question
from tasks.pages.serving import Serving, span_of
from tasks.pages.talks import Talks, Turn
from tasks.serve.chat_wire import drawing_of
from tasks.serve.refused import Refused
from tests.pages_world import Reply, Room, open_room

ASKED = "Is there a nodule?"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    made = {str(role): add_token(path, f"the-{role}", role) for role in Role}
    return {**made, "file": str(path)}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tokens: dict[str, str]) -> Iterator[Running]:
    """A serving process that wants tokens too."""
    place = tmp_path_factory.mktemp("served")
    model = str(writer_folder(place / "cxr"))
    with running(order(place, model=model, token_file=Path(tokens["file"]))) as found:
        yield found


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("empty") / "data"
    root.mkdir()
    return root


@pytest.fixture(scope="module")
def room(served: Running, empty: Path, tokens: dict[str, str]) -> Iterator[Room]:
    with open_room(empty, serving=served.url, token_file=Path(tokens["file"])) as found:
        yield found


def upload(room: Room, token: str, path: str = "/ask", **parts: bytes | str) -> Reply:
    body, kind = form(**parts)
    return room.ask(path, body, Content_Type=kind, Authorization=f"Bearer {token}")


def see(room: Room, token: str, path: str) -> Reply:
    return room.ask(path, Authorization=f"Bearer {token}")


def test_a_film_is_read_shown_and_asked_about(room: Room, tokens: dict[str, str]) -> None:
    film, token = films(1)[0], tokens["viewer"]
    assert "<b>cxr/folder</b> answers" in see(room, token, "/ask").text
    begun = upload(room, token, image=film, indication="Cough.", question=ASKED)
    assert begun.status == 303
    place = begun.headers["Location"]
    told = see(room, token, place).text
    for expected in (alone([Question(film, "Cough.")])[0], alone([Question(film, None, ASKED)])[0]):
        assert " ".join(expected.split()) in " ".join(told.split())
    assert see(room, token, f"{place}/film.png").body.startswith(b"\x89PNG")
    again = upload(room, token, place, question="Where is it?")
    assert again.headers["Location"] == f"{place}#last"
    assert see(room, token, place).text.count('<li class="user"') == 2
    assert place in see(room, token, "/ask").text
    # Nobody else sees it, and it can be forgotten at once.
    for path in (place, f"{place}/film.png"):
        assert see(room, tokens["operator"], path).status == 404
    assert upload(room, tokens["operator"], f"{place}/forget", x="").status == 404
    assert upload(room, token, f"{place}/forget", x="").status == 303
    assert see(room, token, place).status == 404


@pytest.mark.parametrize(
    ("said", "filled"),
    [
        (
            "Here. <Xray>Lateral view of the chest was obtained. A nodule.</Xray>",
            {"text": "A nodule.", "view": "LATERAL"},
        ),
        ("Here. <Xray>A nodule.</Xray>", {"text": "A nodule."}),
        ("Here. <Xray>A nodule.", {"text": ""}),
        ("No nodule.", {"text": ""}),
    ],
)
def test_what_a_model_wants_drawn_fills_the_form_with_its_view(
    said: str, filled: dict[str, str]
) -> None:
    """As it goes over the wire: or a lateral film would be asked for as a PA one."""
    wanted = span_of(json.loads(json.dumps(drawing_of(said))))
    assert Turn("assistant", said, to_draw=wanted).drawing == filled


def test_what_the_serving_process_refuses_is_told(room: Room, tokens: dict[str, str]) -> None:
    token = tokens["viewer"]
    reply = upload(room, token, text="An effusion.", path="/draw")
    assert reply.status == 404 and "no model that draws is served here" in reply.text
    begun = upload(room, token, image=films(1)[0]).headers["Location"]
    refused = upload(room, token, begun, question="word " * 2000)
    assert refused.status == 400
    assert see(room, token, begun).text.count('<li class="user"') == 0  # nothing of it is kept
    for parts in ({"seed": "x"}, {"seed": "-1"}, {"seed": "9" * 12}, {"text": ""}):
        told = {"text": "An effusion.", **parts}
        assert upload(room, token, path="/draw", **told).status == 400
    assert upload(room, tokens["operator"], "/serving/reload", x="").status == 303


def test_without_a_serving_process_one_is_told_what_to_start(empty: Path, served: Running) -> None:
    with open_room(empty) as room:
        told = room.ask("/ask").text
        assert "No model answers." in told and "does not answer; start one" in told
        assert "disabled" in told and "No model draws." in room.ask("/draw").text
        key = room.form_key()
        reply = room.ask("/ask", {"form_key": key, "question": ASKED})
        assert reply.status == 503 and "cxr serve" in reply.text
        assert room.ask("/draw", {"form_key": key, "text": "x"}).status == 503
    with open_room(empty, serving=served.url) as room:  # it wants a token, and here is none
        assert "does not know your token" in room.ask("/ask").text
    with open_room(empty) as other, open_room(empty, serving=other.url) as room:
        assert "is no serving process" in room.ask("/ask").text


@pytest.mark.parametrize("url", ["", "file:///etc", "http://", "http://a:b@host", "ftp://x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="--serving"):
        Serving(url)


def test_answers_that_are_none_are_refused() -> None:
    told = Serving("http://127.0.0.1:1")._refused
    assert (
        told(429, json.dumps({"error": {"code": "overloaded", "message": "wait"}}).encode()).status
        == 429
    )
    for raw in (b"", b"[]", b"{}", b"<html>", b"[" * 10**5):
        assert told(500, raw).status == 502


def test_talks_are_their_owners_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    talks = Talks()
    mine, other = talks.begin("me", b"film", b"png"), talks.begin("other", None, None)
    mine.turns.append(Turn("user", "x"))
    assert talks.of("me") == [mine] and talks.find(mine.key, "me") is mine
    with pytest.raises(Refused, match="is over"):
        talks.find(other.key, "me")
    monkeypatch.setattr("tasks.pages.talks._MOST_BYTES", 10)
    talks.begin("me", b"x" * 20, None)
    assert len(talks.of("me")) == 1 and talks.of("other") == []  # the oldest went first
    monkeypatch.setattr("tasks.pages.talks.TALK_SECONDS", -1.0)
    assert talks.of("me") == []

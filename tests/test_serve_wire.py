"""OpenAI's wire format: what a body means, and what of it is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from serve_world import data_url, films, user_turn

from infra.served import Ask, Told
from sources.xray_span import with_span
from tasks.serve.answer import read_drawing
from tasks.serve.chat_wire import Reply, drawing_of, event, film_of, read_chat
from tasks.serve.limits import Limits
from tasks.serve.notice import NOTICE
from tasks.serve.refused import Refused

LIMITS = Limits(text_letters=100, turns=5)
FILM = films(1)[0]


def body(**changes: Any) -> bytes:
    told = {"model": "cxr", "messages": [user_turn("Is there a nodule?", FILM)], **changes}
    return json.dumps(told).encode()


def test_a_question_about_a_film() -> None:
    asked = read_chat(body(), LIMITS)
    assert asked.ask == Ask(0, "talk", (("user", "Is there a nodule?"),), films=(FILM,))
    assert (asked.model, asked.counts) == ("cxr", False)


def test_a_film_without_words_asks_for_the_report() -> None:
    for text in ("", "  "):
        asked = read_chat(body(messages=[user_turn(text, FILM)]), LIMITS)
        assert asked.ask == Ask(0, "report", films=(FILM,))


def test_words_alone_and_turns_in_their_order() -> None:
    messages = [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes?"}]},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    asked = read_chat(body(messages=messages), LIMITS)
    assert asked.ask.turns == (("user", "Hello."), ("assistant", "Yes?"), ("user", "a\nb"))
    assert asked.ask.films == ()


def test_options_that_are_heeded() -> None:
    told = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 9}
    asked = read_chat(body(**told), LIMITS)
    assert (asked.ask.streams, asked.counts, asked.ask.most_tokens) == (True, True, 9)
    assert read_chat(body(max_completion_tokens=4, max_tokens=9), LIMITS).ask.most_tokens == 4


@pytest.mark.parametrize(
    "told",
    [
        {"temperature": 0, "top_p": 1.0, "n": 1, "seed": 7, "user": "me", "metadata": {}},
        {"temperature": 1, "tools": [], "response_format": {"type": "text"}, "logprobs": False},
        {"stop": None, "presence_penalty": 0.0, "store": True, "temperature": None},
    ],
)
def test_options_that_change_nothing(told: dict[str, Any]) -> None:
    assert read_chat(body(**told), LIMITS).ask == read_chat(body(), LIMITS).ask


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.7),
        ("top_p", 0.5),
        ("n", 2),
        ("n", True),
        ("stop", ["."]),
        ("logprobs", True),
        ("logprobs", 0),
        ("tools", [{"type": "function"}]),
        ("response_format", {"type": "json_object"}),
        ("logit_bias", {"1": 2}),
        ("max_tokens", 0),
        ("max_tokens", "9"),
        ("max_completion_tokens", True),
        ("model", None),
        ("model", "x" * 101),
    ],
)
def test_options_that_cannot_be_heeded_are_not_passed_over(name: str, value: Any) -> None:
    with pytest.raises(Refused) as error:
        read_chat(body(**{name: value}), LIMITS)
    assert (error.value.status, error.value.parameter) == (400, name)
    assert error.value.body()["error"]["param"] == name


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


IMAGE = {"type": "image_url", "image_url": {"url": data_url(FILM)}}
MESSAGES = [
    None,
    [],
    "hello",
    [3],
    [turn("user", "a")] * 6,
    [turn("system", "You are a radiologist.")],
    [turn("assistant", "a")],
    [turn("user", "a"), turn("user", "b")],
    [turn("user", "a"), turn("assistant", "b")],
    [turn("user", None)],
    [turn("user", "x" * 101)],
    [turn("user", [{"type": "text", "text": "x" * 60}] * 2)],
    [turn("user", [{"type": "input_audio"}])],
    [turn("user", ["a"])],
    [turn("user", [{"type": "image_url", "image_url": "data:image/png;base64,AAAA"}])],
    [turn("user", "a"), turn("assistant", "b"), turn("user", [IMAGE])],
    [turn("user", "a"), turn("assistant", [IMAGE]), turn("user", "b")],
    [turn("user", "a"), turn("assistant", "b"), turn("user", " ")],
]


@pytest.mark.parametrize("messages", MESSAGES, ids=range(len(MESSAGES)))
def test_bad_messages_are_refused(messages: Any) -> None:
    with pytest.raises(Refused) as error:
        read_chat(body(messages=messages), LIMITS)
    assert error.value.status == 400
    assert (error.value.parameter or "").startswith("messages")
    assert "radiologist" not in error.value.message


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000, b'{"model": "cxr"}']
)
def test_a_body_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as error:
        read_chat(raw, LIMITS)
    assert error.value.status == 400


@pytest.mark.parametrize(
    "url",
    [
        None,
        {"url": "x"},
        "http://127.0.0.1/film.png",
        "https://example.org/film.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "data:image/png,AAAA",
        "data:;base64",
        "data:image/png;base64,####",
        "data:image/png;base64,AAA",
        "data:image/png;charset=x;base64,AAAA",
        " data:image/png;base64,AAAA",
    ],
)
def test_nothing_is_fetched_and_no_file_is_read(url: Any) -> None:
    with pytest.raises(Refused) as error:
        film_of(url, "messages[0]")
    assert error.value.status == 400
    assert "passwd" not in error.value.message


def test_a_data_url_may_be_dicom_or_untold() -> None:
    for kind in ("application/dicom", "image/jpeg", ""):
        assert film_of(data_url(b"bytes", kind), "messages[0]") == b"bytes"


TOLD = Told(3, "done", "There is no nodule.", "stop", 60, 5)


def test_an_answer_in_openais_form() -> None:
    found = Reply("abc", 12, "cxr/3").whole(TOLD)
    assert found["id"] == "chatcmpl-abc"
    assert found["object"] == "chat.completion"
    assert (found["model"], found["system_fingerprint"], found["created"]) == ("cxr/3", "cxr/3", 12)
    (choice,) = found["choices"]
    assert choice["message"]["content"] == "There is no nodule."
    assert choice["finish_reason"] == "stop"
    assert found["usage"] == {"prompt_tokens": 60, "completion_tokens": 5, "total_tokens": 65}
    assert found["notice"] == NOTICE
    assert "to_draw" not in found


def test_a_streams_pieces_in_openais_form() -> None:
    reply = Reply("abc", 12, "cxr/3")
    pieces = [reply.chunk("", first=True), reply.chunk("There"), reply.end(TOLD)]
    assert {piece["object"] for piece in pieces} == {"chat.completion.chunk"}
    deltas = [piece["choices"][0]["delta"] for piece in pieces]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "There"}, {}]
    assert [piece["choices"][0]["finish_reason"] for piece in pieces] == [None, None, "stop"]
    counts = reply.counts(TOLD)
    assert (counts["choices"], counts["usage"]["total_tokens"]) == ([], 65)
    assert event(counts) == f"data: {json.dumps(counts)}\n\n".encode()
    assert event("[DONE]") == b"data: [DONE]\n\n"


def test_a_line_break_in_an_answer_breaks_no_event() -> None:
    raw = event(Reply("a", 1, "m").chunk('a\n\ndata: "x"'))
    assert raw.count(b"\n") == 2


def test_what_an_answer_wants_drawn_is_told_apart() -> None:
    text = with_span("Here it is.", "PA view. A nodule.")
    told = {"prompt": "PA view. A nodule.", "said": "Here it is.", "fault": None}
    assert drawing_of(text) == {"to_draw": told}
    assert drawing_of("<Xray>A nodule.")["to_draw"]["fault"] == "no-end"
    assert drawing_of("No nodule.") == {}


def test_a_drawing_is_asked_by_prompt_or_by_text_and_view() -> None:
    def read(**told: Any) -> Ask:
        return read_drawing(json.dumps(told).encode(), LIMITS)

    assert read(prompt="A nodule.", seed=4) == Ask(0, "draw", prompt="A nodule.", seed=4)
    assert read(text="A nodule.").prompt == "PA view of the chest was obtained. A nodule."
    assert read(text="A nodule.", view="LATERAL").prompt.startswith("Lateral view")


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"prompt": "a", "text": "b"},
        {"prompt": ""},
        {"prompt": 3},
        {"text": "x" * 101},
        {"prompt": "a", "seed": -1},
        {"prompt": "a", "seed": 1.5},
        {"prompt": "a", "seed": True},
        {"prompt": "a", "seed": 2**32},
        {"text": "a", "view": "BACK"},
        {"text": "a", "view": []},
        {"text": "a", "path": "/etc/passwd"},
    ],
)
def test_a_bad_drawing_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(Refused) as error:
        read_drawing(json.dumps(told).encode(), LIMITS)
    assert error.value.status == 400


def test_base64_of_a_film_comes_back() -> None:
    url = f"data:image/png;base64,{base64.b64encode(FILM).decode()}"
    assert film_of(url, "messages[0]") == FILM

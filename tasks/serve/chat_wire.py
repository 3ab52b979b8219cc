"""OpenAI's chat completions: a body to an ask, an answer to a body or to a stream's chunks.

What would change the answer and is not done here is refused, never passed over. Images come as data
URLs alone: a server that fetched what it is pointed at would read for whoever asks.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.served import Ask, Told
from sources.xray_span import read_span
from tasks.serve.limits import Limits
from tasks.serve.notice import NOTICE
from tasks.serve.refused import bad

_DATA_URL = re.compile(r"data:(?P<type>[\w.+/-]*);base64,")
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "temperature": (0, 1),  # 1 is the interface's default, which says nothing
    "top_p": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "stop": ([], ""),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
}
"""Options that would change an answer, with the values that leave it as it is; an answer is the
likeliest text, so that a seed changes nothing either."""


@dataclass(frozen=True)
class ChatAsk:
    """A body that was understood; ``model`` is what it calls the model."""

    model: str
    ask: Ask
    counts: bool
    """Whether a stream ends with the tokens' counts."""


def read_chat(raw: bytes, limits: Limits) -> ChatAsk:
    """The ask of a request's body.

    Raises:
        Refused: 400, with what is wrong.
    """
    body = _object(raw)
    _refuse_what_is_not_done(body)
    turns, films = _turns(body.get("messages"), limits)
    asked = turns[-1][1].strip()
    if not asked and len(turns) > 1:
        raise bad("an empty last message", "a question", "write one", "messages")
    options = body.get("stream_options") or {}
    return ChatAsk(
        model=_text(body.get("model"), "model", limits),
        ask=Ask(
            0,
            "talk" if asked else "report",
            turns=turns if asked else (),
            films=films,
            most_tokens=_most_tokens(body),
            streams=body.get("stream") is True,
        ),
        counts=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise bad("a body that is no JSON", "a JSON object", "correct it", "body") from None
    if not isinstance(body, dict):
        raise bad("no JSON object", "one with model and messages", "correct it", "body")
    return body


def _refuse_what_is_not_done(body: Mapping[str, Any]) -> None:
    for name, neutral in _NEUTRAL.items():
        value = body.get(name)
        if value is not None and not any(_is_same(value, each) for each in neutral):
            found = f"a value of '{name}' that is not offered"
            raise bad(found, _told(neutral), "leave it out", name)


def _is_same(value: Any, other: Any) -> bool:
    """Equal, and no true that stands for a 1."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _told(neutral: tuple[Any, ...]) -> str:
    return " or ".join(["none", *(json.dumps(each) for each in neutral)])


def _most_tokens(body: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if type(value) is not int or value < 1:
            raise bad(f"a bad {name}", "a whole number from 1 on", "correct it", name)
        return value
    return None


def _turns(messages: Any, limits: Limits) -> tuple[tuple[tuple[str, str], ...], tuple[bytes, ...]]:
    """(role, text) in turn, and the films of the first message."""
    if not isinstance(messages, list) or not 0 < len(messages) <= limits.turns:
        wanted = f"a list of 1 to {limits.turns}"
        raise bad("no messages, or too many", wanted, "correct it", "messages")
    turns: list[tuple[str, str]] = []
    films: tuple[bytes, ...] = ()
    for number, message in enumerate(messages):
        place, role = f"messages[{number}]", ("user", "assistant")[number % 2]
        if not isinstance(message, dict) or message.get("role") != role:
            found = f"{place} without the role '{role}'"
            wanted = "the user and the assistant in turn; the model has a system line of its own"
            raise bad(found, wanted, "correct it", place)
        text, shown = _content(message.get("content"), place, limits)
        if shown and number:
            wanted = "films in the first message alone"
            raise bad(f"a film in {place}", wanted, "begin a new conversation with it", place)
        turns.append((role, text))
        films = films or shown
    if len(messages) % 2 == 0:
        raise bad("an assistant's last message", "the user's", "ask something", "messages")
    return tuple(turns), films


def _content(content: Any, place: str, limits: Limits) -> tuple[str, tuple[bytes, ...]]:
    if isinstance(content, str):
        return _text(content, place, limits), ()
    if not isinstance(content, list) or len(content) > limits.turns:
        raise bad(f"no content in {place}", "a text, or a list of parts", "correct it", place)
    texts, films = [], []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            texts.append(_text(part.get("text"), place, limits))
        elif kind == "image_url":
            shown = part.get("image_url")
            films.append(film_of(shown.get("url") if isinstance(shown, dict) else None, place))
        else:
            raise bad(f"a part of another type in {place}", "text or image_url", "drop it", place)
    return _text("\n".join(texts), place, limits), tuple(films)


def _text(value: Any, place: str, limits: Limits) -> str:
    if not isinstance(value, str) or len(value) > limits.text_letters:
        wanted = f"a text of up to {limits.text_letters} letters"
        raise bad(f"no text in {place}, or too long a one", wanted, "correct it", place)
    return value


def film_of(url: Any, place: str) -> bytes:
    """The bytes of a data URL.

    Raises:
        Refused: 400; it is none, or would have something fetched.
    """
    found = _DATA_URL.match(url) if isinstance(url, str) else None
    if found is None:
        wanted = "data:image/png;base64,… (or jpeg, or application/dicom); nothing is fetched"
        raise bad(f"an image_url in {place} that is no data URL", wanted, "send the bytes", place)
    try:
        return base64.b64decode(url[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise bad(
            f"a data URL in {place} that is no base64", "base64", "correct it", place
        ) from None


@dataclass(frozen=True)
class Reply:
    """What all bodies and chunks of one answer share."""

    key: str
    created: int
    model: str

    def _body(self, kind: str, choice: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.key}",
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.model,
            "choices": [{"index": 0, "logprobs": None, **choice}],
            "notice": NOTICE,
            **more,
        }

    def whole(self, told: Told) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        message = {"role": "assistant", "content": told.text, "refusal": None}
        choice = {"message": message, "finish_reason": told.reason}
        return self._body("chat.completion", choice, usage=usage(told), **drawing_of(told.text))

    def chunk(self, text: str, *, first: bool = False) -> dict[str, Any]:
        """A piece of a stream."""
        delta = {"role": "assistant", "content": text} if first else {"content": text}
        choice = {"delta": delta, "finish_reason": None}
        return self._body("chat.completion.chunk", choice)

    def end(self, told: Told) -> dict[str, Any]:
        """The last piece of a stream but for the counts."""
        choice = {"delta": {}, "finish_reason": told.reason}
        return self._body("chat.completion.chunk", choice, **drawing_of(told.text))

    def counts(self, told: Told) -> dict[str, Any]:
        """The counts that a stream may end with."""
        body = self._body("chat.completion.chunk", {}, usage=usage(told))
        return {**body, "choices": []}


def usage(told: Told) -> dict[str, int]:
    """Tokens read and written; those of films are read too."""
    read, written = told.prompt_tokens, told.tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def drawing_of(text: str) -> dict[str, Any]:
    """The text between an answer's ``<Xray>`` tags, for ``/v1/drawings``, where there is any."""
    span = read_span(text)
    if not span.spans:
        return {}
    fault = None if span.fault is None else str(span.fault)
    return {"to_draw": {"prompt": span.prompt, "said": span.said, "fault": fault}}


def event(body: Mapping[str, Any] | str) -> bytes:
    """One server-sent event."""
    return f"data: {body if isinstance(body, str) else json.dumps(body)}\n\n".encode()

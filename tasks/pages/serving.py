"""The serving process as the pages ask it: the same HTTP API that anybody may use.

The visitor's own token is passed on, so that the serving process decides what they may ask.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from infra.errors import InputError
from tasks.serve.refused import Refused

DEFAULT_URL: Final = "http://127.0.0.1:8000"
_ANSWER_BYTES: Final = 32 * 2**20  # our choice: a drawn film has a thousandth of it
_LOOK_SECONDS: Final = 3.0
"""For a look at whether it answers (our choice): a page waits for it."""
_KINDS: Final = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"))


@dataclass(frozen=True)
class Served:
    """What answers now; names are ``NAME/VERSION``, empty where there is none."""

    answers: str = ""
    drawings: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class Answer:
    """What a model said; ``to_draw`` is the text of a film that it asks for."""

    text: str
    model: str
    finish_reason: str
    to_draw: str = ""


@dataclass
class Serving:
    """The process behind ``url``; one client for all visitors."""

    url: str
    answer_seconds: float = 300.0
    _client: aiohttp.ClientSession | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise InputError(
                "--serving with an address that is none",
                "http://HOST:PORT without a name or password in it",
                "give the address that 'cxr serve' prints",
            )
        self.url = self.url.rstrip("/")

    async def open(self) -> None:
        """Begin; cookies of no process are kept."""
        jar = aiohttp.DummyCookieJar()
        self._client = aiohttp.ClientSession(cookie_jar=jar, auto_decompress=False)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def served(self, token: str | None) -> Served:
        """Which models answer; no error, but words, where none does."""
        try:
            raw, _ = await self._ask("GET", "/v1/models", token, seconds=_LOOK_SECONDS)
            listed = _table(raw)["data"]
            parts = {one["part"]: f"{one['id']}/{one['version']}" for one in listed}
        except Refused as refused:
            return Served(trouble=refused.message)
        except (KeyError, TypeError):
            return Served(trouble=f"{self.url} is no serving process")
        return Served(str(parts.get("answers", "")), str(parts.get("drawings", "")))

    async def findings(self, token: str | None, film: bytes, indication: str) -> Answer:
        """The report of a film.

        Raises:
            Refused: as the serving process does; 503 where there is none.
        """
        form = aiohttp.FormData()
        form.add_field("image", film, filename="film", content_type="application/octet-stream")
        if indication:
            form.add_field("indication", indication)
        raw, _ = await self._ask("POST", "/v1/findings", token, data=form)
        told = _table(raw)
        text = str(told.get("findings", told.get("answer", "")))
        return Answer(
            text, f"{told.get('model')}/{told.get('version')}", str(told.get("finish_reason"))
        )

    async def chat(
        self, token: str | None, model: str, turns: Sequence[tuple[str, str]], film: bytes | None
    ) -> Answer:
        """The next turn of a conversation about a film, or about none."""
        messages: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in turns]
        if film is not None:
            kind = next((kind for magic, kind in _KINDS if film.startswith(magic)), _OTHER)
            url = f"data:{kind};base64,{base64.b64encode(film).decode()}"
            words = messages[0]["content"]
            parts = [{"type": "image_url", "image_url": {"url": url}}]
            parts += [{"type": "text", "text": words}] if words else []
            messages[0]["content"] = parts
        body = {"model": model, "messages": messages}
        raw, _ = await self._ask("POST", "/v1/chat/completions", token, json=body)
        told = _table(raw)
        try:
            choice = told["choices"][0]
            text, why = choice["message"]["content"], choice["finish_reason"]
        except (KeyError, TypeError, IndexError):
            raise _strange() from None
        return Answer(str(text), str(told.get("model")), str(why), span_of(told))

    async def draw(self, token: str | None, text: str, view: str, seed: int) -> tuple[bytes, str]:
        """A film of a text as PNG, and which model drew it."""
        body = {"text": text, "view": view, "seed": seed}
        raw, headers = await self._ask("POST", "/v1/drawings", token, json=body)
        if not raw.startswith(b"\x89PNG"):
            raise _strange()
        return raw, headers.get("X-Cxr-Model", "")

    async def reload(self, token: str | None) -> None:
        """Have it look at its aliases now."""
        await self._ask("POST", "/admin/reload", token, seconds=60.0)

    async def _ask(
        self, method: str, path: str, token: str | None, *, seconds: float = 0, **more: Any
    ) -> tuple[bytes, Mapping[str, str]]:
        assert self._client is not None, "open it first"
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        limit = aiohttp.ClientTimeout(total=seconds or self.answer_seconds)
        try:
            async with self._client.request(
                method, self.url + path, headers=headers, timeout=limit, allow_redirects=False,
                **more,
            ) as reply:  # fmt: skip
                raw = await _read(reply)
                if reply.status != 200:
                    raise self._refused(reply.status, raw)
                return raw, reply.headers
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            slow = isinstance(error, asyncio.TimeoutError)
            what = "gave no answer in time" if slow else "does not answer"
            message = f"the serving process at {self.url} {what}; start one with 'cxr serve'"
            raise Refused(504 if slow else 503, "no_serving", message) from None

    def _refused(self, status: int, raw: bytes) -> Refused:
        """Its own words, which repeat nothing of what was sent."""
        try:
            told = json.loads(raw)["error"]
            code, message = str(told["code"]), str(told["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return Refused(502, "no_serving", f"{self.url} is no serving process")
        if status == 401:
            message = "the serving process does not know your token; it has another token file"
        return Refused(status if 400 <= status < 600 else 502, code, message[:500])


def span_of(told: Mapping[str, Any]) -> str:
    """The text of one whole span, if the answer has one: of a broken one nothing is drawn."""
    asked = told.get("to_draw")
    if not isinstance(asked, Mapping) or asked.get("fault") is not None:
        return ""
    return str(asked.get("prompt") or "")


_OTHER: Final = "application/dicom"


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in reply.content.iter_any():
        body += part
        if len(body) > _ANSWER_BYTES:
            raise _strange()
    return bytes(body)


def _table(raw: bytes) -> dict[str, Any]:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        raise _strange() from None
    if not isinstance(told, dict):
        raise _strange()
    return told


def _strange() -> Refused:
    return Refused(502, "no_serving", "the serving process gave an answer that is none")

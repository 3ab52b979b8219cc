"""One HTTP exchange with a chat-completions server, its failures sorted into three kinds.

``Transient`` may work later; ``Declined`` is final for this request; ``Misconfigured`` would fail
for every request. None of them carries the server's own words: servers echo what they were sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import httpx2
import openai
import pydantic_core

from infra.egress import Guarantee
from infra.errors import LanguageModelError
from infra.llm.endpoint import Endpoint
from infra.llm.request import AnswerStatus, ChatRequest, Message, schema_name, strict_schema
from infra.llm.wire import ConnectionLost, Overlong, RawReply, Route, Wire, read_whole

for _chatty in ("openai", "httpx2", "httpx"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)  # their debug lines hold request bodies

OWN_MODELS_HOST = "api.openai.com"
CONTEXT_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
SCHEMA_WORDS = ("response_format", "json_schema", "structured output")
SCHEMA_STATUS = frozenset({400, 422, 501})
CONTEXT_WORDS = ("maximum context length", "exceed_context_size", "available context size")
"""How OpenAI, vLLM and llama.cpp's server say that a prompt is too long."""
LONGEST_RETRY_AFTER_S = 600.0
"""Longer pauses are cut to this and asked again (our choice: a run should not sleep for a day)."""
MOST_TOKENS = 2**31 - 1
RATE_LIMITED = "rate-limited"
OK = 200
TRANSIENT_STATUS = frozenset({408, 409, 425, 429})


class Transient(Exception):
    """May work later; ``wait_s`` is the server's Retry-After in seconds, where it gave one."""

    def __init__(self, code: str, wait_s: float | None = None) -> None:
        super().__init__(code)
        self.code, self.wait_s = code, wait_s


class Declined(Exception):
    """Final for this request."""

    def __init__(self, status: AnswerStatus) -> None:
        super().__init__(status)
        self.status = status


class SchemaUnsupported(Exception):
    """The server cannot take a JSON schema; ask in JSON mode instead."""


class Misconfigured(LanguageModelError):
    """Every request to this endpoint would fail: key, model name or address."""


@dataclass(frozen=True)
class Reply:
    """What a server said: ``content`` is the answer's text, None when it refused.

    ``requests_per_minute`` and ``tokens_per_minute`` are the limits it stated, if any; ``seconds``
    is what the exchange took, 0 where it was not timed.
    """

    content: str | None
    finish_reason: str
    model: str
    input_tokens: int
    output_tokens: int
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    seconds: float = 0.0


def _may_use_proxy(endpoint: Endpoint) -> bool:
    """Whether a proxy of the environment may stand before the endpoint.

    Not where the endpoint is local, for the text would leave by another host than the one that was
    judged; nor over http, where a proxy reads all that passes. Over https it sees the host alone.
    """
    local = endpoint.is_loopback or endpoint.guarantee is Guarantee.LOCAL
    return not local and endpoint.base_url.startswith("https://")


def _without_login(url: str) -> tuple[str, dict[str, str]]:
    """An address without its login, and the header that says the login, in place of the key."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    user, _, word = login.partition(":")
    told = aiohttp.encode_basic_auth(unquote(user), unquote(word), "utf-8")
    return parts._replace(netloc=host).geturl(), {"Authorization": told}


class Transport:
    """The openai client, and the wire that it showed the way; use it on one event loop only."""

    def __init__(self, endpoint: Endpoint, timeout_s: float, connections: int) -> None:
        self._endpoint, self._timeout_s = endpoint, timeout_s
        new_models = endpoint.kind == "azure" or endpoint.host == OWN_MODELS_HOST
        self._limit_name = "max_completion_tokens" if new_models else "max_tokens"
        self._routes: dict[str, Route] = {}
        self._scouts: dict[str, asyncio.Event] = {}
        self._wire = Wire(connections, may_use_proxy=_may_use_proxy(endpoint))
        http = openai.DefaultAioHttpClient(
            timeout=timeout_s,
            limits=httpx2.Limits(max_connections=connections),
            follow_redirects=False,  # text goes to the declared host and nowhere else
            trust_env=_may_use_proxy(endpoint),
            event_hooks={"request": [self._note_route], "response": [_read_bounded]},
        )
        address, login = _without_login(endpoint.base_url)
        key = endpoint.api_key.get_secret_value()
        self.client: openai.AsyncOpenAI
        if endpoint.kind == "azure":
            self.client = openai.AsyncAzureOpenAI(
                azure_endpoint=address,
                api_version=endpoint.api_version,
                api_key=key,
                http_client=http,
                max_retries=0,
                default_headers=login,
            )
        else:
            self.client = openai.AsyncOpenAI(
                base_url=address,
                api_key=key,
                http_client=http,
                max_retries=0,
                default_headers=login,
            )

    async def exchange(
        self, request: ChatRequest, messages: tuple[Message, ...], with_schema: bool
    ) -> Reply:
        """Send one request and read the reply.

        Raises:
            Transient, Declined, SchemaUnsupported, Misconfigured: as their names say.
        """
        body = self.body(request, messages, with_schema)
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):  # the client's own starts anew with a byte
                raw = await self._post(request.model, body)
        except TimeoutError:
            raise Transient("timeout") from None
        except openai.APIStatusError as error:
            raise _sort_status(_raw(error.response), self._endpoint, request.model) from None
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            raise Transient(_broken_off(error)) from None
        except (ConnectionLost, aiohttp.ClientError, OSError):
            raise Transient("connection") from None  # no HTTP: aiohttp quotes what came instead
        except Overlong:
            raise Transient("malformed-response") from None
        if raw.status != OK:
            raise _sort_status(raw, self._endpoint, request.model)
        seconds = time.monotonic() - started
        return _with_headers(read_reply(raw.content), raw.headers, seconds)

    async def _post(self, model: str, body: dict[str, Any]) -> RawReply:
        """Send a model's first request through the openai client, and the others after it: where it
        goes, with the headers it has."""
        while model not in self._routes:
            if model not in self._scouts:
                return await self._scout(model, body)
            await self._scouts[model].wait()
        return await self._wire.post(self._routes[model], _encode(body))

    async def _scout(self, model: str, body: dict[str, Any]) -> RawReply:
        under_way = self._scouts[model] = asyncio.Event()
        try:
            return _raw(
                await self.client.post("/chat/completions", body=body, cast_to=httpx2.Response)
            )
        finally:
            self._scouts.pop(model, None)
            under_way.set()

    async def _note_route(self, request: httpx2.Request) -> None:
        """The openai client is about to send: those who wait for a route need not wait longer."""
        if _is_question(request):
            model = json.loads(request.content)["model"]
            self._routes[model] = Route.of(request)
            self._scouts[model].set()

    def body(
        self, request: ChatRequest, messages: tuple[Message, ...], with_schema: bool
    ) -> dict[str, Any]:
        shape: dict[str, Any] = {"type": "json_object"}
        if with_schema:
            named = {"name": schema_name(request.answer), "strict": True}
            shape = {
                "type": "json_schema",
                "json_schema": {**named, "schema": strict_schema(request.answer)},
            }
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": item.role, "content": item.content} for item in messages],
            "temperature": request.temperature,
            self._limit_name: request.max_output_tokens,
            "response_format": shape,
        }
        if request.seed is not None:
            body["seed"] = request.seed
        return body

    async def close(self) -> None:
        await self._wire.close()
        await self.client.close()


def _is_question(request: httpx2.Request) -> bool:
    """Whether the openai client asks for an answer, not for files or batches."""
    return request.url.path.endswith("/chat/completions")


async def _read_bounded(response: httpx2.Response) -> None:
    """Read the openai client's answer for it, which it would do without an end."""
    if _is_question(response.request):
        response._content = await read_whole(response.aiter_bytes())  # what its aread() sets


def _encode(body: dict[str, Any]) -> bytes:
    return pydantic_core.to_json(body)


def _raw(response: httpx2.Response) -> RawReply:
    return RawReply(response.status_code, response.content, response.headers)


def _broken_off(error: openai.APIConnectionError | httpx2.HTTPError) -> str:
    """How an exchange without an answer is called: aiohttp tells a refused connection as a time-out
    of its own."""
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
    if isinstance(cause, httpx2.TimeoutException) and not isinstance(cause, httpx2.ConnectTimeout):
        return "timeout"
    return "connection"


def _sort_status(raw: RawReply, endpoint: Endpoint, model: str) -> Exception:
    status, words = raw.status, raw.content.decode("utf-8", "replace").lower()
    code = _error_code(raw.content)
    if code == "insufficient_quota":
        return Misconfigured(f"the account behind {endpoint.host} has no quota left")
    if status in SCHEMA_STATUS and any(word in words for word in SCHEMA_WORDS):
        return SchemaUnsupported()
    if status in TRANSIENT_STATUS or status >= 500:
        code = RATE_LIMITED if status == 429 else f"status-{status}"
        return Transient(code, _retry_after(raw.headers))
    if code == "content_filter" or "content management policy" in words:
        return Declined(AnswerStatus.CONTENT_FILTER)
    if code in CONTEXT_CODES or any(word in words for word in CONTEXT_WORDS) or status == 413:
        return Declined(AnswerStatus.CONTEXT_LENGTH)
    return Misconfigured(
        f"{endpoint.host} answered status {status} {code} for model '{model}'; "
        "check CXR_LLM_BASE_URL, CXR_LLM_API_KEY and reports.model"
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``retry-after`` (seconds; dates are ignored)."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait_s = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if math.isfinite(wait_s):
            return min(max(0.0, wait_s), LONGEST_RETRY_AFTER_S)
    return None


def _with_headers(reply: Reply, headers: Mapping[str, str], seconds: float) -> Reply:
    """The reply with its time and the limits that the server states, as OpenAI and Azure do."""
    return replace(
        reply,
        seconds=seconds,
        requests_per_minute=_limit(headers.get("x-ratelimit-limit-requests")),
        tokens_per_minute=_limit(headers.get("x-ratelimit-limit-tokens")),
    )


def _limit(told: str | None) -> float | None:
    """A limit per minute; words and what admits nothing in a minute are none."""
    try:
        limit = float(told) if told is not None else 0.0
    except ValueError:
        return None
    return limit if 1 <= limit < math.inf else None


def _error_code(content: bytes) -> str:
    try:
        error = json.loads(content)["error"]
        return _bare_code(error.get("code"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


def _bare_code(code: object) -> str:
    """A server's error code if it is one word: anything else may be what it was sent."""
    word = str(code) if code is not None else ""
    return word if re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", word) else ""


def read_reply(raw: bytes) -> Reply:
    try:
        body = json.loads(raw)
        choice = body["choices"][0]
        message, usage = choice["message"], body.get("usage") or {}
        refused = bool(message.get("refusal"))  # some servers send an empty one with each answer
        content = None if refused else message.get("content")
        finish = "refusal" if refused else choice.get("finish_reason") or "stop"
        model = body.get("model") or ""
        if not (isinstance(finish, str) and isinstance(model, str)):
            raise TypeError
        for text in (model, content or ""):
            text.encode()  # an unpaired surrogate fits no file
        return Reply(
            content=content,
            finish_reason=finish,
            model=model,
            input_tokens=_tokens(usage.get("prompt_tokens")),
            output_tokens=_tokens(usage.get("completion_tokens")),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise Transient("malformed-response") from None
    except (RecursionError, OverflowError):  # brackets without end, numbers without bound
        raise Transient("malformed-response") from None


def _tokens(count: Any) -> int:
    """A count of tokens that a table can hold; none where the server gives none."""
    return min(max(0, int(count or 0)), MOST_TOKENS)

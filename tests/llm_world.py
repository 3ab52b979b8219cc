"""What the language-model tests share: a plain question, and a scripted server for bad manners."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, SecretStr

from infra.egress import Egress, Guarantee
from infra.llm import ChatRequest, Endpoint, Limits, Message

QUICK = Limits(
    patience_s=20,
    concurrency=8,
    attempts=4,
    asks=3,
    timeout_s=5,
    first_wait_s=0.01,
    longest_wait_s=0.05,
)


class Verdict(BaseModel):
    """A small answer."""

    model_config = ConfigDict(extra="forbid")

    word: str
    number: int | None


def question(text: str, **changes: Any) -> ChatRequest:
    """A request whose only message is ``text``."""
    fields: dict[str, Any] = {
        "source": "openi",
        "egress": Egress.ANY,
        "model": "scripted",
        "messages": (Message("user", text),),
        "answer": Verdict,
        "prompt_version": "verdict-1",
        "temperature": 0.0,
        "seed": 7,
        "max_output_tokens": 50,
    }
    return ChatRequest(**{**fields, **changes})


def completion(content: str | None, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    return {
        "model": "scripted-2024-01-01",
        "choices": [{"message": {"content": content, **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 5},
    }


GOOD = completion('{"word": "clear", "number": 3}')
Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]]


@dataclass
class Script:
    """A server that answers the n-th request by ``reply(n, body)`` and keeps what it was sent."""

    reply: Callable[[int, dict[str, Any]], Reply]
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        self.paths.append(request.path_qs)
        status, answer, *headers = self.reply(len(self.bodies) - 1, body)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return web.Response(
            status=status,
            text=text,
            content_type="application/json",
            headers=headers[0] if headers else None,
        )


@contextmanager
def scripted_server(script: Script) -> Iterator[Endpoint]:
    """The script on a free loopback port, in a thread."""
    app = web.Application()
    app.router.add_post("/{path:.*}", script.handle)
    with running(app) as endpoint:
        yield endpoint


@contextmanager
def running(app: web.Application) -> Iterator[Endpoint]:
    """An application on a free loopback port, in a thread of its own."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(app, access_log=None)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    port = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield Endpoint(f"http://127.0.0.1:{port}/v1", SecretStr("key-1"), Guarantee.NONE)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

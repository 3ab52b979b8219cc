"""Clients of the serving bench: each asks, waits, and asks again, until all asks are answered.

    python -m tests.bench.serving_load PLAN.json

A process of its own, so that its work is not the server's. Who is told 429 or 503 waits as long as
it is told. Prints one JSON object: what was answered, how often, and how long it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

PATIENCE = 400  # tries of one ask


@dataclass
class Seen:
    """What the clients saw; times in seconds.

    Args:
        answers: (ask, text, model) of each answer.
        seconds: of each answer's own request, ``until`` with the refusals before it.
        refused: seconds of each 429 from the request's last byte to its status.
        statuses: counts of all statuses; ``lost`` requests without one.
    """

    answers: list[tuple[int, str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    until: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    wall: float = 0.0


async def ask_all(
    url: str, bodies: Sequence[bytes], clients: int, token: str | None, streams: bool
) -> Seen:
    """Every body once, by so many clients."""
    seen, left = Seen(), list(enumerate(bodies))[::-1]
    headers = {"Content-Type": "application/json"}
    headers |= {} if token is None else {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(limit=clients)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, timeout=timeout
    ) as session:

        async def client() -> None:
            while left:
                number, body = left.pop()
                await _ask(session, url, number, body, seen, streams)

        begun = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        seen.wall = time.perf_counter() - begun
    return seen


async def _ask(
    session: aiohttp.ClientSession, url: str, number: int, body: bytes, seen: Seen, streams: bool
) -> None:
    first = time.perf_counter()
    for _ in range(PATIENCE):
        begun = time.perf_counter()
        try:
            async with session.post(f"{url}/v1/chat/completions", data=body) as reply:
                seen.statuses[str(reply.status)] += 1
                if reply.status == 200:
                    text, model = await _text(reply, streams)
                    seen.seconds.append(time.perf_counter() - begun)
                    seen.until.append(time.perf_counter() - first)
                    seen.answers.append((number, text, model))
                    return
                await reply.read()
                if reply.status == 429:
                    seen.refused.append(time.perf_counter() - begun)
                wait = float(reply.headers.get("Retry-After", "nan"))
        except aiohttp.ClientError as error:
            seen.statuses[f"lost {type(error).__name__}"] += 1
            wait = 1.0
        assert reply.status in (429, 503), f"status {reply.status}"
        await asyncio.sleep(wait)
    raise AssertionError(f"ask {number} was never answered")


async def _text(reply: aiohttp.ClientResponse, streams: bool) -> tuple[str, str]:
    if not streams:
        told = await reply.json()
        return told["choices"][0]["message"]["content"], told["model"]
    text, model, is_whole = "", "", False
    async for line in reply.content:
        data = line.decode().removeprefix("data: ").strip()
        if data == "[DONE]":
            is_whole = True
        elif data:
            chunk = json.loads(data)
            assert "error" not in chunk, chunk
            model = chunk["model"]
            for choice in chunk["choices"]:
                text += choice["delta"].get("content") or ""
    assert is_whole, "a stream that ends without [DONE]"
    return text, model


def main(plan: Path) -> int:
    """Ask as planned; prints what was seen."""
    told: dict[str, Any] = json.loads(plan.read_text())
    bodies = [each.encode() for each in told["bodies"]]
    seen = asyncio.run(
        ask_all(told["url"], bodies, told["clients"], told.get("token"), told.get("streams", False))
    )
    sys.stdout.write(json.dumps(vars(seen)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

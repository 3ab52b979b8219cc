"""One side of a language-model measurement in a process of its own.

    python -m tests.bench.llm_worker '{"side": "ours", "url": …, "requests": 2000, …}'

Prints one JSON line. All sides ask the same questions and read the same JSON out of the answers.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Timer
from typing import Any

WARM_UP = 50
SETTLED_S = 5.0


def texts(number: int, characters: int, seed: int, spread: float = 0.25) -> list[str]:
    """Reports to translate, each of another text; lengths are even over ``spread`` of the mean."""
    sentence = "Corazon de tamano normal. Sin derrame pleural. Nodulo de 7 mm en el lado derecho. "
    found = []
    for index in range(number):
        share = 1 - spread + 2 * spread * ((index * 37) % 101) / 100
        size = max(30, round(characters * share))
        found.append(f"Estudio {seed + 2} {index}. {sentence * (size // len(sentence) + 1)}"[:size])
    return found


def run_ours(order: dict[str, Any]) -> dict[str, Any]:
    """Our client: egress check, audit, ledger, quota, validation and cache included."""
    from pydantic import SecretStr

    from infra.llm import Client, Endpoint, Limits
    from tests.bench.llm_replay import question

    limits = Limits(concurrency=order["concurrency"], tokens_per_minute=order.get("tokens"))
    endpoint = Endpoint(order["url"], SecretStr("k"))
    with Client(endpoint, Path(order["state"]), limits) as client:
        client.complete_many([question(text) for text in texts(WARM_UP, 60, -1)])
        requests = [question(text) for text in _own_texts(order)]
        quota = client.quota_of("offline-rules")
        settled: dict[str, float] = {}
        timer = Timer(SETTLED_S, lambda: settled.update(quota.snapshot()))
        timer.start()
        begun_at, started, cpu = time.time(), time.perf_counter(), time.process_time()
        answers = client.complete_many(requests)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        timer.cancel()
        end = quota.snapshot()
    late = {name: end[name] - settled.get(name, end[name]) for name in ("sent", "refused")}
    return {
        "seconds": seconds,
        "cpu": cpu,
        "start": begun_at,
        "end": begun_at + seconds,
        "kept": sum(answer.value is not None for answer in answers),
        "ends": Counter(str(answer.status) for answer in answers),
        "refused": end["refused"],
        "tokens": sum(answer.input_tokens + answer.output_tokens for answer in answers),
        "late_sent": late["sent"],
        "late_refused": late["refused"],
    }


def _own_texts(order: dict[str, Any]) -> list[str]:
    return texts(order["requests"], order["characters"], order["seed"], order["spread"])


async def _drive(order: dict[str, Any], ask: Callable[[str], Awaitable[str]]) -> dict[str, Any]:
    slots = asyncio.Semaphore(order["concurrency"])

    async def one(text: str) -> bool:
        async with slots:
            return bool(json.loads(await ask(text)))

    await asyncio.gather(*(one(text) for text in texts(WARM_UP, 60, -1)))
    started, cpu = time.perf_counter(), time.process_time()
    kept = await asyncio.gather(*(one(text) for text in _own_texts(order)))
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "kept": sum(kept),
    }


def question_body(text: str) -> dict[str, Any]:
    """The body that asks for one report's translation."""
    from infra.llm.request import schema_name, strict_schema
    from tasks.reports.prompts import TRANSLATE, TranslatedReport

    payload = {"language": "es", "sections": {"findings": text}}
    shape = {
        "name": schema_name(TranslatedReport),
        "strict": True,
        "schema": strict_schema(TranslatedReport),
    }
    return {
        "model": "offline-rules",
        "messages": [
            {"role": item.role, "content": item.content} for item in TRANSLATE.messages(payload)
        ],
        "temperature": 0.0,
        "max_tokens": 600,
        "seed": 1,
        "response_format": {"type": "json_schema", "json_schema": shape},
    }


def run_openai(order: dict[str, Any]) -> dict[str, Any]:
    """The openai client as its documentation shows it, on its aiohttp transport; nothing kept."""
    import openai

    async def main() -> dict[str, Any]:
        http = openai.DefaultAioHttpClient()
        async with openai.AsyncOpenAI(base_url=order["url"], api_key="k", http_client=http) as one:

            async def ask(text: str) -> str:
                reply = await one.chat.completions.create(**question_body(text))
                return reply.choices[0].message.content or ""

            return await _drive(order, ask)

    return asyncio.run(main())


def run_aiohttp(order: dict[str, Any]) -> dict[str, Any]:
    """A bare loop: the least that asking costs."""
    import aiohttp

    async def main() -> dict[str, Any]:
        connector = aiohttp.TCPConnector(limit=order["concurrency"])
        async with aiohttp.ClientSession(connector=connector) as session:

            async def ask(text: str) -> str:
                place = f"{order['url']}/chat/completions"
                async with session.post(place, json=question_body(text)) as reply:
                    found = await reply.json()
                return str(found["choices"][0]["message"]["content"])

            return await _drive(order, ask)

    return asyncio.run(main())


SIDES = {"ours": run_ours, "openai": run_openai, "aiohttp": run_aiohttp}


def main() -> None:
    order = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(SIDES[order["side"]](order)) + "\n")


if __name__ == "__main__":
    main()

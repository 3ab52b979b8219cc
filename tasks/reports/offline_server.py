"""A small HTTP server that speaks OpenAI's wire format and answers by rules.

It stands in for a language model wherever there is none: same client, same cache, same checks. It
calls itself ``offline-rules`` in every answer, so its text can never be taken for a model's. Faults
can be switched on to rehearse what real servers do, and limits to be driven against.

    python -m tasks.reports.offline_server [--port 0] [--faults '{"share_429": 0.2}']
        [--batch-faults '{"expired_batches": 1}'] [--store DIR]

prints one JSON line ``{"event": "listening", "url": …}`` and ends when its standard input closes.
Chat completions, models, files and batches are OpenAI's; ``GET /v1/stats`` counts what happened.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from infra.egress import Guarantee
from infra.errors import LanguageModelError
from infra.fingerprint import code_digests, fingerprint
from infra.llm.endpoint import Endpoint
from tasks.reports.offline_answers import MODEL
from tasks.reports.offline_batches import OfflineBatches
from tasks.reports.offline_faults import BatchFaults, Faults, Quota
from tasks.reports.offline_shelf import Shelf
from tasks.reports.offline_wire import error_body, reply_body

__all__ = ["BatchFaults", "Faults", "OfflineServer", "offline_server", "server_stats"]

RULES = "tasks.reports.offline_answers"
STATUS_FAULTS = frozenset({"429", "500", "503"})
LARGEST_BODY = 256 * 2**20
"""Above the 200 MB that a batch's file may have, so that too large a file fails as a batch does."""


class OfflineServer:
    """The handlers; ``app()`` gives the aiohttp application."""

    def __init__(
        self, faults: Faults, batch_faults: BatchFaults | None = None, store: Path | None = None
    ) -> None:
        self._faults = faults
        self._quota = Quota(faults)
        self._tries: Counter[bytes] = Counter()
        self._answered: set[bytes] = set()
        self._random = Random(faults.seed)
        self._stats: Counter[str] = Counter()
        batch_faults = batch_faults or BatchFaults()
        self._batches: OfflineBatches | None = None
        if batch_faults.offered:
            self._batches = OfflineBatches(
                batch_faults, self._answer_line, self._stats, Shelf(store)
            )

    def app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/v1/stats", self.stats)
        if self._batches is not None:
            self._batches.add_to(app)
        return app

    async def models(self, _: web.Request) -> web.Response:
        entry = {"id": MODEL, "object": "model", "created": 0, "owned_by": "cxrflow"}
        return web.json_response({"object": "list", "data": [entry]})

    async def stats(self, _: web.Request) -> web.Response:
        """Counts since the start: ``requests`` seen, ``answered``, of these ``repeated`` (the body
        had been answered before, in a batch or not) with ``prompt_tokens`` and
        ``completion_tokens``, ``limited`` by the limits, ``fault_…`` by kind; ``uploads``,
        ``downloads``, ``files_deleted``, ``batches``, ``batch_answered``, ``line_…``, ``polls``,
        ``cancels``."""
        return web.json_response(self._stats)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self._stats["requests"] += 1
        wait_s = self._quota.wait_s(self._tokens(raw) if self._quota.counts_tokens else 0)
        headers = self._quota.headers()
        if wait_s:
            self._stats["limited"] += 1
            return self._failure(429, wait_s, headers)
        await self._delay()
        fault = self._fault(raw)
        if fault is not None:
            self._stats[f"fault_{fault}"] += 1
        if fault == "reset" and request.transport is not None:
            request.transport.abort()
            return web.Response()
        if fault in STATUS_FAULTS:
            return self._failure(int(fault or 0), 0.0, headers)
        try:
            body = json.loads(raw)
        except ValueError as error:
            return _not_known(error)
        status, answer = reply_body(raw, body, fault, self._faults.no_schemas)
        data = json.dumps(answer).encode()
        if fault == "truncated_body":
            data = data[: len(data) // 2]
        elif status == 200:
            self._count_answer(raw, answer)
        if fault == "drip":
            return await self._drip(request, data, headers)
        return web.Response(
            body=data, status=status, content_type="application/json", headers=headers
        )

    def _answer_line(self, raw: bytes, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A batch's line is answered as a request is; only transport has other faults there."""
        status, answer = reply_body(raw, body, self._fault(raw), self._faults.no_schemas)
        if status == 200:
            self._count_answer(raw, answer)
            self._stats["batch_answered"] += 1
        return status, answer

    def _count_answer(self, raw: bytes, answer: dict[str, Any]) -> None:
        key = blake2b(raw, digest_size=8).digest()
        self._stats["answered"] += 1
        for name in ("prompt_tokens", "completion_tokens"):
            self._stats[name] += answer["usage"][name]
        self._stats["repeated"] += key in self._answered
        self._answered.add(key)

    def _tokens(self, raw: bytes) -> int:
        """What the answered request takes from a limit: prompt and answer, as its usage says."""
        try:
            answer = reply_body(raw, json.loads(raw), None, False)[1]
        except ValueError:
            return 0
        return int(answer.get("usage", {}).get("total_tokens", 0))

    async def _delay(self) -> None:
        jitter = self._random.random() * self._faults.latency_jitter_s
        if (delay := self._faults.latency_s + jitter) > 0:
            await asyncio.sleep(delay)

    def _fault(self, raw: bytes) -> str | None:
        if not self._faults.shares:
            return None
        key = blake2b(raw, digest_size=8).digest()
        self._tries[key] += 1
        return self._faults.draw(raw, self._tries[key])

    def _failure(self, status: int, wait_s: float, headers: dict[str, str]) -> web.Response:
        code = "rate_limit_exceeded" if wait_s else "injected"
        response = web.json_response(error_body(code, code), status=status, headers=headers)
        after = self._quota.retry_after(wait_s) if status == 429 else None
        if after is not None:
            response.headers["retry-after"] = after
        return response

    async def _drip(
        self, request: web.Request, data: bytes, headers: dict[str, str]
    ) -> web.StreamResponse:
        """The body byte by byte, over the time that the faults set."""
        response = web.StreamResponse(headers=headers)
        response.content_type, response.content_length = "application/json", len(data)
        await response.prepare(request)
        for index in range(len(data)):
            await response.write(data[index : index + 1])
            await asyncio.sleep(self._faults.drip_s / len(data))
        await response.write_eof()
        return response


def _not_known(error: ValueError) -> web.Response:
    words = f"{type(error).__name__}: not a question these rules know"
    return web.json_response(error_body(words, "bad"), status=400)


@contextmanager
def offline_server(
    faults: Faults | None = None,
    batch_faults: BatchFaults | None = None,
    *,
    port: int = 0,
    store: Path | None = None,
) -> Iterator[Endpoint]:
    """A server in a child process on a loopback port, a free one for 0, for the block's length.

    Files and batches are kept in the folder ``store`` if one is given, else they end with it.
    The child ends with this process, however that ends: it watches its standard input.

    Raises:
        LanguageModelError: it did not start.
    """
    command = [sys.executable, "-m", "tasks.reports.offline_server", "--port", str(port)]
    if faults is not None:
        command += ["--faults", json.dumps(asdict(faults))]
    if batch_faults is not None:
        command += ["--batch-faults", json.dumps(asdict(batch_faults))]
    if store is not None:
        command += ["--store", str(store)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdin is not None and child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise LanguageModelError(f"the offline server ended with code {child.wait()}")
        url, key = json.loads(line)["url"], SecretStr("offline")
        yield Endpoint(url, key, Guarantee.LOCAL, rules=fingerprint(code_digests(RULES)))
    finally:
        child.communicate()


def server_stats(endpoint: Endpoint) -> Counter[str]:
    """What an offline server has counted so far."""
    with urllib.request.urlopen(f"{endpoint.base_url}/stats", timeout=30) as reply:
        return Counter(json.load(reply))


async def _serve(port: int, server: OfflineServer) -> None:
    runner = web.AppRunner(server.app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    sys.stdout.write(json.dumps({"event": "listening", "url": url}) + "\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=json.loads, default={})
    parser.add_argument("--batch-faults", type=json.loads, default={})
    parser.add_argument("--store", type=Path)
    arguments = parser.parse_args()
    faults, batch_faults = Faults(**arguments.faults), BatchFaults(**arguments.batch_faults)
    asyncio.run(_serve(arguments.port, OfflineServer(faults, batch_faults, arguments.store)))


if __name__ == "__main__":
    main()

"""A small HTTP server that speaks OpenAI's chat-completions wire format and answers by rules.

It stands in for a language model wherever there is none: same client, same cache, same checks. It
calls itself ``offline-rules`` in every answer, so its text can never be taken for a model's. Faults
can be switched on to rehearse what real servers do.

    python -m tasks.reports.offline_server [--port 0] [--faults '{"share_429": 0.2}']

prints one JSON line ``{"event": "listening", "url": …}`` and ends when its standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from infra.egress import Guarantee
from infra.errors import LanguageModelError
from infra.fingerprint import code_digests, fingerprint
from infra.llm.endpoint import Endpoint
from tasks.reports.offline_answers import MODEL, answer_question

CHARACTERS_PER_TOKEN = 4
"""The usual rule of thumb for English; the rules have no tokenizer."""
RULES = "tasks.reports.offline_answers"


@dataclass(frozen=True)
class Faults:
    """What goes wrong, as shares of requests (0 to 1) drawn by a hash of the body and the try.

    Args:
        latency_s: added to every answer, seconds.
        retry_after_s: sent with each 429; None sends none.
        no_schemas: refuse JSON schemas, as older servers do.
    """

    latency_s: float = 0.0
    share_429: float = 0.0
    retry_after_s: float | None = None
    share_500: float = 0.0
    share_reset: float = 0.0
    share_truncated_body: float = 0.0
    share_truncated_answer: float = 0.0
    share_wrong_schema: float = 0.0
    share_refused: float = 0.0
    no_schemas: bool = False
    seed: int = 0

    def draw(self, body: bytes, attempt: int) -> str | None:
        """The fault of this try of this request, or None."""
        if not any(value for name, value in asdict(self).items() if name.startswith("share_")):
            return None
        key = blake2b(body, digest_size=8, salt=f"{self.seed}:{attempt}".encode()[:16]).digest()
        point = int.from_bytes(key, "big") / 2**64
        for name, share in asdict(self).items():
            if name.startswith("share_"):
                if point < share:
                    return name.removeprefix("share_")
                point -= share
        return None


class OfflineServer:
    """The handlers; ``app()`` gives the aiohttp application."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._tries: Counter[bytes] = Counter()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/v1/models", self.models)
        return app

    async def models(self, _: web.Request) -> web.Response:
        entry = {"id": MODEL, "object": "model", "created": 0, "owned_by": "cxrflow"}
        return web.json_response({"object": "list", "data": [entry]})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        if self._faults.latency_s:
            await asyncio.sleep(self._faults.latency_s)
        fault = self._fault(raw)
        if fault == "reset" and request.transport is not None:
            request.transport.abort()
            return web.Response()
        if fault in ("429", "500"):
            return self._failure(int(fault))
        try:
            body = json.loads(raw)
            if self._faults.no_schemas and body["response_format"]["type"] == "json_schema":
                return _error(400, "response_format json_schema is not supported", "unsupported")
            text = answer_question(body)
        except (ValueError, KeyError, TypeError) as error:
            return _error(400, f"{type(error).__name__}: not a question these rules know", "bad")
        return _completion(raw, body, text, fault)

    def _fault(self, raw: bytes) -> str | None:
        key = blake2b(raw, digest_size=8).digest()
        self._tries[key] += 1
        return self._faults.draw(raw, self._tries[key])

    def _failure(self, status: int) -> web.Response:
        response = _error(status, "injected", "injected")
        if status == 429 and self._faults.retry_after_s is not None:
            response.headers["retry-after"] = str(self._faults.retry_after_s)
        return response


def _completion(raw: bytes, body: dict[str, Any], text: str, fault: str | None) -> web.Response:
    message: dict[str, str | None] = {"role": "assistant", "content": text, "refusal": None}
    finish = "stop"
    if fault == "refused":
        message, finish = {"role": "assistant", "content": None, "refusal": "No."}, "stop"
    elif fault == "truncated_answer":
        message["content"], finish = text[: len(text) // 2], "length"
    elif fault == "wrong_schema":
        message["content"] = '{"unexpected": true}'
    asked = sum(len(item["content"]) for item in body["messages"]) // CHARACTERS_PER_TOKEN
    said = len(message["content"] or "") // CHARACTERS_PER_TOKEN + 1
    payload = json.dumps(
        {
            "id": f"chatcmpl-{blake2b(raw, digest_size=8).hexdigest()}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": asked,
                "completion_tokens": said,
                "total_tokens": asked + said,
            },
        }
    )
    if fault == "truncated_body":
        payload = payload[: len(payload) // 2]
    return web.Response(text=payload, content_type="application/json")


def _error(status: int, message: str, code: str) -> web.Response:
    entry = {"message": message, "type": "offline_rules", "code": code, "param": None}
    return web.json_response({"error": entry}, status=status)


@contextmanager
def offline_server(faults: Faults | None = None) -> Iterator[Endpoint]:
    """A server in a child process on a free loopback port, for the length of the block.

    The child ends with this process, however that ends: it watches its standard input.

    Raises:
        LanguageModelError: it did not start.
    """
    command = [sys.executable, "-m", "tasks.reports.offline_server"]
    if faults is not None:
        command += ["--faults", json.dumps(asdict(faults))]
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


async def _serve(port: int, faults: Faults) -> None:
    runner = web.AppRunner(OfflineServer(faults).app(), access_log=None)
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
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.port, Faults(**arguments.faults)))


if __name__ == "__main__":
    main()

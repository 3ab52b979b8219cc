"""Files and batches at an endpoint, over the openai package; failures sorted into four kinds.

``Transient`` may work later, ``Gone`` is not there any more, ``NotOffered`` means that this
endpoint takes no batches, ``Misconfigured`` that the key may not. As elsewhere, none of them
carries the server's own words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import httpx2
import openai
from openai.types import Batch

from infra.errors import LanguageModelError
from infra.llm.endpoint import Endpoint
from infra.llm.request import ChatRequest
from infra.llm.transport import OWN_MODELS_HOST, Misconfigured, Transient, Transport

CALL_TIMEOUT_S = 60.0
UPLOAD_TIMEOUT_S = 1800.0
"""200 MB at 1 Mbit/s take 27 minutes (our choice)."""
CONNECTIONS = 4
RETRIES = 2
"""Of calls that may be repeated, by the openai client itself, which heeds Retry-After."""
JOB_KEY = "cxrflow_job"
"""The metadata entry by which a batch is found again."""
CLOCK_SLACK_S = 24 * 3600.0
"""How far the server's clock may be behind ours when a file or batch is looked for."""
LONGEST_LINE = 16 * 2**20
"""Bytes; an answer has at most some 100 kB. What is longer is no answer."""
ENDED_ALREADY = frozenset({"status-400", "status-409"})
"""How a cancellation is refused that comes too late."""
KEPT_SECONDS = 30 * 24 * 3600
"""The longest that OpenAI lets one ask for; a file that we failed to delete goes then."""


NOT_IMPLEMENTED = 501


class Gone(Exception):
    """The server knows no such file or batch."""


class NotOffered(Exception):
    """The endpoint refuses files or batches as such; ``status`` says how."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Remote:
    """The endpoint's files and batches; use it on one event loop only."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._transport = Transport(endpoint, CALL_TIMEOUT_S, CONNECTIONS)
        self._once = self._transport.client
        self._often = self._once.with_options(max_retries=RETRIES)
        # Azure's lines and batches name the path without the version
        self.url = "/chat/completions" if endpoint.kind == "azure" else "/v1/chat/completions"
        self._expiry: dict[str, Any] = {}
        if endpoint.host == OWN_MODELS_HOST:
            self._expiry = {"anchor": "created_at", "seconds": KEPT_SECONDS}

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """The request's body, the same as outside of batches."""
        return self._transport.body(request, request.messages, with_schema=True)

    async def upload(self, name: str, data: bytes) -> str:
        """Upload an input file; returns its id. A failure may have left the file there."""
        with self._sorted(posting=True):
            kept = await self._once.files.create(
                file=(name, data), purpose="batch", timeout=UPLOAD_TIMEOUT_S
            )
            return _named(kept.id)

    async def find_file(self, name: str, since: float) -> str | None:
        """The id of an uploaded file by its name, if it came after ``since`` (Unix seconds)."""
        with self._sorted():
            async for file in self._often.files.list(purpose="batch", order="desc"):
                if file.filename == name:
                    return file.id
                if file.created_at < since - CLOCK_SLACK_S:
                    return None
        return None

    async def create(self, file_id: str, job_id: str) -> str:
        """Start a batch; returns its id. A failure may have left the batch there."""
        extra = {"output_expires_after": self._expiry} if self._expiry else None
        with self._sorted(posting=True):
            batch = await self._once.batches.create(
                completion_window="24h",
                endpoint=self.url,  # type: ignore[arg-type]  # Azure's has no version
                input_file_id=file_id,
                metadata={JOB_KEY: job_id},
                extra_body=extra,
            )
            return _named(batch.id)

    async def find_batch(self, job_id: str, since: float) -> str | None:
        """The id of a job's batch, if one was started after ``since`` (Unix seconds)."""
        with self._sorted():
            async for batch in self._often.batches.list(limit=100):
                if (batch.metadata or {}).get(JOB_KEY) == job_id:
                    return batch.id
                if batch.created_at < since - CLOCK_SLACK_S:
                    return None
        return None

    async def look(self, batch_id: str) -> Batch:
        """The batch as it stands."""
        with self._sorted():
            batch = await self._often.batches.retrieve(batch_id)
        if not isinstance(batch, Batch):  # a page of words is handed through as it is
            raise Transient("malformed-response")
        return batch

    async def cancel(self, batch_id: str) -> None:
        """Ask for an end; one that has ended already is none the worse."""
        try:
            with self._sorted():
                await self._once.batches.cancel(batch_id)
        except Transient as failure:
            if failure.code not in ENDED_ALREADY:
                raise

    async def lines(self, file_id: str) -> AsyncIterator[bytes]:
        """The lines of a file; Transient also after some of them, if the body is cut off."""
        rest = b""
        with self._sorted():
            content = self._often.files.with_streaming_response.content(file_id)
            async with content as response:
                async for chunk in response.iter_bytes():
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        yield line
                    if len(rest) > LONGEST_LINE:
                        rest = b""
        if rest:
            yield rest

    async def delete(self, file_id: str) -> None:
        """Delete a file; one that is not there is deleted."""
        try:
            with self._sorted():
                await self._often.files.delete(file_id)
        except Gone:
            return

    @contextmanager
    def _sorted(self, posting: bool = False) -> Iterator[None]:
        """Turn the openai client's failures into ours; only what is new can be refused as such."""
        try:
            yield
        except openai.APIStatusError as error:
            raise self._sort_status(error.status_code, posting) from None
        except openai.APITimeoutError:
            raise Transient("timeout") from None
        except (openai.APIConnectionError, httpx2.HTTPError, aiohttp.ClientError):
            raise Transient("connection") from None  # no HTTP: aiohttp quotes what came instead
        except (openai.APIResponseValidationError, ValueError, AttributeError, TypeError):
            raise Transient("malformed-response") from None

    def _sort_status(self, status: int, posting: bool) -> Exception:
        if status in (401, 403):
            return Misconfigured(
                f"{self._endpoint.host} answered status {status} to a call of files or batches; "
                "use a key that may, or set CXR_LLM_BATCH=off"
            )
        if status in (408, 425, 429) or (status >= 500 and status != NOT_IMPLEMENTED):
            return Transient("rate-limited" if status == 429 else f"status-{status}")
        if posting:
            return NotOffered(status)
        return Gone() if status in (404, 410) else Transient(f"status-{status}")

    async def close(self) -> None:
        await self._transport.close()


def named_files(*given: object) -> list[str]:
    """The ids among these: a batch may have no output, no errors, or neither."""
    return [item for item in given if isinstance(item, str) and item]


def failure_codes(batch: Batch) -> set[str]:
    """Why a batch failed validation, as far as it says so in the documented form."""
    rows = getattr(batch.errors, "data", None)
    return {str(getattr(row, "code", "")) for row in rows} if isinstance(rows, list) else set()


def _named(given: object) -> str:
    """An id as a server gave it, if it is one."""
    if not isinstance(given, str) or not given:
        raise Transient("malformed-response")
    return given


def unreachable(host: str, code: str) -> LanguageModelError:
    """What stops a run that has an open batch at a server that does not answer."""
    return LanguageModelError(
        f"{host} gives no news of a batch ({code}); it goes on there and costs nothing again: "
        "run it again"
    )

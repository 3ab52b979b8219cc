"""One request carried to its end: tries after transient failures, asks until the answer fits."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from infra.errors import LanguageModelError
from infra.llm.audit import AuditLog
from infra.llm.books import Books
from infra.llm.cache import StoredAnswer
from infra.llm.endpoint import Endpoint
from infra.llm.prices import PriceTable
from infra.llm.request import Answer, AnswerStatus, ChatRequest, Message, schema_text
from infra.llm.transport import (
    Declined,
    Reply,
    SchemaUnsupported,
    Transient,
    Transport,
)

if TYPE_CHECKING:
    from infra.llm.client import Limits

ENDED_EARLY = {
    "refusal": AnswerStatus.REFUSED,
    "content_filter": AnswerStatus.CONTENT_FILTER,
    "length": AnswerStatus.TRUNCATED,
}


@dataclass
class Spent:
    """Tokens of all asks of one request, and the name the server gave itself."""

    model: str
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, reply: Reply) -> None:
        self.model = reply.model or self.model
        self.input_tokens += reply.input_tokens
        self.output_tokens += reply.output_tokens


class Conversation:
    """How this endpoint is talked to; lives on the client's event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        audit: AuditLog,
        prices: PriceTable,
        books: Books,
    ) -> None:
        self._transport = Transport(endpoint, limits.timeout_s, limits.concurrency)
        self._limits, self._audit, self._prices, self._books = limits, audit, prices, books
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._resume_at = 0.0
        self._with_schema = True
        self._random = random.Random()

    async def ask(self, key: str, request: ChatRequest) -> tuple[Answer, StoredAnswer | None]:
        """The answer, and its row for the cache (None where nothing was paid).

        Raises:
            Misconfigured: every request to this endpoint would fail.
            BudgetExceeded: what is left may not pay for another exchange.
        """
        spent = Spent(request.model)
        self._books.started(request)
        self._audit.sent(request.source, key, request.model)
        try:
            status, content, value = await self._ask_until_valid(request, spent)
            detail = ""
        except Declined as declined:
            status, content, value, detail = declined.status, None, None, ""
        except Transient as transient:
            status, content, value = AnswerStatus.UNREACHED, None, None
            detail = transient.code
        except LanguageModelError as error:  # text has left all the same
            tokens_so_far = (spent.input_tokens, spent.output_tokens)
            outcome = self._books.broke_off(request, error)
            self._audit.answered(request.source, key, outcome, *tokens_so_far)
            raise
        self._audit.answered(
            request.source, key, detail or status, spent.input_tokens, spent.output_tokens
        )
        price = self._prices.find(spent.model, datetime.now(UTC).date())
        cost = price.cost_usd(spent.input_tokens, spent.output_tokens) if price else None
        tokens = (spent.input_tokens, spent.output_tokens)
        answer = Answer(key, status, value, spent.model, *tokens, cost, detail=detail)
        self._books.ended(key, request, answer)
        if not any(tokens) and value is None:
            return answer, None
        now = datetime.now(UTC).isoformat(timespec="seconds")
        if status is AnswerStatus.UNREACHED:
            return answer, None
        version = request.prompt_version
        return answer, StoredAnswer(key, status, content, spent.model, version, *tokens, cost, now)

    async def _ask_until_valid(
        self, request: ChatRequest, spent: Spent
    ) -> tuple[AnswerStatus, str | None, BaseModel | None]:
        messages = request.messages
        for _ in range(self._limits.asks):
            reply = await self._books.paid(self._try, request, messages)
            spent.add(reply)
            early = ENDED_EARLY.get(reply.finish_reason)
            if early is not None:
                return early, None, None
            content = _bare_json(reply.content or "")
            try:
                return AnswerStatus.OK, content, request.answer.model_validate_json(content)
            except ValidationError as error:
                complaint = _complaint(error)
            said = Message("assistant", reply.content or "")
            messages = (*request.messages, said, Message("user", complaint))
        return AnswerStatus.INVALID, None, None

    async def _try(self, request: ChatRequest, messages: tuple[Message, ...]) -> Reply:
        """One reply, after as many tries as the limits allow."""
        for attempt in range(1, self._limits.attempts + 1):
            await self._pause()
            try:
                async with self._slots:
                    if self._with_schema:
                        return await self._with_schema_or_without(request, messages)
                    return await self._without_schema(request, messages)
            except Transient as transient:
                if attempt == self._limits.attempts:
                    raise
                await self._back_off(attempt, transient)
        raise AssertionError("attempts is at least one")

    async def _with_schema_or_without(
        self, request: ChatRequest, messages: tuple[Message, ...]
    ) -> Reply:
        try:
            return await self._transport.exchange(request, messages, with_schema=True)
        except SchemaUnsupported:
            self._with_schema = False
            return await self._without_schema(request, messages)

    async def _without_schema(self, request: ChatRequest, messages: tuple[Message, ...]) -> Reply:
        rule = "Answer with one JSON object that fits this JSON schema: "
        shape = Message("system", rule + schema_text(request.answer))
        return await self._transport.exchange(request, (shape, *messages), with_schema=False)

    async def _pause(self) -> None:
        """Wait while the server has asked everybody to."""
        loop = asyncio.get_running_loop()
        while (wait_s := self._resume_at - loop.time()) > 0:
            await asyncio.sleep(wait_s)

    async def _back_off(self, attempt: int, transient: Transient) -> None:
        now = asyncio.get_running_loop().time()
        if transient.wait_s is not None:
            self._resume_at = max(self._resume_at, now + transient.wait_s)
            return
        ceiling = min(self._limits.longest_wait_s, self._limits.first_wait_s * 2 ** (attempt - 1))
        await asyncio.sleep(ceiling * self._random.uniform(0.5, 1.0))

    async def close(self) -> None:
        await self._transport.close()


def _bare_json(content: str) -> str:
    """The JSON object inside a Markdown fence or other words, where there is one."""
    text = content.strip()
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def _complaint(error: ValidationError) -> str:
    """What was wrong, by place and kind only."""
    places = [
        {"at": ".".join(str(part) for part in item["loc"]), "problem": item["type"]}
        for item in error.errors(include_input=False, include_url=False)
    ]
    return (
        "That was not an answer of the asked shape: "
        f"{json.dumps(places)}. Answer again with one JSON object of that shape and nothing else."
    )

"""One request carried to its end: tries after transient failures, asks until the answer fits."""

from __future__ import annotations

import asyncio
import json
import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from infra.errors import LanguageModelError
from infra.llm.audit import AuditLog
from infra.llm.books import Books
from infra.llm.cache import AnswerCache, AnsweredMeanwhile, StoredAnswer
from infra.llm.endpoint import Endpoint
from infra.llm.gate import Gate, Pass
from infra.llm.prices import PriceTable
from infra.llm.quota import KnownLimits
from infra.llm.reading import read_answer
from infra.llm.request import Answer, AnswerStatus, ChatRequest, Message, schema_text
from infra.llm.sizes import Sizes
from infra.llm.transport import (
    RATE_LIMITED,
    Declined,
    Reply,
    SchemaUnsupported,
    Transient,
    Transport,
)

if TYPE_CHECKING:
    from infra.llm.client import Limits


class Halt:
    """Stops the requests of one call together, once one of them met an error that all would meet.

    What is in flight still ends and is kept; what waits is never sent.
    """

    def __init__(self) -> None:
        self.error: LanguageModelError | None = None
        self._event = asyncio.Event()

    def set(self, error: LanguageModelError) -> None:
        """Stop; the first error is the one that is told."""
        self.error = self.error or error
        self._event.set()

    def check(self) -> None:
        """Raise the error that stopped the call, if any."""
        if self.error is not None:
            raise self.error

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than to the halt."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return
        self.check()


LONGEST_REFUSED_WAIT_S = 1.0
"""Between tries of a request that is answered 429 without a Retry-After. Our choice: all requests
are slowed down together, so that one alone need not wait for long."""


@dataclass
class Spent:
    """Tokens of all asks of one request, the name the server gave itself, whether any text left."""

    model: str
    begun: bool = False
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
        gate: Gate,
        cache: AnswerCache,
    ) -> None:
        self._transport = Transport(endpoint, limits.timeout_s, limits.concurrency)
        self._limits, self._audit, self._prices, self._books = limits, audit, prices, books
        self._gate, self._cache, self._sizes = gate, cache, Sizes()
        self._with_schema = True
        self._random = random.Random()

    def halt(self) -> Halt:
        """What stops the requests of one call."""
        return Halt()

    async def ask(
        self, key: str, request: ChatRequest, halt: Halt
    ) -> tuple[Answer, StoredAnswer | None]:
        """The answer, and its row for the cache (None where the request was never answered).

        Raises:
            Misconfigured: every request to this endpoint would fail, this one or another before.
            BudgetExceeded: what is left may not pay for another exchange.
            AnsweredMeanwhile: another process stored an answer while this one waited its turn.
        """
        spent = Spent(request.model)
        try:
            status, content, value = await self._ask_until_valid(key, request, spent, halt)
            detail = ""
        except Declined as declined:
            status, content, value, detail = declined.status, None, None, ""
        except Transient as transient:
            status, content, value = AnswerStatus.UNREACHED, None, None
            detail = transient.code
        except LanguageModelError as error:
            if not spent.begun:
                raise
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
        now = datetime.now(UTC).isoformat(timespec="seconds")
        if status is AnswerStatus.UNREACHED:
            return answer, None
        version = request.prompt_version
        return answer, StoredAnswer(key, status, content, spent.model, version, *tokens, cost, now)

    async def _ask_until_valid(
        self, key: str, request: ChatRequest, spent: Spent, halt: Halt
    ) -> tuple[AnswerStatus, str | None, BaseModel | None]:
        messages = request.messages
        for _ in range(self._limits.asks):
            exchange = partial(self._try, key, spent, halt)
            reply = await self._books.paid(exchange, request, messages)
            spent.add(reply)
            try:
                return read_answer(request.answer, reply)
            except ValidationError as error:
                complaint = _complaint(error)
            said = Message("assistant", reply.content or "")
            messages = (*request.messages, said, Message("user", complaint))
        return AnswerStatus.INVALID, None, None

    async def _try(
        self,
        key: str,
        spent: Spent,
        halt: Halt,
        request: ChatRequest,
        messages: tuple[Message, ...],
    ) -> Reply:
        """One reply, after as many tries as the limits allow.

        Answers of 429 are bounded by time instead: they tell of the quota and not of the request.
        """
        clock = asyncio.get_running_loop().time
        failures = refusals = 0
        give_up_at = math.inf
        while True:
            turn = await self._enter(request, halt, again=failures + refusals > 0)
            if not spent.begun and self._cache.has(key):
                self._gate.served(turn, 0.0)
                raise AnsweredMeanwhile
            self._begin(key, request, spent)
            try:
                return await self._try_once(request, messages, turn)
            except Transient as transient:
                if transient.code == RATE_LIMITED:
                    refusals += 1
                    self._books.rate_limited(request)
                    give_up_at = min(give_up_at, clock() + self._limits.patience_s)
                    wait_s = self._wait_s(refusals, transient)
                    if clock() + wait_s >= give_up_at:
                        raise
                else:
                    failures += 1
                    if failures == self._limits.attempts:
                        raise
                    wait_s = self._wait_s(failures, transient)
            self._books.retried(request)
            await halt.sleep(wait_s)

    def _begin(self, key: str, request: ChatRequest, spent: Spent) -> None:
        """Note that the request's text is about to leave, once."""
        if not spent.begun:
            spent.begun = True
            self._books.started(request)
            self._audit.sent(request.source, key, request.model)

    async def _enter(self, request: ChatRequest, halt: Halt, again: bool) -> Pass:
        """Wait for leave to send the request."""
        halt.check()
        tokens = self._sizes.expect(request)
        turn = await self._gate.enter(request.source, request.model, tokens, again=again)
        if halt.error is not None:
            self._gate.served(turn, 0.0)
            halt.check()
        return turn

    async def _try_once(
        self, request: ChatRequest, messages: tuple[Message, ...], turn: Pass
    ) -> Reply:
        try:
            reply = await self._exchange(request, messages)
        except BaseException as error:
            if isinstance(error, Transient) and error.code == RATE_LIMITED:
                self._gate.refused(turn, error.wait_s)
            else:
                self._gate.served(turn, 0.0)
            raise
        told = KnownLimits(reply.requests_per_minute, reply.tokens_per_minute)
        self._gate.quota(request.model).learn(told)
        self._gate.served(turn, reply.input_tokens + reply.output_tokens or turn.leave.tokens)
        self._sizes.note(request, reply.input_tokens, reply.output_tokens)
        return reply

    async def _exchange(self, request: ChatRequest, messages: tuple[Message, ...]) -> Reply:
        if self._with_schema:
            return await self._with_schema_or_without(request, messages)
        return await self._without_schema(request, messages)

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

    def _wait_s(self, failures: int, transient: Transient) -> float:
        """Seconds to the next try."""
        if transient.wait_s is not None:
            return transient.wait_s
        longest_s = self._limits.longest_wait_s
        if transient.code == RATE_LIMITED:  # the quota has a pace of its own
            if failures == 1:
                return 0.0
            longest_s = min(longest_s, LONGEST_REFUSED_WAIT_S)
        ceiling = min(longest_s, self._limits.first_wait_s * 2.0 ** (failures - 1))
        return float(ceiling * self._random.uniform(0.5, 1.0))

    async def close(self) -> None:
        await self._transport.close()


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

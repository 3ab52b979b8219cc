"""The client's bookkeeping around a request: counts, money, and what failed for good."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import BudgetExceeded, LanguageModelError
from infra.llm.budget import Budget, count_characters
from infra.llm.cache import AnswerCache
from infra.llm.endpoint import Endpoint
from infra.llm.ledger import REFUSED_429, REPLAYED, RETRIED, SENT, Ledger, work_of
from infra.llm.prices import PriceTable
from infra.llm.quarantine import FINAL_FAILURES, Quarantine
from infra.llm.request import Answer, AnswerStatus, ChatRequest, Message

if TYPE_CHECKING:
    from infra.llm.transport import Reply

Messages = tuple[Message, ...]
WAIT_SECONDS = 0.05
"""Pause before a reservation is tried again while requests in flight hold the rest (our choice)."""


class Books:
    """One client's ledger, budget and quarantine. Close it."""

    def __init__(
        self,
        endpoint: Endpoint,
        state_dir: Path,
        cache: AnswerCache,
        prices: PriceTable,
        budget_usd: float | None,
    ) -> None:
        self._ledger = Ledger(state_dir, cache.paid_so_far)
        self._budget = Budget(self._ledger, prices, budget_usd)
        self._quarantine = Quarantine(state_dir, endpoint)

    def require_prices(self, requests: Iterable[ChatRequest]) -> None:
        """Raise SettingsError where a budget is set that a request's model has no price for."""
        self._budget.require_prices(request.model for request in requests)

    def replayed(self, requests: Iterable[ChatRequest]) -> None:
        """Count answers that came from the cache."""
        for work, number in Counter(map(work_of, requests)).items():
            self._ledger.add(work, **{REPLAYED: number})

    def has_company(self) -> bool:
        """Whether other processes may ask the same."""
        return self._ledger.has_company()

    def started(self, request: ChatRequest) -> None:
        """A request is on its way."""
        work = work_of(request)
        self._ledger.add(work, **{SENT: 1})
        self._ledger.move(work, 1)

    def rate_limited(self, request: ChatRequest) -> None:
        """A try was answered 429."""
        self._ledger.add(work_of(request), **{REFUSED_429: 1})

    def retried(self, request: ChatRequest) -> None:
        """A try brought no reply and is made again."""
        self._ledger.add(work_of(request), **{RETRIED: 1})

    async def paid(
        self,
        exchange: Callable[[ChatRequest, Messages], Awaitable[Reply]],
        request: ChatRequest,
        messages: Messages,
    ) -> Reply:
        """The exchange's reply, with its cost reserved before and settled after.

        Raises:
            BudgetExceeded: it may cost more than is left; nothing was sent.
        """
        work, amount = work_of(request), self._budget.estimate(request, messages)
        await self._reserve(amount)
        cost = 0
        try:
            reply = await exchange(request, messages)
            tokens = (reply.input_tokens, reply.output_tokens)
            known = self._budget.cost(request.model, reply.model, *tokens)
            cost = (known or 0) if any(tokens) else amount  # it counted nothing: by the estimate
            self._ledger.add(
                work,
                asks=1,
                input_characters=count_characters(request, messages),
                input_tokens=reply.input_tokens,
                output_tokens=reply.output_tokens,
                timed=1,
                milliseconds=round(1000 * reply.seconds),
                unpriced=int(known is None),
            )
            return reply
        finally:
            self._budget.settle(amount, work, cost)

    async def _reserve(self, amount: int) -> None:
        while not self._budget.reserve(amount):
            await asyncio.sleep(WAIT_SECONDS)

    def ended(self, key: str, request: ChatRequest, answer: Answer) -> None:
        """A request has got its answer, or none for good."""
        self._end(request, str(answer.status))
        if answer.status is AnswerStatus.OK:
            self._quarantine.answered(key)
        elif answer.status in FINAL_FAILURES:
            self._quarantine.put(key, request, answer)

    async def reserve_batch(self, requests: Sequence[ChatRequest]) -> int:
        """What a batch of these may cost, reserved; give it to ``release`` when it is read.

        Raises:
            BudgetExceeded: it may cost more than is left; nothing was sent.
        """
        each = (self._budget.estimate(item, item.messages, in_batch=True) for item in requests)
        amount = sum(each)
        await self._reserve(amount)
        return amount

    def release(self, amount: int, request: ChatRequest) -> None:
        """Give a reservation back."""
        self._budget.settle(amount, work_of(request), 0)

    @contextmanager
    def batch_under_way(self, requests: Iterable[ChatRequest]) -> Iterator[None]:
        """Requests that a batch has in flight; their ends are counted when replies are read."""
        numbers = Counter(map(work_of, requests))
        for work, number in numbers.items():
            self._ledger.add(work, **{SENT: number})
            self._ledger.move(work, number)
        try:
            yield
        finally:
            for work, number in numbers.items():
                self._ledger.add(work, **{SENT: -number})
                self._ledger.move(work, -number)

    def batch_reply(
        self, key: str, request: ChatRequest, reply: Reply, answer: Answer | None
    ) -> None:
        """A batch's reply was read; None is no answer, its request is asked again."""
        work, tokens = work_of(request), (reply.input_tokens, reply.output_tokens)
        known = self._budget.cost(request.model, reply.model, *tokens, in_batch=True)
        self._ledger.add(
            work,
            asks=1,
            input_characters=count_characters(request, request.messages),
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            unpriced=int(known is None),
        )
        self._budget.settle(0, work, known or 0)
        if answer is not None:
            self.started(request)
            self.ended(key, request, answer)

    def broke_off(self, request: ChatRequest, error: LanguageModelError) -> str:
        """A request ended with an error that stops all; the word for it, for the audit log."""
        outcome = "over-budget" if isinstance(error, BudgetExceeded) else "misconfigured"
        self._end(request, outcome)
        return outcome

    def _end(self, request: ChatRequest, outcome: str) -> None:
        work = work_of(request)
        self._ledger.add(work, **{outcome: 1})
        self._ledger.move(work, -1)

    def flush(self) -> None:
        """Write the counts now."""
        self._ledger.flush()

    def close(self) -> None:
        try:
            self._ledger.close()
        finally:
            self._quarantine.close()

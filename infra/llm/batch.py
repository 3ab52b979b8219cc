"""Large jobs through the Batch API: which requests, whose answers, what is left to ask directly.

The requests of one call are looked for in open batches first, whoever made those; the rest goes
into new ones where the rule admits it. What no batch answers is left to the direct path: answers
that do not fit, requests that were refused, and whatever the deadline leaves no time for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from infra.llm.audit import AuditLog
from infra.llm.batch_job import Errand, JobCarrier
from infra.llm.batch_lines import request_line, split_by_size
from infra.llm.batch_rule import BatchRule
from infra.llm.batch_state import BATCH_FILE, BatchState, Job
from infra.llm.books import Books
from infra.llm.cache import AnswerCache, StoredAnswer
from infra.llm.endpoint import Endpoint
from infra.llm.prices import PriceTable
from infra.llm.reading import read_answer
from infra.llm.request import Answer, AnswerStatus, ChatRequest
from infra.llm.transport import Reply

if TYPE_CHECKING:
    from infra.llm.client import Usage

HOUR_SECONDS = 3600.0
ROWS_AT_ONCE = 100
"""Replies read before other requests of the loop have their turn."""

Replay = Callable[[dict[str, ChatRequest]], dict[str, Answer]]
OnProgress = Callable[[int, int], None] | None


class BatchDesk:
    """The batches of one endpoint and state folder; lives on the client's event loop.

    Args:
        replay: the cached answers among requests.
        usage: where tokens are counted that bought no answer.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        rule: BatchRule,
        state_dir: Path,
        cache: AnswerCache,
        audit: AuditLog,
        prices: PriceTable,
        replay: Replay,
        usage: Usage,
        books: Books,
    ) -> None:
        self._endpoint, self._rule, self._state_dir = endpoint, rule, state_dir
        self._cache, self._audit, self._prices = cache, audit, prices
        self._replay, self._usage, self._books = replay, usage, books
        self._due_at = time.time() + rule.hours * HOUR_SECONDS
        self._state: BatchState | None = None
        self._carrier: JobCarrier | None = None

    async def answer(
        self, pending: dict[str, ChatRequest], on_progress: OnProgress = None
    ) -> dict[str, Answer]:
        """Answers that batches gave; the other requests are to be asked directly.

        Raises:
            LanguageModelError: the endpoint may not be asked, or gives no news of an open batch.
        """
        if not self._rule.is_possible and not (self._state_dir / BATCH_FILE).exists():
            return {}
        state, carrier = self._opened()
        if state.leftovers():
            await carrier.delete_leftovers()
        errand = Errand(pending, self._due_at)
        try:
            return await self._answer(state, carrier, errand, on_progress)
        finally:
            self._release(errand)

    async def _answer(
        self, state: BatchState, carrier: JobCarrier, errand: Errand, on_progress: OnProgress
    ) -> dict[str, Answer]:
        while True:
            await self._collect(state, errand, on_progress)
            self._release(errand)
            waiting = errand.open()
            jobs = state.open_jobs(waiting) if waiting else []
            if waiting and not jobs:
                made = await self._claim(state, carrier, errand)
                carrier.note_fresh(made)
                jobs = [job.job_id for job in made]
            if not errand.open():
                return errand.answers
            await self._carry(carrier, jobs, errand)

    def _opened(self) -> tuple[BatchState, JobCarrier]:
        if self._state is None or self._carrier is None:
            place = f"{self._endpoint.host}@{self._endpoint.rules}"
            self._state = BatchState(self._state_dir, place)
            self._carrier = JobCarrier(
                self._endpoint, self._rule, self._state, self._cache, self._audit, self._books
            )
        return self._state, self._carrier

    def _release(self, errand: Errand) -> None:
        """Give back what was reserved for batches: what they cost is counted, reply by reply."""
        while errand.reserved:
            self._books.release(*errand.reserved.pop())

    async def _carry(self, carrier: JobCarrier, jobs: list[str], errand: Errand) -> None:
        """All jobs to their ends at once; the first failure is raised after that."""
        ends = await asyncio.gather(
            *(carrier.carry(job_id, errand) for job_id in jobs), return_exceptions=True
        )
        for end in ends:
            if end is not None:
                raise end
        if errand.queue_full:
            errand.queue_full = False
            errand.rounds -= 1  # nothing was tried
            await asyncio.sleep(self._rule.longest_poll_s)

    async def _claim(self, state: BatchState, carrier: JobCarrier, errand: Errand) -> list[Job]:
        """New jobs for the open requests that the rule admits; the others go the direct way."""
        by_model: dict[str, list[str]] = {}
        for key in errand.open():
            by_model.setdefault(errand.pending[key].model, []).append(key)
        hours_left = (errand.due_at - time.time()) / HOUR_SECONDS
        groups: list[list[str]] = []
        for model, keys in by_model.items():  # a file asks one model
            price = self._prices.find(model, datetime.now(UTC).date())
            discount = price.batch_discount if price is not None else 0.0
            admitted = self._rule.admits(len(keys), discount, hours_left, errand.rounds)
            if carrier.is_offered and admitted:
                groups += await asyncio.to_thread(self._split, carrier, keys, errand.pending)
            else:
                errand.direct.update(keys)
        if not groups:
            return []
        errand.rounds += 1
        return state.claim(groups, errand.due_at)

    def _split(
        self, carrier: JobCarrier, keys: list[str], requests: dict[str, ChatRequest]
    ) -> list[list[str]]:
        remote = carrier.remote
        return split_by_size(
            (key, len(request_line(key, remote.url, remote.body(requests[key])))) for key in keys
        )

    async def _collect(self, state: BatchState, errand: Errand, on_progress: OnProgress) -> None:
        """Take the replies that are there, then what others have moved to the cache meanwhile.

        In this order: a reply is in the cache before it leaves the state.
        """
        before = len(errand.answers)
        replies = state.replies(errand.open())
        for number, (key, reply) in enumerate(replies.items()):
            self._take(state, errand, key, reply)
            if number % ROWS_AT_ONCE == ROWS_AT_ONCE - 1:
                await asyncio.sleep(0)
        waiting = {key: errand.pending[key] for key in errand.open()}
        errand.answers.update(self._replay(waiting))
        if on_progress is not None and len(errand.answers) > before:
            on_progress(len(errand.answers), len(errand.pending))

    def _take(self, state: BatchState, errand: Errand, key: str, reply: Reply) -> None:
        """A reply becomes an answer in the cache, or its request goes the direct way."""
        request = errand.pending[key]
        model, tokens = reply.model or request.model, (reply.input_tokens, reply.output_tokens)
        try:
            status, content, value = read_answer(request.answer, reply)
        except ValidationError:
            status, content, value = AnswerStatus.INVALID, None, None
        price = self._prices.find(model, datetime.now(UTC).date())
        cost = price.cost_usd(*tokens, in_batch=True) if price is not None else None
        if status is AnswerStatus.INVALID:
            errand.direct.add(key)
        else:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            version = request.prompt_version
            self._cache.put(StoredAnswer(key, status, content, model, version, *tokens, cost, now))
            errand.answers[key] = Answer(key, status, value, model, *tokens, cost)
        if state.drop_reply(key):
            self._books.batch_reply(key, request, reply, errand.answers.get(key))
            self._audit.answered(request.source, key, status, *tokens)
            if status is AnswerStatus.INVALID:
                self._usage.add_unusable(*tokens, cost)
        elif key in errand.answers:  # another process has counted it
            errand.answers[key] = replace(errand.answers[key], cached=True)

    async def close(self) -> None:
        """Close connections and state; open batches go on and are found again."""
        if self._carrier is not None:
            await self._carrier.remote.close()
        if self._state is not None:
            self._state.close()
            self._state = self._carrier = None

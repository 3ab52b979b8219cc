"""Many requests to one endpoint: egress check, replay, bounded concurrency, retries, accounting.

The client is used from plain code; inside, one event loop in a thread keeps connections open from
call to call. Several threads may call at once: they share the loop, the limits and the cache.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from infra.errors import InputError, LanguageModelError, SettingsError
from infra.llm.audit import AuditLog
from infra.llm.batch_rule import BatchRule
from infra.llm.books import Books
from infra.llm.cache import AnswerCache, AnsweredMeanwhile, StoredAnswer
from infra.llm.compaction import compact_if_large
from infra.llm.endpoint import Endpoint
from infra.llm.gate import Gate
from infra.llm.owners import Owners
from infra.llm.prices import load_prices
from infra.llm.quota import KnownLimits, Quota
from infra.llm.request import Answer, AnswerStatus, ChatRequest
from infra.llm.state_folder import in_one_line, make_state_folder

if TYPE_CHECKING:
    from infra.llm.batch import BatchDesk
    from infra.llm.conversation import Conversation, Halt

WORKERS_PER_SLOT = 8
"""Requests begun for one that is in flight: those that wait to be tried again free their slot for
others. Our choice: a quota's refusals come in bursts of a few times the concurrency at most."""
Pending = tuple[str, ChatRequest]


@dataclass(frozen=True)
class Limits:
    """How hard an endpoint may be driven; all are our choices.

    Args:
        concurrency: requests in flight.
        attempts: tries of one request against transient failures.
        asks: how often a model is asked for an answer that fits the schema.
        first_wait_s, longest_wait_s: exponential back-off between tries, seconds.
        patience_s: how long one request is tried again while the answer is 429, seconds.
        requests_per_minute, tokens_per_minute: what the account admits; None is found out.
        budget_usd: what all clients of the state folder may ever spend together.
    """

    concurrency: int = 32
    attempts: int = 8
    asks: int = 3
    timeout_s: float = 120.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0
    patience_s: float = 1800.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    budget_usd: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 1 if name in ("concurrency", "attempts", "asks") else 0
            if value is not None and not least <= value < math.inf:
                raise SettingsError(
                    f"{value} for {name} of a language model",
                    f"a number of {least} or more" if least else "a finite number above 0",
                    "correct it",
                )
            if value == 0 and name in ("requests_per_minute", "tokens_per_minute", "timeout_s"):
                raise SettingsError(f"0 for {name}", "a number above 0", "correct it")


@dataclass
class Usage:
    """What a client did so far; ``cost_usd`` leaves out models without a known price."""

    sent: int = 0
    replayed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def add(self, answer: Answer) -> None:
        if answer.cached:
            self.replayed += 1
            return
        self.sent += 1
        self.input_tokens += answer.input_tokens
        self.output_tokens += answer.output_tokens
        self.cost_usd += answer.cost_usd or 0.0

    def add_unusable(self, input_tokens: int, output_tokens: int, cost_usd: float | None) -> None:
        """Count what was paid for no answer: the request is asked again."""
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.cost_usd += cost_usd or 0.0


class Client:
    """Asks one endpoint; close it, or use it as a context manager."""

    def __init__(
        self,
        endpoint: Endpoint,
        state_dir: Path,
        limits: Limits | None = None,
        batches: BatchRule | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits or Limits()
        self._state_dir, self._batch_rule = state_dir, batches or BatchRule()
        self.usage = Usage()
        self._prices = load_prices(state_dir)
        self._gate = Gate(self.limits.concurrency, self._new_quota)
        budget = self.limits.budget_usd
        make_state_folder(state_dir)
        with in_one_line(state_dir), ExitStack() as opened:
            self._cache = AnswerCache(state_dir, endpoint.rules)
            opened.callback(self._cache.close)
            self._owners = opened.enter_context(closing(Owners(state_dir)))
            self._audit = AuditLog(state_dir, endpoint.host, endpoint.guarantee)
            opened.callback(self._audit.close)
            self._books = Books(endpoint, state_dir, self._cache, self._prices, budget)
            opened.pop_all()
        self._process, self._is_closed = os.getpid(), False
        self._under_way: dict[str, asyncio.Event] = {}
        self._start_lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._conversation: Conversation | None = None
        self._desk: BatchDesk | None = None

    def complete_many(
        self,
        requests: Sequence[ChatRequest],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[Answer]:
        """Answers in the order of the requests; equal requests are sent once.

        ``on_progress(done, total)`` is called for what is really sent.

        Raises:
            EgressRefused: one source's text may not go to this endpoint; nothing was sent.
            InputError: a text holds half a character; nothing was sent.
            LanguageModelError: the endpoint is misconfigured, or the state folder cannot be used;
                what was answered is kept.
        """
        if self._is_closed or os.getpid() != self._process:
            raise LanguageModelError(
                "a client was used after it was closed, or by another process than made it; "
                "each process makes its own"
            )
        with in_one_line(self._state_dir):
            return self._complete(requests, on_progress)

    def _complete(
        self, requests: Sequence[ChatRequest], on_progress: Callable[[int, int], None] | None
    ) -> list[Answer]:
        for source, rule in {(request.source, request.egress) for request in requests}:
            self.endpoint.admit(source, rule)
        hashes = [request.identity() for request in requests]
        by_hash = dict(zip(hashes, requests, strict=True))
        self._owners.note(zip(hashes, requests, strict=True))
        answers = dict(self._replay(by_hash))
        self._books.replayed(by_hash[key] for key in answers)
        pending = [(key, request) for key, request in by_hash.items() if key not in answers]
        if pending:
            for _, request in pending:
                _require_characters(request)
            self._books.require_prices(request for _, request in pending)
            answers.update(self._send(pending, on_progress))
            self._books.flush()
            compact_if_large(self._cache)
        for answer in answers.values():
            self.usage.add(answer)
        return [answers[key] for key in hashes]

    @property
    def makes_batches(self) -> bool:
        """Whether large jobs may go through the Batch API: then ask for much at once."""
        return self._batch_rule.is_possible

    def _replay(self, by_hash: dict[str, ChatRequest]) -> Iterator[tuple[str, Answer]]:
        for key, stored in self._cache.get_many(by_hash).items():
            try:
                yield key, _from_stored(stored, by_hash[key])
            except ValueError:  # a damaged row, or an answer whose rules are stricter now
                self._cache.forget(key)

    def _send(
        self, pending: list[Pending], on_progress: Callable[[int, int], None] | None
    ) -> dict[str, Answer]:
        with self._start_lock:
            if self._loop is None:
                self._start()
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(self._send_all(pending, on_progress), self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # only an interrupt leaves it running

    def _start(self) -> None:
        # openai takes half a second to import: a run that replays everything never pays it
        from infra.llm.batch import BatchDesk
        from infra.llm.conversation import Conversation

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="language-model", daemon=True
        )
        self._thread.start()
        self._conversation = Conversation(
            self.endpoint,
            self.limits,
            self._audit,
            self._prices,
            self._books,
            self._gate,
            self._cache,
        )
        self._desk = BatchDesk(
            self.endpoint,
            self._batch_rule,
            self._state_dir,
            self._cache,
            self._audit,
            self._prices,
            lambda requests: dict(self._replay(requests)),
            self.usage,
            self._books,
        )

    def quota_of(self, model: str) -> Quota:
        """The quota that this client shares with all others of the state folder."""
        return self._gate.quota(model)

    def _new_quota(self, model: str) -> Quota:
        known = KnownLimits(self.limits.requests_per_minute, self.limits.tokens_per_minute)
        name, label = f"{self.endpoint.base_url} {model}", f"{self.endpoint.host} {model}"
        return Quota(self._state_dir, name, known, label=label)

    async def _send_all(
        self, pending: list[Pending], on_progress: Callable[[int, int], None] | None
    ) -> dict[str, Answer]:
        assert self._conversation is not None and self._desk is not None
        answers = await self._desk.answer(dict(pending), on_progress)
        left = [item for item in pending if item[0] not in answers]
        if self._books.has_company():  # who asks the same would keep step with this one
            random.shuffle(left)
        queue = iter(left)
        halt = self._conversation.halt()

        async def work(conversation: Conversation) -> None:
            for key, request in queue:
                try:
                    with in_one_line(self._state_dir):
                        answers[key] = await self._ask(conversation, key, request, halt)
                except LanguageModelError as error:
                    halt.set(error)
                    return
                if on_progress is not None:
                    on_progress(len(answers), len(pending))

        slots = self.limits.concurrency
        async with asyncio.TaskGroup() as group:
            for number in range(min(WORKERS_PER_SLOT * slots, len(pending))):
                if number % slots == 0:
                    await asyncio.sleep(0)  # those that have a slot send before others queue up
                group.create_task(work(self._conversation))
        halt.check()
        return answers

    async def _ask(
        self, conversation: Conversation, key: str, request: ChatRequest, halt: Halt
    ) -> Answer:
        """The answer; sent for, unless another thread or process gets it meanwhile."""
        while key in self._under_way:
            await self._under_way[key].wait()
        done = self._under_way[key] = asyncio.Event()
        try:
            while True:
                try:
                    answer, own = await conversation.ask(key, request, halt)
                except AnsweredMeanwhile:
                    for _, known in self._replay({key: request}):
                        self._books.replayed([request])
                        return known
                    continue  # it was damaged, and is forgotten now
                if own is not None and not self._cache.put(own):
                    answer = self._first_answer(key, request, answer)
                return answer
        finally:
            del self._under_way[key]
            done.set()

    def _first_answer(self, key: str, request: ChatRequest, own: Answer) -> Answer:
        """What another process stored meanwhile, at this one's cost: all say the same."""
        first = dict(self._replay({key: request})).get(key, own)
        return replace(
            first,
            input_tokens=own.input_tokens,
            output_tokens=own.output_tokens,
            cost_usd=own.cost_usd,
            cached=False,
        )

    def close(self) -> None:
        """Close connections, cache and log; what another thread still asks is given up.

        A second time does nothing, nor in a process that was forked off: nothing there is its own.

        Raises:
            LanguageModelError: the last counts could not be written.
        """
        if self._is_closed or os.getpid() != self._process:
            return
        self._is_closed = True
        with in_one_line(self._state_dir), ExitStack() as rest:
            for part in (self._audit, self._owners, self._cache, self._books, self._gate):
                rest.callback(part.close)
            if self._loop is not None and self._thread is not None:
                asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
                self._loop = None

    async def _end(self) -> None:
        """Give up what is under way, so that nobody waits for it, and hang up."""
        under_way = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for part in (self._conversation, self._desk):
            if part is not None:
                await part.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _require_characters(request: ChatRequest) -> None:
    """Raise InputError where a request holds half a character, which no server can be sent."""
    try:
        for text in (request.model, request.source, *(item.content for item in request.messages)):
            text.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"a question for {request.prompt_version} with an unpaired surrogate in it",
            "text of whole Unicode characters",
            "read the source's files in their own encoding, and look at the model's name",
        ) from None


def raise_unreached(answers: Iterable[Answer]) -> None:
    """Raise LanguageModelError if any request got no answer; what was answered is kept."""
    given_up = Counter(item.detail for item in answers if item.status is AnswerStatus.UNREACHED)
    if given_up:
        reasons = ", ".join(f"{code} {count}" for code, count in sorted(given_up.items()))
        raise LanguageModelError(
            f"{given_up.total()} requests got no answer ({reasons}); "
            "finished answers are kept and cost nothing again: run it again"
        )


def _from_stored(stored: StoredAnswer, request: ChatRequest) -> Answer:
    status = AnswerStatus(stored.status)
    value = None
    if status is AnswerStatus.OK:
        value = request.answer.model_validate_json(stored.content or "")
    return Answer(
        request_hash=stored.request_hash,
        status=status,
        value=value,
        model=stored.model,
        input_tokens=stored.input_tokens,
        output_tokens=stored.output_tokens,
        cost_usd=stored.cost_usd,
        cached=True,
    )

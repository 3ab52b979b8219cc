"""One job of the Batch API carried to its end: upload, create, wait, fetch, delete."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from openai.types import Batch

from infra.errors import BudgetExceeded
from infra.llm.audit import AuditLog
from infra.llm.batch_lines import Outcome, read_line, request_line
from infra.llm.batch_remote import (
    Gone,
    NotOffered,
    Remote,
    failure_codes,
    named_files,
    unreachable,
)
from infra.llm.batch_rule import BatchRule
from infra.llm.batch_state import BatchState, Job
from infra.llm.books import Books
from infra.llm.cache import AnswerCache
from infra.llm.endpoint import Endpoint
from infra.llm.request import Answer, ChatRequest
from infra.llm.transport import Misconfigured, Transient
from infra.log import LOGGER

T = TypeVar("T")
FINAL = frozenset({"completed", "failed", "expired", "cancelled"})
QUEUE_FULL = "token_limit_exceeded"
"""How a batch fails when the account has too many tokens waiting; later it will not."""
GROWTH = 1.5
"""Each wait is so many times the one before (our choice)."""
LONGEST_CANCELLING_S = 3600.0
"""OpenAI says that a batch is cancelled after 10 minutes at most; longer, something is wrong."""
WITHOUT_BATCHES = frozenset({404, 405, 501})


@dataclass
class Errand:
    """Requests on their way: ``pending`` by hash, and what became of them.

    ``direct`` are those that no batch would answer; ``due_at`` is the deadline in seconds of the
    Unix clock; ``rounds`` counts the batches made so far; ``queue_full`` says that the account has
    too many tokens waiting for another batch now; ``reserved`` is what its batches may cost.
    """

    pending: dict[str, ChatRequest]
    due_at: float
    answers: dict[str, Answer] = field(default_factory=dict)
    direct: set[str] = field(default_factory=set)
    rounds: int = 0
    queue_full: bool = False
    reserved: list[tuple[int, ChatRequest]] = field(default_factory=list)

    def open(self) -> list[str]:
        """Hashes that are neither answered nor to be asked directly."""
        return [k for k in self.pending if k not in self.answers and k not in self.direct]


class JobCarrier:
    """Carries jobs at one endpoint; one caller at a time owns a job."""

    def __init__(
        self,
        endpoint: Endpoint,
        rule: BatchRule,
        state: BatchState,
        cache: AnswerCache,
        audit: AuditLog,
        books: Books,
    ) -> None:
        self._endpoint, self._rule, self._state = endpoint, rule, state
        self._cache, self._audit, self._books = cache, audit, books
        self.remote = Remote(endpoint)
        self.is_offered = True
        self._fresh: set[str] = set()
        self._uploading = asyncio.Semaphore(1)  # a file is up to 200 MB of memory

    def note_fresh(self, jobs: Iterable[Job]) -> None:
        """These were just made here: no earlier owner has sent anything of them."""
        self._fresh.update(job.job_id for job in jobs)

    async def carry(self, job_id: str, errand: Errand) -> None:
        """Return when the job is finished or given up, here or by another owner.

        Raises:
            LanguageModelError: the server may not be asked, or gives no news; the job stays open.
        """
        wait_s = self._rule.first_poll_s
        while self._state.job(job_id) is not None:
            with self._state.owning(job_id) as is_ours:
                job = self._state.job(job_id)
                if job is None:
                    return
                if is_ours:
                    errand.due_at = min(errand.due_at, job.due_at)
                    keys = self._state.requests_of(job_id)
                    ours = [errand.pending[key] for key in keys if key in errand.pending]
                    with self._books.batch_under_way(ours):
                        await self._carry_own(job, keys, errand)
                    return
            await asyncio.sleep(wait_s)
            wait_s = self._longer(wait_s)

    async def _carry_own(self, job: Job, keys: list[str], errand: Errand) -> None:
        batch_id = job.batch_id or await self._start(job, keys, errand)
        if batch_id is None:
            return
        try:
            batch = await self._wait(batch_id, job.due_at)
        except Gone:
            LOGGER.warning("batch %s is not at %s any more", batch_id, self._endpoint.host)
            self._state.forget(job.job_id)
            return
        await self._fetch(job, batch, keys, errand)

    async def _start(self, job: Job, keys: list[str], errand: Errand) -> str | None:
        """The id of the job's batch, made now or found; None where the job was given up."""
        is_fresh = job.job_id in self._fresh
        self._fresh.discard(job.job_id)
        file_id = job.file_id
        try:
            file_id = file_id or await self._upload(job, keys, errand, is_fresh)
            if file_id is None:
                return None
            self._state.uploaded(job.job_id, file_id)
            batch_id = await self._start_batch(job, file_id, is_fresh)
            if batch_id is None:
                self._note_unanswered(keys, errand, "batch-too-late")
                await self._give_up(job, file_id)
                return None
        except Misconfigured:  # text has left all the same
            if file_id is None:
                self._note_unanswered(keys, errand, "misconfigured")
                self._state.forget(job.job_id)
            raise
        except NotOffered as refusal:
            self._note_unanswered(keys, errand, "batch-refused")
            await self._give_up(job, file_id)
            if refusal.status in WITHOUT_BATCHES:
                self.is_offered = False
            words = f"{self._endpoint.host} refused a batch (status {refusal.status})"
            if self._rule.mode == "always":
                raise Misconfigured(f"{words}; set CXR_LLM_BATCH=auto or off") from None
            LOGGER.warning("%s: its requests are asked one by one", words)
            errand.direct.update(keys)
            return None
        self._state.created(job.job_id, batch_id)
        LOGGER.info("batch %s at %s: %d requests", batch_id, self._endpoint.host, len(keys))
        return batch_id

    async def _upload(
        self, job: Job, keys: list[str], errand: Errand, is_fresh: bool
    ) -> str | None:
        """The input file's id; None where the job is to be forgotten.

        Raises:
            NotOffered: the endpoint takes no such file.
        """
        name, remote = f"cxrflow-{job.job_id}.jsonl", self.remote
        if not is_fresh:
            found = await self._patiently(lambda: remote.find_file(name, job.created_at))
            if found is not None:
                return found
        requests = errand.pending
        # answered since this caller looked, or asked by a run that asks other things now
        is_other = self._is_answered(keys) or not all(key in requests for key in keys)
        if is_other or self._is_too_late(job):
            self._state.forget(job.job_id)
            return None
        for source, rule in {(requests[key].source, requests[key].egress) for key in keys}:
            self._endpoint.admit(source, rule)
        await self._reserve(job, keys, errand)
        for key in keys:
            self._audit.sent(requests[key].source, key, requests[key].model)
        async with self._uploading:
            data = await asyncio.to_thread(self._file, keys, requests)
            try:
                return await self._once(
                    lambda: remote.find_file(name, job.created_at),
                    lambda: remote.upload(name, data),
                )
            except Transient as failure:
                LOGGER.warning("no batch could be uploaded (%s)", failure.code)
                self._note_unanswered(keys, errand, failure.code)
                self._state.forget(job.job_id)
                errand.direct.update(keys)
                return None

    async def _reserve(self, job: Job, keys: list[str], errand: Errand) -> None:
        """Reserve what the job may cost; without room for it, it is no job any more."""
        requests = [errand.pending[key] for key in keys]
        try:
            amount = await self._books.reserve_batch(requests)
        except BudgetExceeded:
            self._state.forget(job.job_id)
            raise
        errand.reserved.append((amount, requests[0]))

    def _file(self, keys: list[str], requests: dict[str, ChatRequest]) -> bytes:
        remote = self.remote
        return b"".join(request_line(k, remote.url, remote.body(requests[k])) for k in keys)

    def _is_answered(self, keys: Sequence[str]) -> bool:
        """Whether any of them has an answer already; replies first, for they move to the cache."""
        return bool(self._state.replies(keys)) or bool(self._cache.get_many(keys))

    def _is_too_late(self, job: Job) -> bool:
        """Whether a job that is not under way is better asked directly."""
        return self._rule.mode == "off" or time.time() >= job.due_at

    async def _start_batch(self, job: Job, file_id: str, is_fresh: bool) -> str | None:
        """The batch's id, found or made; None if there is none and it is too late to make one."""
        remote = self.remote
        if not is_fresh:
            found = await self._patiently(lambda: remote.find_batch(job.job_id, job.created_at))
            if found is not None:
                return found
            if self._is_too_late(job):
                return None
        try:
            return await self._once(
                lambda: remote.find_batch(job.job_id, job.created_at),
                lambda: remote.create(file_id, job.job_id),
            )
        except Transient as failure:  # it may have been made: the job stays open
            raise unreachable(self._endpoint.host, failure.code) from None

    async def _give_up(self, job: Job, file_id: str | None) -> None:
        """Set the requests free, and delete the file if there is one."""
        if file_id is None:
            self._state.forget(job.job_id)
        else:
            self._state.finish(job.job_id, {}, [file_id])
            await self.delete_leftovers()

    async def _wait(self, batch_id: str, due_at: float) -> Batch:
        """The batch at its end; cancelled when it is due, and at once where batches are off."""
        due_at = 0.0 if self._rule.mode == "off" else due_at
        wait_s, given_up_at = self._rule.first_poll_s, math.inf
        while True:
            batch = await self._patiently(lambda: self.remote.look(batch_id))
            if batch.status in FINAL:
                return batch
            now = time.time()
            if now > given_up_at:
                raise unreachable(self._endpoint.host, "cancelled in vain")
            if now >= due_at and math.isinf(given_up_at):
                LOGGER.warning("batch %s is not done in time and is cancelled", batch_id)
                await self._patiently(lambda: self.remote.cancel(batch_id))
                given_up_at = now + LONGEST_CANCELLING_S
            await asyncio.sleep(min(wait_s, due_at - now) if now < due_at else wait_s)
            wait_s = self._longer(wait_s)

    async def _fetch(self, job: Job, batch: Batch, keys: list[str], errand: Errand) -> None:
        """Store the replies, note who goes the direct way, and delete the files over there."""
        found: dict[str, Outcome] = {}
        files = named_files(batch.output_file_id, batch.error_file_id)
        for file_id in files:
            try:
                await self._patiently(partial(self._read, file_id, found))
            except Gone:
                LOGGER.warning("file %s is not at %s any more", file_id, self._endpoint.host)
        members = set(keys)
        replies = {k: o.reply for k, o in found.items() if o.reply is not None and k in members}
        self._state.finish(job.job_id, replies, named_files(batch.input_file_id, *files))
        lost = [key for key in keys if key not in replies]
        self._sort_unanswered(lost, found, batch, errand)
        counts = f"{len(replies)} of {len(keys)} requests answered"
        LOGGER.info("batch %s %s: %s", batch.id, batch.status, counts)
        await self.delete_leftovers()

    async def _read(self, file_id: str, found: dict[str, Outcome]) -> None:
        """Outcomes by request; the first reply of a request stays, a reply beats a failure."""
        damaged = 0
        async for line in self.remote.lines(file_id):
            if not line.strip():
                continue
            read = read_line(line)
            if read is None:
                damaged += 1
                continue
            key, outcome = read
            if key not in found or found[key].reply is None:
                found[key] = outcome
        if damaged:
            LOGGER.warning("file %s has %d lines that cannot be read", file_id, damaged)

    def _sort_unanswered(
        self, lost: list[str], found: dict[str, Outcome], batch: Batch, errand: Errand
    ) -> None:
        if batch.status == "failed" and QUEUE_FULL in failure_codes(batch):
            errand.queue_full = True
        elif batch.status == "failed":
            errand.direct.update(lost)
        missing = Outcome(None, "failed" if batch.status == "failed" else "missing")
        outcomes = {key: found.get(key, missing) for key in lost}
        errand.direct.update(key for key, outcome in outcomes.items() if outcome.is_final)
        for code, count in Counter(outcome.code for outcome in outcomes.values()).items():
            group = [key for key in lost if outcomes[key].code == code]
            self._note_unanswered(group, errand, f"batch-{code.removeprefix('batch-')}")
            LOGGER.warning("batch %s: %d requests unanswered (%s)", batch.id, count, code)

    def _note_unanswered(self, keys: Iterable[str], errand: Errand, outcome: str) -> None:
        for key in keys:
            if key in errand.pending:
                self._audit.answered(errand.pending[key].source, key, outcome, 0, 0)

    async def delete_leftovers(self) -> None:
        """Delete what finished jobs left at the server: it holds report text."""
        for job_id, files in self._state.leftovers().items():
            try:
                for file_id in files:
                    await self.remote.delete(file_id)
            except (Transient, Misconfigured) as failure:
                LOGGER.warning(
                    "files of a batch are still at %s (%s); the next run tries again",
                    self._endpoint.host,
                    type(failure).__name__,
                )
                return
            self._state.forget(job_id)

    async def _once(
        self, find: Callable[[], Awaitable[T | None]], make: Callable[[], Awaitable[T]]
    ) -> T:
        """What a call makes that must not be made twice: after a failure it is looked for first."""
        wait_s = self._rule.first_poll_s
        for attempt in range(1, self._rule.attempts + 1):
            try:
                found = await find() if attempt > 1 else None
                return found if found is not None else await make()
            except Transient:
                if attempt == self._rule.attempts:
                    raise
            await asyncio.sleep(wait_s)
            wait_s = self._longer(wait_s)
        raise AssertionError("attempts is at least one")

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of a call that may be repeated, through as many failures as patience has.

        Raises:
            LanguageModelError: there were more.
        """
        wait_s, code = self._rule.first_poll_s, ""
        for _ in range(self._rule.patience):
            try:
                return await call()
            except Transient as failure:
                code = failure.code
            await asyncio.sleep(wait_s)
            wait_s = self._longer(wait_s)
        raise unreachable(self._endpoint.host, code)

    def _longer(self, wait_s: float) -> float:
        return min(wait_s * GROWTH, self._rule.longest_poll_s)

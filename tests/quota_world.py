"""A server with a token bucket, and a client that asks its quota, in simulated time."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from infra.llm.quota import KnownLimits, Leave, Quota

START = 1_000_000_000.0
SETTLED_S, SETTLED_REQUESTS = 5.0, 100
"""After the longer of both a quota has had the time to find a limit."""


@dataclass
class Bucket:
    """A token bucket of ``rate`` a second that starts full."""

    rate: float
    burst: float
    level: float = field(init=False)
    at: float = START

    def __post_init__(self) -> None:
        self.level = self.burst

    def admits(self, now: float, size: float) -> bool:
        """Take ``size`` out if it is there; more than the bucket holds needs a full one."""
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < min(size, self.burst):
            return False
        self.level -= size
        return True


@dataclass
class Plan:
    """One simulation: a bucket of requests or, with ``tokens`` set, of tokens."""

    requests: int = 1500
    rate: float = 50.0
    burst: float = 50.0
    latency_s: float = 0.3
    refusal_s: float | None = None
    retry_after_s: float | None = None
    concurrency: int = 100
    tokens: tuple[float, float] | None = None
    known: KnownLimits | None = None
    processes: int = 1
    refused_anyway: float = 0.0

    def sizes(self) -> list[float]:
        random = Random(3)
        if self.tokens is None:
            return [1.0] * self.requests
        return [random.uniform(*self.tokens) for _ in range(self.requests)]

    def ideal_s(self) -> float:
        return (sum(self.sizes()) - self.burst) / self.rate + self.latency_s


@dataclass
class Result:
    seconds: float
    refused: int
    refused_late: int
    sent_late: int
    served: int


class Simulation:
    """Runs a plan through quotas that share one state folder."""

    def __init__(self, plan: Plan, state: Path) -> None:
        self.plan, self.now = plan, START
        self.quotas = [
            Quota(state, "model", plan.known, clock=lambda: self.now) for _ in range(plan.processes)
        ]
        self.random = Random(5)
        self.bucket = Bucket(plan.rate, plan.burst)
        self.waiting: list[deque[float]] = [deque() for _ in self.quotas]
        for number, size in enumerate(plan.sizes()):
            self.waiting[number % plan.processes].append(size)
        self.timed = [False] * plan.processes
        self.free = [plan.concurrency] * plan.processes
        self.events: list[tuple[float, int, str, tuple[object, ...]]] = []
        self.count = self.served = 0
        self.refused: list[float] = []
        self.sent: list[float] = []

    def push(self, after_s: float, kind: str, *values: object) -> None:
        self.count += 1
        heapq.heappush(self.events, (self.now + after_s, self.count, kind, values))

    def run(self) -> Result:
        for number in range(self.plan.processes):
            self.push(0.0, "pump", number)
        while self.served < self.plan.requests:
            at, _, kind, values = heapq.heappop(self.events)
            self.now = max(self.now, at)
            getattr(self, kind)(*values)
        for quota in self.quotas:
            quota.close()
        late = START + max(SETTLED_S, SETTLED_REQUESTS / self.plan.rate)
        return Result(
            self.now - START,
            len(self.refused),
            sum(at > late for at in self.refused),
            sum(at > late for at in self.sent),
            self.served,
        )

    def pump(self, number: int) -> None:
        expected = sum(self.plan.tokens) / 2 if self.plan.tokens else 1.0
        while self.waiting[number] and self.free[number]:
            leave = self.quotas[number].take(expected)
            if not isinstance(leave, Leave):
                if not self.timed[number]:
                    self.timed[number] = True
                    self.push(leave, "wake", number)
                return
            self.free[number] -= 1
            self.sent.append(self.now)
            size = self.waiting[number].popleft()
            self.push(self.plan.latency_s / 2, "arrive", number, leave, size)

    def wake(self, number: int) -> None:
        self.timed[number] = False
        self.pump(number)

    def arrive(self, number: int, leave: Leave, size: float) -> None:
        lucky = self.random.random() >= self.plan.refused_anyway
        if lucky and self.bucket.admits(self.now, size):
            self.push(self.plan.latency_s / 2, "serve", number, leave, size)
        else:
            back_s = self.plan.refusal_s
            after_s = self.plan.latency_s / 2 if back_s is None else back_s
            self.push(after_s, "refuse", number, leave, size)

    def serve(self, number: int, leave: Leave, size: float) -> None:
        self.served += 1
        self.free[number] += 1
        self.quotas[number].settle(leave, size)
        self.pump(number)

    def refuse(self, number: int, leave: Leave, size: float) -> None:
        self.free[number] += 1
        self.refused.append(self.now)
        self.quotas[number].refuse(leave, self.plan.retry_after_s)
        self.push(self.plan.retry_after_s or 0.0, "again", number, size)
        self.pump(number)

    def again(self, number: int, size: float) -> None:
        self.waiting[number].append(size)
        self.pump(number)

"""What goes wrong at the offline server, and the limits that it enforces.

Faults are drawn by a hash of the request and the number of the try, so that a rehearsal can be
repeated. Limits are token buckets: they fill evenly and hold at most their burst.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import blake2b
from time import monotonic
from typing import Literal

SHARE = "share_"
SECONDS_A_MINUTE = 60.0


@dataclass(frozen=True)
class Faults:
    """What goes wrong with chat completions, and how hard they may be driven.

    Everything named ``share_`` is a share of requests (0 to 1).

    Args:
        latency_s, latency_jitter_s: each answer waits the first and up to the second besides.
        retry_after_s: sent with each 429; None sends none.
        share_drip: bodies that come byte by byte over ``drip_s`` seconds.
        share_content_filter: prompts refused by status 400; ``share_filtered``: answers that end
            with the finish reason ``content_filter``.
        no_schemas: refuse JSON schemas, as older servers do.
        requests_per_minute, burst: a bucket of requests; the burst is one second's share unless
            given. Likewise ``tokens_per_minute`` and ``token_burst``, for prompt and answer.
        limit_retry_after: what a 429 of these limits says: nothing, the exact seconds until the
            request would fit, or whole seconds, rounded up.
        limit_headers: send OpenAI's ``x-ratelimit-…`` headers with each reply.
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
    share_503: float = 0.0
    share_drip: float = 0.0
    share_content_filter: float = 0.0
    share_filtered: float = 0.0
    share_context_length: float = 0.0
    no_schemas: bool = False
    seed: int = 0
    latency_jitter_s: float = 0.0
    drip_s: float = 1.0
    requests_per_minute: float | None = None
    burst: float | None = None
    tokens_per_minute: float | None = None
    token_burst: float | None = None
    limit_retry_after: Literal["none", "exact", "whole"] = "none"
    limit_headers: bool = False

    @cached_property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """The faults that are switched on, in the order of the fields."""
        return tuple(
            (name.removeprefix(SHARE), share)
            for name, share in asdict(self).items()
            if name.startswith(SHARE) and share
        )

    def draw(self, body: bytes, attempt: int) -> str | None:
        """The fault of this try of this request, or None."""
        if not self.shares:
            return None
        return drawn(self.shares, body, f"{self.seed}:{attempt}")


@dataclass(frozen=True)
class BatchFaults:
    """What goes wrong with files and batches. Each ``lines_`` is a share of a batch's requests.

    Args:
        offered: whether there are files and batches at all; most compatible servers have none.
        validating_s, running_s, finalizing_s: how long a batch stays so, seconds.
        reply_after_s: uploads and new batches take effect at once, their replies come this late.
        most_requests, most_bytes: of one file; larger ones fail validation.
        failed_batches: the first so many fail validation, with the code ``failed_code``.
        expired_batches, cancelled_batches: the first so many end so, when the share
            ``undone_share`` of their requests is not answered.
        cut_downloads: the first so many downloads break off in the middle.
        lines_429, lines_500: requests answered so, in the error file.
        lines_missing: in neither file; ``lines_doubled``: twice; ``lines_damaged``: cut off.
    """

    offered: bool = True
    validating_s: float = 0.0
    running_s: float = 0.0
    finalizing_s: float = 0.0
    reply_after_s: float = 0.0
    most_requests: int = 50_000
    most_bytes: int = 200_000_000
    failed_batches: int = 0
    failed_code: str = "invalid_request"
    expired_batches: int = 0
    cancelled_batches: int = 0
    undone_share: float = 0.5
    cut_downloads: int = 0
    lines_429: float = 0.0
    lines_500: float = 0.0
    lines_missing: float = 0.0
    lines_doubled: float = 0.0
    lines_damaged: float = 0.0
    seed: int = 0

    def draw(self, custom_id: str, batch: int) -> str | None:
        """The fault of this line of the n-th batch, or None."""
        shares = tuple(
            (name, getattr(self, f"lines_{name}"))
            for name in ("429", "500", "missing", "doubled", "damaged")
        )
        return drawn(shares, custom_id.encode(), f"{self.seed}:{batch}")

    def is_undone(self, custom_id: str, batch: int) -> bool:
        """Whether a batch that ends early leaves this line undone."""
        share = (("undone", self.undone_share),)
        return drawn(share, custom_id.encode(), f"{self.seed}:u{batch}") is not None


def drawn(shares: tuple[tuple[str, float], ...], what: bytes, salt: str) -> str | None:
    """One of the named shares or none, by a hash."""
    key = blake2b(what, digest_size=8, salt=salt.encode()[:16]).digest()
    point = int.from_bytes(key, "big") / 2**64
    for name, share in shares:
        if point < share:
            return name
        point -= share
    return None


class Bucket:
    """A token bucket, full at first. ``clock`` gives seconds."""

    def __init__(
        self, per_minute: float, burst: float | None, clock: Callable[[], float] = monotonic
    ) -> None:
        self.per_minute = per_minute
        self._rate = per_minute / SECONDS_A_MINUTE
        self._burst = burst if burst is not None else max(1.0, self._rate)
        self._clock = clock
        self._level, self._at = self._burst, clock()

    def level(self) -> float:
        """What it holds now."""
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def wait_s(self, amount: float) -> float:
        """Seconds until it holds the amount; 0 if it does, infinite if it never will."""
        if amount > self._burst:
            return math.inf
        return max(0.0, (amount - self.level()) / self._rate)

    def take(self, amount: float) -> None:
        self._level = self.level() - amount

    def full_in_s(self) -> float:
        """Seconds until it is full."""
        return (self._burst - self.level()) / self._rate


class Quota:
    """The limits on requests and tokens of one server; a refused request takes from neither."""

    def __init__(self, faults: Faults, clock: Callable[[], float] = monotonic) -> None:
        self._faults = faults
        self._buckets: dict[str, Bucket] = {}
        if faults.requests_per_minute is not None:
            self._buckets["requests"] = Bucket(faults.requests_per_minute, faults.burst, clock)
        if faults.tokens_per_minute is not None:
            self._buckets["tokens"] = Bucket(faults.tokens_per_minute, faults.token_burst, clock)

    @property
    def counts_tokens(self) -> bool:
        return "tokens" in self._buckets

    def wait_s(self, tokens: int) -> float:
        """Takes a request of so many tokens and returns 0, or returns the seconds to wait."""
        amounts = {"requests": 1.0, "tokens": float(tokens)}
        waits = [bucket.wait_s(amounts[name]) for name, bucket in self._buckets.items()]
        wait = max(waits, default=0.0)
        if wait == 0.0:
            for name, bucket in self._buckets.items():
                bucket.take(amounts[name])
        return wait

    def retry_after(self, wait_s: float) -> str | None:
        """What the 429 of a request that must wait so long says, or None."""
        if self._faults.retry_after_s is not None:
            return str(self._faults.retry_after_s)
        if self._faults.limit_retry_after == "none" or math.isinf(wait_s):
            return None
        exact = self._faults.limit_retry_after == "exact"
        return f"{wait_s:.3f}" if exact else str(math.ceil(wait_s))

    def headers(self) -> dict[str, str]:
        """OpenAI's limit headers, where they are switched on."""
        if not self._faults.limit_headers:
            return {}
        found = {}
        for name, bucket in self._buckets.items():
            found[f"x-ratelimit-limit-{name}"] = str(int(bucket.per_minute))
            found[f"x-ratelimit-remaining-{name}"] = str(max(0, int(bucket.level())))
            found[f"x-ratelimit-reset-{name}"] = as_duration(bucket.full_in_s())
        return found


def as_duration(seconds: float) -> str:
    """``6m0s``, ``1.5s`` or ``20ms``: how OpenAI writes a time span."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), SECONDS_A_MINUTE)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"

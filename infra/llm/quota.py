"""How fast an endpoint may be asked: one quota for all processes that share a state folder.

The quota mirrors the server's token bucket. It fills at the rate that is known (settings, or the
server's headers). Where none is, or others use the same account, it is learned from refusals:
the server's bucket is empty whenever it answers 429, so what it admitted between two such moments
is its rate times the time between them. Between refusals the rate grows a little, to notice a
raised limit.

The state is a few numbers in a mapped file under a file lock, about 10 µs a request. A request
takes leave before it is sent (``take``), and tells what came of it (``settle``, ``refuse``).
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import random
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from infra.fingerprint import fingerprint
from infra.llm.quota_state import (
    STALE_S,
    KnownLimits,
    Leave,
    QuotaState,
    learn_from,
    limit_debt,
    makes_sense,
    pass_time,
    request_wait_s,
    token_wait_s,
)

__all__ = ["KnownLimits", "Leave", "Quota", "QuotaSeen", "read_quotas"]
QUOTA_FOLDER = "llm-quota"
LONG_WAIT_S = 10.0
"""A Retry-After to this length holds back the refused request alone once the rate was measured:
servers round it up to whole seconds, in which a full bucket would run over. Our choice."""
SEATS = 16
"""Clients that take turns; more than that share the last seats. Our choice."""
_SHORTEST_WAIT_S = 1e-3  # below this a clock in seconds since the epoch may not move at all

_LAYOUT = struct.Struct(f"<8s{len(fields(QuotaState))}d")
_SEAT = struct.Struct("<4d")
_MAGIC = b"cxrquot1"
LABEL_BYTES = 256
_SIZE = _LAYOUT.size + SEATS * _SEAT.size + LABEL_BYTES


class Quota:
    """One endpoint's quota in a state folder; safe for threads and processes.

    Args:
        name: of endpoint and model; each pair has a file of its own.
        label: what people are shown of it, without secrets: host and model.
    """

    def __init__(
        self,
        state_dir: Path,
        name: str,
        known: KnownLimits | None = None,
        clock: Callable[[], float] = time.time,
        label: str = "",
    ) -> None:
        self.path = state_dir / QUOTA_FOLDER / f"{fingerprint(name)}.bin"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._known, self._clock = known or KnownLimits(), clock
        self._thread_lock = threading.Lock()
        self._returned = 0.0
        self._file = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)
        os.ftruncate(self._file, _SIZE)
        os.posix_fallocate(self._file, 0, _SIZE)  # a full disk is an error here, a kill in the map
        self._map = mmap.mmap(self._file, _SIZE)
        shown = label.encode()[:LABEL_BYTES]
        self._map[-LABEL_BYTES:] = shown.ljust(LABEL_BYTES, b"\0")
        self._seats = _Seats(self._map)

    def take(self, tokens: float) -> Leave | float:
        """Leave for one request of about that many tokens, or seconds until to ask again."""
        with self._locked() as state:
            now = state.at
            if state.closed_until > now:
                return max(state.closed_until - now, _SHORTEST_WAIT_S)
            before = self._seats.before_me(state)
            wait_s = max(request_wait_s(state, 1 + before), token_wait_s(state, tokens))
            self._seats.sit(state, is_waiting=wait_s > 0)
            if wait_s > 0:
                return max(wait_s, _SHORTEST_WAIT_S)
            state.level -= 1
            state.token_level -= tokens
            state.sent += 1
            return Leave(state.sent, now, tokens)

    def settle(self, leave: Leave, used: float, *, at_once: bool = True) -> None:
        """A request ended: it took that many tokens, none where it was never served.

        Args:
            at_once: False where ``take`` follows and may write this down on its way.
        """
        with self._thread_lock:
            self._returned += leave.tokens - used
        if at_once:
            with self._locked():
                pass

    def refuse(self, leave: Leave, retry_after_s: float | None) -> None:
        """A request was answered 429."""
        with self._locked() as state:
            state.token_level += leave.tokens
            state.refused += 1
            learn_from(state, leave)
            if retry_after_s is not None and (not state.measured or retry_after_s > LONG_WAIT_S):
                state.closed_until = max(state.closed_until, state.at + retry_after_s)

    def learn(self, told: KnownLimits) -> None:
        """Take over limits that the server stated, where the settings name none."""
        own = self._known
        if own.requests_per_minute is None and told.requests_per_minute is not None:
            own = replace(own, requests_per_minute=told.requests_per_minute)
        if own.tokens_per_minute is None and told.tokens_per_minute is not None:
            own = replace(own, tokens_per_minute=told.tokens_per_minute)
        self._known = own

    def snapshot(self) -> dict[str, float]:
        """The shared numbers as they stand."""
        with self._locked() as state:
            return asdict(state)

    @contextmanager
    def _locked(self) -> Iterator[QuotaState]:
        """The state, brought to the present; what was changed is written back."""
        with self._thread_lock:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                state = _read(self._map)
                pass_time(state, self._clock(), self._known)
                state.token_level += self._returned
                self._returned = 0.0
                limit_debt(state)
                yield state
                self._map[: _LAYOUT.size] = _LAYOUT.pack(_MAGIC, *vars(state).values())
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Write down what is still to be given back, and unmap the file."""
        if self._returned:
            with self._locked():
                pass
        self._map.close()
        os.close(self._file)


class _Seats:
    """Who shares the quota and waits: without turns, who asks most often would get all of it.

    Each seat holds a client's number, whether it waits, the number of requests sent when it last
    got leave, and when it last asked.
    """

    def __init__(self, content: mmap.mmap) -> None:
        self._map, self._me, self._place = content, float(random.getrandbits(48) + 1), 0

    def before_me(self, state: QuotaState) -> int:
        """How many of the others wait and have waited longer since their last leave."""
        seats = self._read()
        patience_s = max(1.0, 2 / state.rate) if math.isfinite(state.rate) else 0.0
        alive = state.at - patience_s
        free = [at for at, seat in enumerate(seats) if seat[3] < alive and seat[0] != self._me]
        mine = [at for at, seat in enumerate(seats) if seat[0] == self._me]
        self._place = (mine or free or [0])[0]
        had = seats[self._place][2] if mine else 0.0
        others = [seat for at, seat in enumerate(seats) if at != self._place]
        return sum(
            who > 0 and waits > 0 and last < had and at >= alive for who, waits, last, at in others
        )

    def sit(self, state: QuotaState, *, is_waiting: bool) -> None:
        """Note that this client asked now, and what came of it."""
        at = _LAYOUT.size + self._place * _SEAT.size
        who, _, last, _ = _SEAT.unpack_from(self._map, at)
        last = last if who == self._me else 0.0
        seat = (self._me, float(is_waiting), last if is_waiting else state.sent + 1, state.at)
        _SEAT.pack_into(self._map, at, *seat)

    def _read(self) -> list[tuple[float, ...]]:
        return list(_SEAT.iter_unpack(self._map[_LAYOUT.size : -LABEL_BYTES]))


def _read(content: mmap.mmap | bytes) -> QuotaState:
    """The stored state; a new one where there is none or it makes no sense."""
    magic, *numbers = _LAYOUT.unpack(content[: _LAYOUT.size])
    state = QuotaState(*numbers)
    return state if magic == _MAGIC and makes_sense(state) else QuotaState()


@dataclass(frozen=True)
class QuotaSeen:
    """A quota as it stands.

    Args:
        label: host and model.
        requests_per_minute, tokens_per_minute: the pace; None where nothing limits it yet.
        is_guess: whether the pace of requests is still searched for.
        sent, refused: requests, and how many of them were answered 429, over all time.
        closed_s: seconds for which nobody sends, as the server asked.
    """

    label: str
    requests_per_minute: float | None
    tokens_per_minute: float | None
    is_guess: bool
    sent: int
    refused: int
    closed_s: float


def read_quotas(state_dir: Path) -> list[QuotaSeen]:
    """The quotas of a state folder that still count, by label; changes nothing.

    Those of ended offline servers, each of which had a port of its own, are among the stale ones.
    """
    found = []
    for path in (state_dir / QUOTA_FOLDER).glob("*.bin"):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            content = file.read()
        if len(content) == _SIZE and content.startswith(_MAGIC):  # not another program's
            state = _read(content)
            if time.time() - state.at < STALE_S:
                found.append(_seen(state, content[-LABEL_BYTES:].rstrip(b"\0")))
    return sorted(found, key=lambda item: item.label)


def _seen(state: QuotaState, label: bytes) -> QuotaSeen:
    shown = label.decode("utf-8", "replace")
    return QuotaSeen(
        "".join(letter if letter.isprintable() else "?" for letter in shown),
        60 * state.rate if math.isfinite(state.rate) else None,
        60 * state.token_rate if math.isfinite(state.token_rate) else None,
        math.isfinite(state.rate) and not state.measured,
        int(state.sent),
        int(state.refused),
        max(0.0, state.closed_until - time.time()),
    )

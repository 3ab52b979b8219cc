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
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path

from infra.fingerprint import fingerprint

QUOTA_FOLDER = "llm-quota"
BURST_S = 1.0
"""Seconds of quota that may be sent at once: the burst that servers commonly allow. Our choice."""
SEARCH_GROWTH = 2.0
"""Factor a second by which a rate grows that was only guessed. Our choice (slow start)."""
FIRST_GROWTH, LAST_GROWTH = 0.04, 0.005
"""Share a second by which a rate grows after its first measurement, and after many. Our choice."""
QUIET_S = 20.0
"""Seconds without a cut after which growth doubles, again and again. Our choice."""
MOST_DOUBLINGS = 6.0
LONG_WAIT_S = 10.0
"""A Retry-After to this length holds back the refused request alone once the rate was measured:
servers round it up to whole seconds, in which a full bucket would run over. Our choice."""
CUT = 0.5
"""A window that admitted next to nothing halves the rate (AIMD's usual decrease)."""
QUIET_SHARE = 0.3
"""A window with a longer part free of refusals may have seen the server's bucket run over."""
APART, OVERSHOOT = 1.25, 4.0
"""How far the rate that met a refusal must be above the window's mean to say so, and the most by
which it is believed to be. Our choice."""
SHORTEST_WINDOW_S = (0.5, 2.0)
"""Seconds between two refusals that make a measurement: of a guessed rate, of a measured one."""
FEWEST_ADMITTED, ENOUGH_S = 8, 4.0
"""Fewer requests admitted in between are too few to measure by, but after ENOUGH_S."""
TOLERATED = 0.04
"""Share of refusals, above those that no pace would spare, at which a rate is not cut: servers also
refuse for other reasons than a quota. Our choice, below the 5 % that we want at most."""
LOSS_MEMORY = 0.2
"""Weight of the newest window where fewer were refused than no pace would spare; our choice."""
FIRST_GUESS_PER_S = 10.0
SLOWEST_PER_S = 1 / 60
_STALE_S = 3600.0  # our choice: after an hour's silence the rate is searched anew
_ROUNDING = 1e-4  # seconds since the epoch have no more digits for the refill
_SHORTEST_WAIT_S = 1e-3  # below this a clock in seconds since the epoch may not move at all


@dataclass(frozen=True)
class KnownLimits:
    """What is known of an endpoint's limits; None is to be found out."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass(frozen=True)
class Leave:
    """Leave to send one request now: its number, and the tokens reserved for it."""

    number: float
    sent_at: float
    tokens: float


@dataclass
class QuotaState:
    """The shared numbers; times are seconds since the epoch, rates per second.

    Args:
        rate: requests; infinite as long as nothing was ever refused.
        measured: how many times in a row the rate was measured; 0 while it is guessed.
        level, token_level: what may be sent at once; tokens may be owed (below zero).
        token_rate: tokens; infinite when unknown.
        closed_until: nobody sends before.
        sent, refused: totals; a request's number is the total when it was sent.
        empty_at, empty_number: of the request whose refusal last told that the bucket was empty.
        missed: requests refused since then.
        idle_s: seconds since then in which the quota ran over, because nobody asked or might ask.
        missed_at, gap_s: when the last request was sent that was refused, and the longest time
            between two such since ``empty_at``.
        cut_at: when the rate was last lowered, or measured.
        cut_share, cut_admitted_per_s: refused share and admitted requests of the last whole window.
        was_cut: 1 where that window ended in a cut to what it admitted.
        loss: share of refusals that no pace spares.
        last_start_at, last_start_number: where the window before that one began. ``last_admitted``,
            ``last_missed``, ``last_idle_s`` and ``last_gap_s`` are of it, ``last_rate`` is the rate
            that it ended with.
    """

    rate: float = math.inf
    measured: float = 0.0
    level: float = math.inf
    token_rate: float = math.inf
    token_level: float = math.inf
    at: float = 0.0
    closed_until: float = 0.0
    sent: float = 0.0
    refused: float = 0.0
    empty_at: float = 0.0
    empty_number: float = 0.0
    missed: float = 0.0
    idle_s: float = 0.0
    missed_at: float = 0.0
    gap_s: float = 0.0
    last_start_at: float = 0.0
    last_start_number: float = 0.0
    last_admitted: float = 0.0
    last_idle_s: float = 0.0
    last_gap_s: float = 0.0
    last_rate: float = math.inf
    last_missed: float = 0.0
    cut_at: float = 0.0
    cut_share: float = 0.0
    cut_admitted_per_s: float = 0.0
    was_cut: float = 0.0
    loss: float = 0.0


_LAYOUT = struct.Struct(f"<8s{len(fields(QuotaState))}d")
_MAGIC = b"cxrquot1"


class Quota:
    """One endpoint's quota in a state folder; safe for threads and processes.

    Args:
        name: of endpoint and model; each pair has a file of its own.
    """

    def __init__(
        self,
        state_dir: Path,
        name: str,
        known: KnownLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = state_dir / QUOTA_FOLDER / f"{fingerprint(name)}.bin"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._known, self._clock = known or KnownLimits(), clock
        self._thread_lock = threading.Lock()
        self._file = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)
        os.ftruncate(self._file, _LAYOUT.size)
        self._map = mmap.mmap(self._file, _LAYOUT.size)

    def take(self, tokens: float) -> Leave | float:
        """Leave for one request of about that many tokens, or seconds until to ask again."""
        with self._locked() as state:
            now = state.at
            if state.closed_until > now:
                return max(state.closed_until - now, _SHORTEST_WAIT_S)
            wait_s = max(_request_wait_s(state), _token_wait_s(state, tokens))
            if wait_s > 0:
                return max(wait_s, _SHORTEST_WAIT_S)
            state.level -= 1
            state.token_level -= tokens
            state.sent += 1
            return Leave(state.sent, now, tokens)

    def settle(self, leave: Leave, used: float) -> None:
        """A request ended: it took that many tokens, none where it was never served."""
        with self._locked() as state:
            state.token_level += leave.tokens - used

    def refuse(self, leave: Leave, retry_after_s: float | None) -> None:
        """A request was answered 429."""
        with self._locked() as state:
            state.token_level += leave.tokens
            state.refused += 1
            _learn(state, leave)
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
                _pass_time(state, self._clock(), self._known)
                yield state
                self._map[:] = _LAYOUT.pack(_MAGIC, *astuple(state))
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()
        os.close(self._file)


def _read(content: mmap.mmap) -> QuotaState:
    """The stored state; a new one where there is none or it makes no sense."""
    magic, *numbers = _LAYOUT.unpack(content[:])
    if magic != _MAGIC or any(math.isnan(number) for number in numbers):
        return QuotaState()
    return QuotaState(*numbers)


def _pass_time(state: QuotaState, now: float, known: KnownLimits) -> None:
    """Let the time since the last look pass; a clock set back or a long pause starts anew."""
    passed = now - state.at
    if not 0 <= passed <= _STALE_S:
        totals = {"sent": state.sent, "refused": state.refused}
        new = QuotaState(**totals, at=now, empty_at=now, empty_number=state.sent)
        vars(state).update(vars(new))
        passed = 0.0
    open_s = max(0.0, min(passed, now - state.closed_until))
    state.idle_s += passed - open_s
    state.at = now
    _set_rates(state, known, open_s)
    state.level, full_s = _fill(state.level, state.rate, open_s)
    state.idle_s += full_s
    state.token_level, _ = _fill(state.token_level, state.token_rate, open_s)


def _set_rates(state: QuotaState, known: KnownLimits, open_s: float) -> None:
    if math.isfinite(state.rate):
        state.rate *= _growth(state, open_s)
    if known.requests_per_minute is not None:
        most = known.requests_per_minute / 60
        if math.isinf(state.rate):
            state.measured = 1.0
        state.rate = min(state.rate, most)
    state.token_rate = math.inf
    if known.tokens_per_minute is not None:
        state.token_rate = known.tokens_per_minute / 60


def _growth(state: QuotaState, open_s: float) -> float:
    if not state.measured:
        return float(SEARCH_GROWTH**open_s)
    quiet = max(0.0, state.at - state.cut_at) / QUIET_S
    share = max(LAST_GROWTH, FIRST_GROWTH / state.measured) * 2 ** min(quiet, MOST_DOUBLINGS)
    return math.exp(share * open_s)


def _fill(level: float, rate: float, passed: float) -> tuple[float, float]:
    """The level of a bucket after ``passed`` seconds, and for how many of them it was full."""
    if math.isinf(rate):
        return math.inf, 0.0
    most = max(1.0, BURST_S * rate)
    if math.isinf(level):  # nothing was known until now
        return most, 0.0
    filled = level + passed * rate
    return min(most, filled), min(passed, max(0.0, filled - most) / rate)


def _request_wait_s(state: QuotaState) -> float:
    return 0.0 if state.level >= 1 - _ROUNDING else (1 - state.level) / state.rate


def _token_wait_s(state: QuotaState, tokens: float) -> float:
    """A request larger than the bucket needs a full one, and leaves a debt."""
    if math.isinf(state.token_rate):
        return 0.0
    needed = min(tokens, BURST_S * state.token_rate)
    return max(0.0, needed - state.token_level - _ROUNDING) / state.token_rate


def _learn(state: QuotaState, leave: Leave) -> None:
    """What a refusal tells of the server's bucket: it was empty when this request was sent."""
    if leave.number <= state.empty_number:
        if leave.number > state.last_start_number:  # slower than the refusal that ended its window
            state.last_admitted -= 1
            state.last_missed += 1
            if state.was_cut:
                _measure(state)
        return
    state.level = min(state.level, 0.0)
    state.missed += 1
    state.gap_s = max(state.gap_s, leave.sent_at - state.missed_at)
    state.missed_at = leave.sent_at
    window_s = leave.sent_at - state.empty_at
    admitted = leave.number - state.empty_number - state.missed
    if math.isinf(state.rate):
        state.rate = max(state.sent, FIRST_GUESS_PER_S)  # too high, and soon measured
        _start_window(state, leave)
        return
    few = admitted < FEWEST_ADMITTED and window_s < ENOUGH_S
    if few or window_s < SHORTEST_WINDOW_S[state.measured > 0]:
        return
    state.last_start_at, state.last_start_number = state.empty_at, state.empty_number
    state.last_admitted, state.last_rate = admitted, state.rate
    state.last_missed = state.missed
    state.last_idle_s, state.last_gap_s = state.idle_s, state.gap_s
    _start_window(state, leave)
    if not _is_lost_anyway(state):
        state.measured, state.cut_at = _measure(state), state.at


def _is_lost_anyway(state: QuotaState) -> bool:
    """Whether the window's refusals are few, or about as many as no pace would spare.

    A cut leaves what a bucket admits as it was; where it admitted less too, the refusals have
    another reason and their share is the least to be had.
    """
    asked = state.last_missed + max(0.0, state.last_admitted)
    share = state.last_missed / asked
    admitted_per_s = max(0.0, state.last_admitted) / max(_ROUNDING, _last_window_s(state))
    if state.was_cut:
        in_vain = admitted_per_s < state.cut_admitted_per_s * (1 - state.cut_share / 2)
        state.loss = share if in_vain else 0.0
    elif share < state.loss:
        state.loss += LOSS_MEMORY * (share - state.loss)
    state.was_cut, state.cut_share, state.cut_admitted_per_s = 0.0, share, admitted_per_s
    by_chance = 2 * math.sqrt(state.loss * (1 - state.loss) / asked)
    return state.measured > 0 and share <= state.loss + by_chance + TOLERATED


def _last_window_s(state: QuotaState) -> float:
    return state.empty_at - state.last_start_at - state.last_idle_s


def _start_window(state: QuotaState, leave: Leave) -> None:
    state.empty_at, state.empty_number = leave.sent_at, leave.number
    state.missed_at = leave.sent_at
    state.missed = state.idle_s = state.gap_s = 0.0


def _measure(state: QuotaState) -> float:
    """Set the rate by the last whole window; returns how often it was measured in a row, now.

    While nothing was refused for long, the server's bucket may have run over: then the mean is a
    lower bound, the rate that met the refusal an upper one, and the truth lies in between.
    """
    window_s = _last_window_s(state)
    if window_s <= 0:
        return state.measured
    mean = max(SLOWEST_PER_S, state.last_admitted / window_s)
    if state.last_admitted < FEWEST_ADMITTED:
        state.rate = min(max(mean, state.last_rate * CUT), OVERSHOOT * mean)
        return 0.0
    upper = min(state.last_rate, OVERSHOOT * mean)
    ran_over = upper > APART * mean and state.last_gap_s > QUIET_SHARE * window_s
    state.rate = math.sqrt(mean * upper) if ran_over else mean
    state.was_cut = 0.0 if ran_over else 1.0
    return state.measured + 1

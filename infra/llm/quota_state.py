"""The mirror of a server's token bucket: how it fills, and what a refusal tells of its rate.

All is arithmetic on ``QuotaState``; the clock and the shared file are ``infra.llm.quota``'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BURST_S = 1.0
"""Seconds of quota that may be sent at once: the burst that servers commonly allow. Our choice."""
SEARCH_GROWTH = 2.0
"""Factor a second by which a rate grows that was only guessed. Our choice (slow start)."""
FIRST_GROWTH, LAST_GROWTH = 0.04, 0.005
"""Share a second by which a rate grows after its first measurement, and after many. Our choice."""
QUIET_S = 20.0
"""Seconds without a cut after which growth doubles, again and again. Our choice."""
MOST_DOUBLINGS = 6.0
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
LONGEST_DEBT_S = 60.0
"""Limits are told per minute."""
_MOST_COUNTED = 2.0**53  # doubles count one by one up to here
_MOST_OWED = 1e6  # requests; far below any debt that a refusal can leave
STALE_S = 3600.0  # our choice: after an hour's silence the rate is searched anew
_ROUNDING = 1e-4  # seconds since the epoch have no more digits for the refill


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
        was_set: 1 where that window ended in a new rate; was_cut: 1 where that was a cut of a
            measured rate to what the window admitted.
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
    was_set: float = 0.0
    loss: float = 0.0


def makes_sense(state: QuotaState) -> bool:
    """Whether a stored state can be one of ours: a damaged one might keep all waiting for ever."""
    numbers = vars(state)
    free = ("rate", "level", "token_rate", "token_level", "last_rate")  # infinite: no limit is met
    if any(math.isnan(number) or number == -math.inf for number in numbers.values()):
        return False
    if not all(math.isfinite(number) for name, number in numbers.items() if name not in free):
        return False
    counts = (state.sent, state.refused, state.measured, state.missed, state.empty_number)
    return (
        all(0 <= count < _MOST_COUNTED for count in counts)
        and min(state.rate, state.last_rate) >= SLOWEST_PER_S / OVERSHOOT
        and state.token_rate > 0
        and state.level >= -_MOST_OWED
        and state.closed_until <= state.at + STALE_S
    )


def limit_debt(state: QuotaState) -> None:
    """Owe no more tokens than a minute brings: no server with that limit served more at once, and
    one that counts wildly would stop all for days."""
    state.token_level = max(state.token_level, -LONGEST_DEBT_S * state.token_rate)


def pass_time(state: QuotaState, now: float, known: KnownLimits) -> None:
    """Let the time since the last look pass; a clock set back or a long pause starts anew."""
    passed = now - state.at
    if not 0 <= passed <= STALE_S:
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


def request_wait_s(state: QuotaState, needed: float) -> float:
    return 0.0 if state.level >= needed - _ROUNDING else (needed - state.level) / state.rate


def token_wait_s(state: QuotaState, tokens: float) -> float:
    """A request larger than the bucket needs a full one, and leaves a debt."""
    if math.isinf(state.token_rate):
        return 0.0
    needed = min(tokens, BURST_S * state.token_rate)
    return max(0.0, needed - state.token_level - _ROUNDING) / state.token_rate


def learn_from(state: QuotaState, leave: Leave) -> None:
    """What a refusal tells of the server's bucket: it was empty when this request was sent."""
    if leave.number <= state.empty_number:
        if leave.number > state.last_start_number:  # slower than the refusal that ended its window
            state.last_admitted -= 1
            state.last_missed += 1
            state.cut_share, state.cut_admitted_per_s = _shares(state)
            if state.was_set:
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
    share, admitted_per_s = _shares(state)
    if state.was_cut:
        in_vain = admitted_per_s < state.cut_admitted_per_s * (1 - state.cut_share / 2)
        state.loss = share if in_vain else 0.0
    elif share < state.loss:
        state.loss += LOSS_MEMORY * (share - state.loss)
    state.was_cut = state.was_set = 0.0
    state.cut_share, state.cut_admitted_per_s = share, admitted_per_s
    asked = state.last_missed + max(0.0, state.last_admitted)
    by_chance = 2 * math.sqrt(state.loss * (1 - state.loss) / asked)
    return state.measured > 0 and share <= state.loss + by_chance + TOLERATED


def _shares(state: QuotaState) -> tuple[float, float]:
    """The share of the last whole window that was refused, and what it admitted a second."""
    admitted = max(0.0, state.last_admitted)
    share = state.last_missed / (state.last_missed + admitted)
    return share, admitted / max(_ROUNDING, _last_window_s(state))


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
    state.was_set, state.was_cut = 1.0, float(state.measured >= 1 and not ran_over)
    return state.measured + 1

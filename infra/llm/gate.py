"""Who may send next: slots, quotas, and turns between the sources that wait.

One gate serves all threads of a client, on its event loop. Each source and model has a line of its
own and the lines take turns, so that a small source is not kept behind a large one; a line whose
model has no quota left does not hold up the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from infra.llm.quota import Leave, Quota

Line = tuple[str, str]


@dataclass(frozen=True)
class Pass:
    """Leave to send one request; give it back to the gate with what it took."""

    model: str
    leave: Leave


@dataclass(frozen=True)
class _Waiting:
    tokens: float
    turn: asyncio.Future[Pass]


class Gate:
    """Admits requests in turn.

    Args:
        slots: requests in flight at once.
        quota_of: the quota of a model; asked once a model.
    """

    def __init__(self, slots: int, quota_of: Callable[[str], Quota]) -> None:
        self._free, self._quota_of = slots, quota_of
        self._quotas: dict[str, Quota] = {}
        self._lines: dict[Line, deque[_Waiting]] = {}
        self._turns: deque[Line] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def quota(self, model: str) -> Quota:
        """The quota that requests to this model share."""
        if model not in self._quotas:
            self._quotas[model] = self._quota_of(model)
        return self._quotas[model]

    async def enter(self, source: str, model: str, tokens: float, *, again: bool = False) -> Pass:
        """Wait for leave to send a request of about that many tokens; ``again`` goes first."""
        line = (source, model)
        if line not in self._lines:
            self._lines[line] = deque()
            self._turns.append(line)
        waiting = _Waiting(tokens, asyncio.get_running_loop().create_future())
        add = self._lines[line].appendleft if again else self._lines[line].append
        add(waiting)
        self._admit()
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.done() and not waiting.turn.cancelled():
                self.served(waiting.turn.result(), 0.0)
            raise

    def served(self, admitted: Pass, tokens: float) -> None:
        """The request ended and took that many tokens, none where it never was served."""
        others = any(model == admitted.model for _, model in self._turns)
        self._quotas[admitted.model].settle(admitted.leave, tokens, at_once=not others)
        self._release()

    def refused(self, admitted: Pass, retry_after_s: float | None) -> None:
        """The request was answered 429."""
        self._quotas[admitted.model].refuse(admitted.leave, retry_after_s)
        self._release()

    def _release(self) -> None:
        self._free += 1
        self._admit()

    def _admit(self) -> None:
        """Let in whoever may go now, and look again when the next one might."""
        wait_s: dict[str, float] = {}
        blocked = 0
        while self._free and self._turns and blocked < len(self._turns):
            line = self._turns[0]
            if self._admit_from(line, wait_s):
                blocked = 0
            else:
                blocked += 1
            if self._lines[line]:
                self._turns.rotate(-1)
            else:
                self._turns.popleft()
                del self._lines[line]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._free and wait_s:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(wait_s.values()), self._admit)

    def _admit_from(self, line: Line, wait_s: dict[str, float]) -> bool:
        """Let one of this line in, unless its model has no quota left."""
        waiting, model = self._lines[line], line[1]
        while waiting and waiting[0].turn.done():  # given up by its task
            waiting.popleft()
        if not waiting or model in wait_s:
            return False
        leave = self.quota(model).take(waiting[0].tokens)
        if not isinstance(leave, Leave):
            wait_s[model] = leave
            return False
        self._free -= 1
        waiting.popleft().turn.set_result(Pass(model, leave))
        return True

    def close(self) -> None:
        """Close the quotas' files."""
        if self._timer is not None:
            self._timer.cancel()
        while self._quotas:
            self._quotas.popitem()[1].close()

"""Who waits for an answer, and which child works at it.

Every ask is here from the moment it is let in to its end. A child that dies leaves its asks behind:
each is asked once more, of the next child, and refused if that dies too; none is forgotten. Answers
do not change from child to child, so that a stream goes on where it was.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from infra.served import Ask, Cancel, Told
from tasks.serve.child import ModelChild

_TRIES = 2  # an ask that two children died of is not tried on a third
_RATE_SECONDS = 30.0  # our choice: what was answered since then says how fast it goes
_LONGEST_WAIT = 60  # seconds that a client may be told to wait: openai's heeds no more


class Full(Exception):
    """No place is free; ``after`` is in how many seconds there may be one."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after


class NotReady(Exception):
    """No child answers now."""


@dataclass(eq=False)
class Place:
    """One ask on its way.

    Attributes:
        child: works at it; None while there is none.
        said: text that has been given to the client.
    """

    ask: Ask
    child: ModelChild | None = None
    tries: int = 0
    said: str = ""
    heard: asyncio.Queue[Told] = field(default_factory=asyncio.Queue)
    begun: float = field(default_factory=time.monotonic)

    async def told(self) -> AsyncIterator[Told]:
        """What the child says, to the last."""
        while True:
            told = await self.heard.get()
            yield told
            if told.is_last:
                return


class Desk:
    """The places of one served model.

    Args:
        waiting: places beyond those in work.

    Attributes:
        child: answers new asks; None where there is none.
        failed: whether the last try to start one failed.
    """

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self.child: ModelChild | None = None
        self.failed = False
        self._places: dict[int, Place] = {}
        self._numbers = itertools.count()
        self._ended: deque[float] = deque()

    @property
    def places(self) -> int:
        """Asks that are here."""
        return len(self._places)

    @property
    def most(self) -> int:
        """Asks that may be here at once."""
        return self.waiting + (self.child.facts.slots if self.child is not None else 1)

    def require_place(self) -> None:
        """For those who have not read what is asked yet.

        Raises:
            Full, NotReady: there is no place, or nobody to ask.
        """
        if self.child is None and self.failed:
            raise NotReady
        if self.places >= self.most:
            raise Full(self.retry_after())

    def retry_after(self) -> int:
        """Whole seconds until those who are here have gone, at the pace of late."""
        now = time.monotonic()
        while self._ended and self._ended[0] < now - _RATE_SECONDS:
            self._ended.popleft()
        if not self._ended:
            return 1
        pace = len(self._ended) / max(now - self._ended[0], 1.0)
        return min(_LONGEST_WAIT, max(1, math.ceil(self.places / pace)))

    @contextmanager
    def place(self, ask: Ask) -> Iterator[Place]:
        """Let an ask in; when the block ends, however it does, its place is free.

        Raises:
            Full, NotReady: as ``require_place``.
        """
        self.require_place()
        number = next(self._numbers)
        place = Place(replace(ask, number=number))
        self._places[number] = place
        self._hand_over(place)
        try:
            yield place
        finally:
            self._free(place)

    def _free(self, place: Place) -> None:
        if self._places.pop(place.ask.number, None) is not None and place.child is not None:
            place.child.send(Cancel(place.ask.number))

    def _hand_over(self, place: Place) -> None:
        place.child = self.child
        if place.child is not None:
            place.tries += 1
            place.child.send(place.ask)

    def use(self, child: ModelChild) -> None:
        """From now on ask this child; asks in work stay with theirs."""
        child.on_told = self._hear
        self.child, self.failed = child, False
        for place in self._places.values():
            if place.child is None:
                self._hand_over(place)

    def lose(self, child: ModelChild) -> int:
        """The child is gone: ask its asks again, once; returns how many."""
        if self.child is child:
            self.child = None
        left = [place for place in self._places.values() if place.child is child]
        for place in left:
            place.child = None
            if place.tries >= _TRIES:
                self._end(place, Told(place.ask.number, "failed", "the model failed twice", "lost"))
            elif self.child is not None:
                self._hand_over(place)
        return len(left)

    def give_up(self) -> None:
        """No child can be started: say so to all who wait for one."""
        self.failed = True
        for place in [each for each in self._places.values() if each.child is None]:
            told = Told(place.ask.number, "failed", "the model cannot be started", "lost")
            self._end(place, told)

    def _hear(self, child: ModelChild, told: Told) -> None:
        place = self._places.get(told.number)
        if place is None or place.child is not child:
            return  # nobody waits for it any more
        if told.is_last:
            self._ended.append(time.monotonic())
            self._end(place, told)
        else:
            place.heard.put_nowait(told)

    def _end(self, place: Place, told: Told) -> None:
        """The last word on an ask: its place is free before the client has read it."""
        del self._places[place.ask.number]
        place.heard.put_nowait(told)

    def asks_of(self, child: ModelChild) -> int:
        """How many a child has in work."""
        return sum(place.child is child for place in self._places.values())

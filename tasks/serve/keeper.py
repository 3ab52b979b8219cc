"""Keeps a model in service: starts its child, another when that dies, and a newer version's when
the alias moves. A version that cannot be loaded changes nothing but what ``trouble`` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from infra.errors import CxrError, InputError
from infra.log import LOGGER
from infra.runs import Device
from infra.tracking_models import ModelShelf, Parts, Reference, Version, parts_of
from tasks.serve.child import ModelChild
from tasks.serve.desk import Desk

_REFUSED_SECONDS = 300.0
"""After which a version that could not be loaded is tried again (our choice: what was in its way, a
full GPU perhaps, may be gone)."""
_LONGEST_PAUSE = 60.0  # seconds between two tries to start a child; our choice
_COULD_NOT = (CxrError, OSError)
"""What keeps a version from being found or a child from being started."""


class Source(Protocol):
    """Where a model comes from; both may take long."""

    def find(self) -> Version: ...
    def parts(self, version: Version, /) -> Parts: ...
    def forget(self, version: Version, /) -> None: ...


@dataclass(frozen=True)
class Registered:
    """A model of the registry, by alias or number."""

    shelf: ModelShelf
    reference: Reference

    def find(self) -> Version:
        return self.shelf.find(self.reference)

    def parts(self, version: Version) -> Parts:
        return parts_of(self.shelf.folder(version))

    def forget(self, version: Version) -> None:
        self.shelf.forget(version)


@dataclass(frozen=True)
class Unregistered:
    """A registered model's folder that was carried here, without its registry."""

    folder: Path

    def find(self) -> Version:
        return Version(self.folder.resolve().name, "folder")

    def parts(self, _: Version) -> Parts:
        return parts_of(self.folder)

    def forget(self, _: Version) -> None:
        """It is not ours."""


@dataclass(frozen=True)
class Hands:
    """How children work.

    Args:
        draws: whether the model must be one that draws.
        slots, openings, device: as ``infra.runs.ServeRun`` takes them.
    """

    draws: bool = False
    slots: int = 16
    openings: int = 4
    device: Device = "auto"


@dataclass(frozen=True)
class Trouble:
    """A version that could not be loaded; or, without one, a registry that does not answer."""

    version: str
    reason: str


class Keeper:
    """One model in service.

    Attributes:
        version: what new asks get.
        loading: the version that is being loaded beside it.
        swaps, restarts, failures: counts since the start.
    """

    def __init__(self, source: Source, desk: Desk, hands: Hands) -> None:
        self.source, self.desk, self.hands = source, desk, hands
        self.version: Version | None = None
        self.loading: Version | None = None
        self.trouble: Trouble | None = None
        self.swaps = self.restarts = self.failures = 0
        self._refused: tuple[Version, float] | None = None
        self._starts = asyncio.Lock()
        self._children: set[ModelChild] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """The first child.

        Raises:
            CxrError: there is no such model, or it cannot be loaded.
        """
        found = await asyncio.to_thread(self.source.find)
        async with self._starts:
            child = await self._start(found)
            self._use(found, child)

    async def watch(self, seconds: float) -> None:
        """Look at the alias for ever."""
        while True:
            await asyncio.sleep(seconds)
            await self.look()

    async def look(self, *, again: bool = False) -> None:
        """Follow the alias, if it has moved.

        Args:
            again: also to a version that could not be loaded a while ago.
        """
        try:
            found = await asyncio.to_thread(self.source.find)
        except _COULD_NOT as error:
            self._note(Trouble("", str(error)))
            return
        if found == self.version:
            self.trouble = self._refused = None
            return
        refused = self._refused
        if refused is None or refused[0] != found or again or refused[1] < time.monotonic():
            await self._swap(found)

    async def _swap(self, found: Version) -> None:
        async with self._starts:
            if found == self.version:  # somebody who looked at the same time was first
                return
            self.loading = found
            try:
                child = await self._start(found)
            except _COULD_NOT as error:
                self.failures += 1
                self._refused = (found, time.monotonic() + _REFUSED_SECONDS)
                self._note(Trouble(found.number, str(error)))
                return
            finally:
                self.loading = None
            old, before = self.desk.child, self.version
            self._use(found, child)
            self.swaps += 1
            LOGGER.warning("%s answers now", found)
        if old is not None and before is not None:
            self._spawn(self._retire(old, before))

    def _note(self, trouble: Trouble) -> None:
        """Say it once."""
        if trouble != self.trouble:
            LOGGER.error("%s stays: %s", self.version, trouble.reason)
        self.trouble = trouble

    async def _start(self, version: Version) -> ModelChild:
        parts = await asyncio.to_thread(self.source.parts, version)
        if parts.draws != self.hands.draws:
            kinds = ("a model that writes", "a model that draws")
            found, expected = kinds[parts.draws], kinds[self.hands.draws]
            raise InputError(f"{found} in {version}", expected, "name another model")
        hands = self.hands
        child = await ModelChild.start(version, parts, hands.slots, hands.openings, hands.device)
        self._children.add(child)
        return child

    def _use(self, version: Version, child: ModelChild) -> None:
        self.version, self.trouble, self._refused = version, None, None
        self.desk.use(child)
        self._spawn(self._mind(child))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _retire(self, old: ModelChild, version: Version) -> None:
        """Let the old child finish what it was asked, then end it."""
        while self.desk.asks_of(old) and not old.is_over.is_set():
            await asyncio.sleep(0.05)
        if old in self._children and not self.desk.asks_of(old):
            self._children.discard(old)
            await old.stop()
        if version != self.version:
            await asyncio.to_thread(self.source.forget, version)

    async def _mind(self, child: ModelChild) -> None:
        """When the child dies, ask what it was asked again, of another."""
        await child.is_over.wait()
        if child not in self._children:
            return
        self._children.discard(child)
        asked = self.desk.lose(child)
        await child.stop()
        LOGGER.error("the child of %s %s with %d asks", child.version, child.how_it_ended, asked)
        if self.desk.child is None:
            await self._revive()

    async def _revive(self) -> None:
        pause = 1.0
        while self.desk.child is None:
            async with self._starts:
                if self.desk.child is None and await self._started_again():
                    return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    async def _started_again(self) -> bool:
        assert self.version is not None, "only what was open is revived"
        try:
            child = await self._start(self.version)
        except _COULD_NOT as error:
            self.desk.give_up()
            self._note(Trouble(self.version.number, str(error)))
            return False
        self.restarts += 1
        self._use(self.version, child)
        return True

    async def close(self) -> None:
        """End all children."""
        tasks, children = list(self._tasks), list(self._children)
        self._children.clear()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.desk.child = None
        for child in children:
            await child.stop()

"""``python -m models.serve run.json``: one registered model behind a socket.

Frames of ``infra.served`` come in and go out; the first that goes out holds the model's facts, once
it has answered something. Threads read films and words, and one works at all asks together, step by
step. The end of the socket ends the process. Exit codes: 0 done, 2 bad input, 1 failed.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

from infra.child import run_child
from infra.errors import InputError
from infra.log import LOGGER
from infra.runs import ServeRun
from infra.served import Ask, Busy, Cancel, Facts, Line, Told
from models.serve_refusal import Refusal

_READERS = 2
"""Threads that read films (our choice): a large one does not hold up the small one behind it."""
_BUSY_SECONDS = 0.5  # our choice: a dashboard needs no more


class Work(Protocol):
    """What a served model does: see ``models.serve_answers`` and ``models.serve_drawings``."""

    def facts(self) -> Facts: ...
    def warm_up(self) -> None: ...
    def prepare(self, ask: Ask) -> Any: ...
    def add(self, prepared: Any) -> None: ...
    def drop(self, number: int) -> None: ...
    def step(self) -> Iterable[Told]: ...
    def busy(self) -> Busy: ...
    @property
    def is_busy(self) -> bool: ...


class Service:
    """The threads around one model."""

    def __init__(self, work: Work, line: Line) -> None:
        self.work, self.line = work, line
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(_READERS, "reads films")
        self._cancelled: set[int] = set()
        self._preparing: set[int] = set()
        self._said = 0.0

    def run(self) -> None:
        """Until the other end is gone, which ends the process."""
        self.work.warm_up()
        self.line.say(self.work.facts())
        threading.Thread(target=self._listen, name="listens", daemon=True).start()
        while True:
            self._take_in()
            for told in self.work.step() if self.work.is_busy else ():
                self.line.say(told)
            self._say_how_busy()

    def _listen(self) -> None:
        while (message := self.line.hear()) is not None:
            self._inbox.put(message)
        os._exit(0)  # whoever asked is gone, and nothing here outlives an answer

    def _take_in(self) -> None:
        """All that has come; with nothing to do, wait for it."""
        while True:
            try:
                message = self._inbox.get(block=not self.work.is_busy)
            except queue.Empty:
                return
            if isinstance(message, Ask):
                self._preparing.add(message.number)
                future = self._readers.submit(self.work.prepare, message)
                future.add_done_callback(partial(self._read, message.number))
            elif isinstance(message, Cancel):
                self._cancel(message.number)
            else:
                self._enter(*message)

    def _read(self, number: int, future: Future[Any]) -> None:
        self._inbox.put((number, future))

    def _cancel(self, number: int) -> None:
        if number in self._preparing:
            self._cancelled.add(number)
        else:
            self.work.drop(number)

    def _enter(self, number: int, future: Future[Any]) -> None:
        """Take in what was read, or say why it cannot be."""
        self._preparing.discard(number)
        if number in self._cancelled:
            self._cancelled.discard(number)
            return
        error = future.exception()
        if error is None:
            try:
                self.work.add(future.result())
            except InputError as refusal:
                error = refusal
        if error is not None:
            self.line.say(_said_of(number, error))

    def _say_how_busy(self) -> None:
        now = time.monotonic()
        if now - self._said > _BUSY_SECONDS or not self.work.is_busy:
            self._said = now
            self.line.say(self.work.busy())


def _said_of(number: int, error: BaseException) -> Told:
    """Of a defect only the kind is told: its words may be somebody's."""
    if isinstance(error, InputError):
        code = error.code if isinstance(error, Refusal) else "invalid"
        return Told(number, "refused", str(error), code)
    LOGGER.error("request %d cannot be read: %s", number, type(error).__name__)
    return Told(number, "failed", f"the request cannot be read ({type(error).__name__})", "defect")


def serve(run: ServeRun) -> int:
    """Load the model and serve it; returns the exit code."""
    Service(_work_of(run), Line(socket.socket(fileno=run.socket))).run()
    return 0


def _work_of(run: ServeRun) -> Work:
    """Each kind imports what it alone needs: diffusers takes a second."""
    if run.draws:
        from models.serve_drawings import Drawing

        return Drawing.load(run.model, run.settings, run.device)
    from models.serve_answers import Answering

    return Answering.load(run.model, run.settings, run.slots, run.openings, run.device)


if __name__ == "__main__":
    sys.exit(run_child(ServeRun, serve))

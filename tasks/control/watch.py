"""While a run goes on: whether somebody wants it cancelled or paused, and what then becomes of it.

A thread asks Prefect's server for the run's state and looks for a request file. When it finds one
it sends SIGTERM to its own process, which Prefect turns into ``TerminationSignal`` in the main
thread, wherever that is: a trainer is asked to save and leave on the way out, and the outermost
flow makes of the signal what was asked for. A worker does the same to the runs that it has started
when they are cancelled; so there the thread leaves it the first word.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Abort, ObjectNotFound, Pause
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Suspended

from infra.errors import Stopped
from infra.log import LOGGER
from infra.stopping import GRACE_SECONDS
from infra.temporary_server import SERVER
from tasks.control.requests import forget_request, is_asked_to_cancel

Deed = Literal["cancel", "pause"]
PAUSING: Final = "Pausing"
"""The name of a running run's state while it is asked to pause. Prefect's own ``Suspended`` takes
its slot away at once, and a run that cannot renew its slot is ended as crashed."""
LOOK_SECONDS: Final = 1.0
ASK_SECONDS: Final = 5.0
"""How often the file is looked for, and the server asked. Our choice: a request a run every five
seconds is little beside its heartbeats' and its logs'."""
WORKERS_SECONDS: Final = 20.0
"""Our choice: a living worker has sent its signal by then; a dead one never will."""
LAST_SECONDS: Final = GRACE_SECONDS + 30
"""From the request until this process is killed, whatever it is at. Our choice: a trainer's grace,
and its end."""
SUSPENDED_DAYS: Final = 30
"""Our choice: what nobody has resumed by then counts as failed."""


@dataclass
class RunWatch:
    """What is asked of one run of this process.

    Args:
        run: the outermost flow's run.
        state: the state folder, where a request may come to lie.
        own_server: whether its server ends with this process, so that nobody can ask that one.
    """

    run: FlowRun
    state: Path
    own_server: bool
    asked: Deed | None = None
    _ended: threading.Event = field(default_factory=threading.Event)
    _cancelling_since: float | None = None

    def follow(self) -> None:
        """Look until the run has ended or something is asked; then see to it that it ends."""
        next_question = time.monotonic() + ASK_SECONDS
        while self.asked is None and not self._ended.wait(LOOK_SECONDS):
            if is_asked_to_cancel(self.state, str(self.run.id)):
                self.asked = "cancel"
            elif not self.own_server and time.monotonic() >= next_question:
                self.asked = self._asked_of_server()
                next_question = time.monotonic() + ASK_SECONDS
        if self.asked is None or self._ended.is_set():
            return
        LOGGER.warning("asked to %s: stopping after a checkpoint", self.asked)
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            os.kill(os.getpid(), signal.SIGTERM)
        if not self._ended.wait(LAST_SECONDS):
            LOGGER.error("not stopped after %.0f s: killed", LAST_SECONDS)
            self.tell_server()
            os.kill(os.getpid(), signal.SIGKILL)

    def _asked_of_server(self) -> Deed | None:
        try:
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(self.run.id).state
        except (httpx.HTTPError, ObjectNotFound) as error:
            LOGGER.debug("Prefect's server does not tell: %s", type(error).__name__)
            return None
        if state is None:
            return None
        if state.type is StateType.PAUSED or state.name == PAUSING:
            return "pause"
        if state.type is not StateType.CANCELLING:
            return None
        now = time.monotonic()
        self._cancelling_since = self._cancelling_since or now
        patience = WORKERS_SECONDS if self.run.deployment_id is not None else 0.0
        return "cancel" if now - self._cancelling_since >= patience else None

    def tell_server(self) -> State[Any]:
        """Bring the run into the state that was asked for; that state.

        ``Suspended`` frees what the run holds and is scheduled anew when it is resumed; a plain
        ``Paused`` would wait for a process that is no more.
        """
        wanted: State[Any]
        if self.asked == "pause":
            wanted = Suspended(timeout_seconds=SUSPENDED_DAYS * 24 * 3600)
        else:
            wanted = Cancelled(message="Cancelled on request; finished work is kept.")
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(self.run.id).state
            if found is None or (found.type, found.name) != (wanted.type, wanted.name):
                set_state(client, self.run.id, wanted)
                return wanted
            return found

    def end(self) -> None:
        """The run has ended."""
        self._ended.set()


def set_state(client: SyncPrefectClient, run: UUID, state: State[Any]) -> None:
    """Bring a run into a state, whatever it is in."""
    client.set_flow_run_state(run, state, force=True)


_WATCH: list[RunWatch] = []
"""That of this process's outermost run, while it goes on."""


@contextmanager
def heeding_requests(run: FlowRun | None, state: Path) -> Iterator[None]:
    """Within the block, a flow's, the run can be cancelled and paused.

    Args:
        run: of the flow; None where it is called as a plain function.
        state: the state folder.

    Raises:
        Pause, Abort: somebody has asked for it, and Prefect's server has been told.
    """
    if run is None:
        yield
    elif _WATCH:
        with _within(_WATCH[0], run):
            yield
    else:
        url = PREFECT_API_URL.value()
        with _outermost(RunWatch(run, state, url is None or SERVER.serves(url))):
            yield


@contextmanager
def _outermost(watch: RunWatch) -> Iterator[None]:
    # the server's address is a setting of the context, which threads do not inherit
    follow = partial(copy_context().run, watch.follow)
    thread = threading.Thread(target=follow, name="requests", daemon=True)
    _WATCH.append(watch)
    thread.start()
    is_whole = False
    try:
        yield
        is_whole = True
    finally:
        # Whatever it has met on its way out, it was asked to end. A signal that nobody here asked
        # for, a worker's or a person's, stays what Prefect makes of it.
        try:
            if watch.asked is not None and not is_whole:
                _conclude(watch)
        finally:
            watch.end()
            thread.join()
            _WATCH.remove(watch)
            forget_request(watch.state, str(watch.run.id))


def _conclude(watch: RunWatch) -> None:
    found = watch.tell_server()
    if watch.asked == "pause":
        raise Pause(state=found) from None
    raise Abort("cancelled on request") from None


@contextmanager
def _within(watch: RunWatch, run: FlowRun) -> Iterator[None]:
    """A flow inside the outermost one: it is cancelled with it, and made anew if that goes on."""
    is_whole = False
    try:
        yield
        is_whole = True
    finally:
        if watch.asked is not None and not is_whole:
            with get_client(sync_client=True) as client:
                set_state(client, run.id, Cancelled(message="Stopped with the run around it."))
            raise Abort("stopped with the run that it is part of") from None


@contextmanager
def told_of_request() -> Iterator[None]:
    """Around a flow that a command runs: an end on request is one line.

    Raises:
        Stopped: in place of Prefect's signals.
    """
    try:
        yield
    except (Abort, Pause):
        raise Stopped(
            "stopped on request; what is finished is kept, and the same command goes on from there"
        ) from None

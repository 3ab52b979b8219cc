"""One child process with one version of a model: started, spoken to over a socket, and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from infra.errors import CxrError
from infra.fingerprint import HOUSE
from infra.launch import child_environment, failure_of, parse_event
from infra.log import LOGGER
from infra.runs import Device, ServeRun, write_run
from infra.served import Ask, Busy, Cancel, Facts, Told, encode, read_frame
from infra.tracking_models import Parts, Version

MODULE = "models.serve"
_GRACE_SECONDS = 10.0  # our choice: a child that nobody asks anything has nothing to finish


class ModelChild:
    """A ready child; ``on_told`` is called with all that it says of asks.

    Attributes:
        version: of the model.
        facts: what the model is.
        busy: how it is doing, as it last said.
    """

    def __init__(self, version: Version, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.version, self._folder, self._process = version, folder, process
        self.facts = Facts(draws=False, device="", slots=1)
        self.busy = Busy()
        self.heard = 0.0
        self.is_over = asyncio.Event()
        self.on_told: Callable[[ModelChild, Told], None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listens: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, version: Version, parts: Parts, slots: int, openings: int, device: Device
    ) -> ModelChild:
        """Start a child and wait until it is warm.

        Raises:
            InputError, ChildFailed: it ended before that; the text is its own.
        """
        folder = Path(tempfile.mkdtemp(prefix="cxrflow-serve-"))
        ours, theirs = socket.socketpair()
        run = ServeRun(
            model=parts.model,
            settings=parts.settings,
            draws=parts.draws,
            socket=theirs.fileno(),
            slots=slots,
            openings=openings,
            device=device,
        )
        write_run(run, folder / "run.json")
        with theirs, (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", MODULE, str(folder / "run.json")),
                stdin=asyncio.subprocess.PIPE,
                stdout=out,
                stderr=err,
                cwd=HOUSE,
                env=child_environment(),
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
            )
        child = cls(version, folder, process)
        try:
            await child._hear_of_model(ours)
        except BaseException:
            await child.stop()
            raise
        return child

    async def _hear_of_model(self, ours: socket.socket) -> None:
        reader, self._writer = await asyncio.open_connection(sock=ours)
        first = await read_frame(reader)
        if not isinstance(first, Facts):
            raise self._failure(await self._process.wait())
        self.facts = first
        self._listens = asyncio.create_task(self._listen(reader))

    def _failure(self, code: int) -> CxrError:
        """Why it did not start; nobody had asked anything, so that its words are its own."""
        lines = (self._folder / "out").read_text(errors="replace").splitlines()
        events = [event for event in map(parse_event, lines) if event is not None]
        return failure_of(MODULE, code, events, (self._folder / "err").read_text(errors="replace"))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        while (message := await read_frame(reader)) is not None:
            self.heard = loop.time()
            if isinstance(message, Told) and self.on_told is not None:
                self.on_told(self, message)
            elif isinstance(message, Busy):
                self.busy = message
        self.is_over.set()

    def send(self, message: Ask | Cancel) -> None:
        """Hand over; what cannot arrive any more comes back by ``is_over``."""
        if self._writer is not None and not self.is_over.is_set():
            self._writer.write(encode(message))

    @property
    def how_it_ended(self) -> str:
        """In words that hold nothing of what it was asked."""
        code = self._process.returncode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with {code}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End it at once, as when it has stopped speaking."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """End the process and remove its folder."""
        if self._writer is not None:
            self._writer.close()
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _GRACE_SECONDS)
        except TimeoutError:
            LOGGER.warning("the child of %s does not end by itself", self.version)
            self.kill()
            await self._process.wait()
        if self._listens is not None:
            await self._listens
        shutil.rmtree(self._folder, ignore_errors=True)

"""Starts the stack's processes, watches them, and starts again what dies.

    python -m infra.stack.supervise STACK [COMMAND THAT DEPLOYS …]

It is the one parent of them all, keeps the listening sockets, and ends on SIGTERM with them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from infra.errors import CxrError, InputError
from infra.log import LOGGER, set_up_logging
from infra.orphans import end_marked
from infra.stack.place import LOOPBACK, Place, read_place
from infra.stack.postgres import account_for, data_folder, make_cluster, programs
from infra.stack.probe import is_up
from infra.stack.scraping import write_scraping
from infra.stack.table import FD, Service, table

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 20.0
_STEADY_SECONDS = 60.0
"""Our choice: whoever lived so long is started again at once; who dies sooner, after ever longer
pauses."""
_PROBE_SECONDS = 0.25
_GRACE_SECONDS = 15.0  # our choice: PostgreSQL writes out what a run has left in its memory
_LONGEST_LOG = 16 * 2**20


@dataclass
class Watched:
    """One process as it is now."""

    service: Service
    state: str = "waiting"
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    since: float = field(default_factory=time.time)
    up: asyncio.Event = field(default_factory=asyncio.Event)

    def become(self, state: str) -> None:
        self.state, self.since = state, time.time()
        if state == "up":
            self.up.set()
        else:
            self.up.clear()


class Supervisor:
    """Keeps the processes of one stack up until it is told to stop."""

    def __init__(self, place: Place, services: Sequence[Service]) -> None:
        self._place = place
        self._watched = {service.name: Watched(service) for service in services}
        self._sockets = {one.name: _listen(one) for one in services if one.takes_socket}
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Have ``keep_up`` end; to be called in its event loop."""
        self._stop.set()

    async def keep_up(self) -> None:
        """Until it is told to stop; then stop all, those first that need others."""
        keepers = {
            name: asyncio.create_task(self._keep(one)) for name, one in self._watched.items()
        }
        for keeper in keepers.values():
            keeper.add_done_callback(self._on_end)
        await self._stop.wait()
        for name in reversed(keepers):
            keepers[name].cancel()
            await asyncio.gather(keepers[name], return_exceptions=True)
            await self._end(self._watched[name])
        self._tell()
        for each in self._sockets.values():
            each.close()

    def _on_end(self, keeper: asyncio.Task[None]) -> None:
        """A keeper ends by itself when its work is done; else all stop, and the log says why."""
        if not keeper.cancelled() and keeper.exception() is not None:
            LOGGER.error("the supervisor stops: %s", keeper.exception())
            self._stop.set()

    async def _keep(self, one: Watched) -> None:
        """Start it when what it needs is up, and again whenever it ends."""
        pause = _FIRST_PAUSE
        while True:
            for need in one.service.needs:
                await self._watched[need].up.wait()
            began = time.monotonic()
            code = await self._live(one)
            if one.service.once and code == 0:
                one.become("up")
                self._tell()
                return
            if time.monotonic() - began > _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            LOGGER.warning(
                "%s ended with %d; started again in %.1f s", one.service.name, code, pause
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _live(self, one: Watched) -> int:
        """One life of a process, from its start to its end; the code it ends with."""
        one.process = await self._start(one.service)
        one.starts += 1
        one.become("starting")
        self._tell()
        ended = asyncio.create_task(one.process.wait())
        if not one.service.once:
            probing = asyncio.create_task(_until_up(one.service))
            await asyncio.wait([ended, probing], return_when=asyncio.FIRST_COMPLETED)
            probing.cancel()
            if not ended.done():
                one.become("up")
                self._tell()
        code = await ended
        one.become("down")
        self._tell()
        if not one.service.outlived:
            _kill_group(one.process.pid)
        return code

    async def _start(self, service: Service) -> asyncio.subprocess.Process:
        handed = [self._sockets[service.name]] if service.takes_socket else []
        numbers = [each.fileno() for each in handed]
        command = [str(numbers[0]) if word == FD else word for word in service.command]
        log = self._place.log_file(service.name)
        if log.exists() and log.stat().st_size > _LONGEST_LOG:
            log.replace(log.with_suffix(".old.log"))
        with log.open("ab") as sink:
            return await asyncio.create_subprocess_exec(
                *command,
                env=dict(service.environment),
                cwd=self._place.root,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                pass_fds=numbers,
                start_new_session=True,
            )

    async def _end(self, one: Watched) -> None:
        process = one.process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(one.service.stop)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
        _kill_group(process.pid)
        await process.wait()
        one.become("stopped")
        self._tell()

    def _tell(self) -> None:
        """Write how all are, for those who ask."""
        rows = {
            name: {
                "state": one.state,
                "pid": None if one.process is None else one.process.pid,
                "port": one.service.port,
                "starts": one.starts,
                "since": round(one.since, 1),
            }
            for name, one in self._watched.items()
        }
        partial = self._place.status_file.with_suffix(".partial")
        partial.write_text(json.dumps(rows, indent=1) + "\n")
        partial.replace(self._place.status_file)


def _listen(service: Service) -> socket.socket:
    """The socket of a service; callers wait in its queue while nobody takes them."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    assert service.port is not None
    try:
        listening.bind((LOOPBACK, service.port))
    except OSError:
        listening.close()
        raise InputError(
            f"port {service.port} of {service.name} taken by another program",
            "it free, as it was when the stack was made",
            "end that program, or remove ports.json in the stack's folder for new ports",
        ) from None
    listening.listen(1024)
    return listening


async def _until_up(service: Service) -> None:
    while not await is_up(service):
        await asyncio.sleep(_PROBE_SECONDS)


def _kill_group(leader: int) -> None:
    """End what a dead process left of its session, lest it hold ports or files."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def main() -> None:
    """Supervise the stack until a signal; a second supervisor of the same stack ends at once."""
    set_up_logging()
    place, deploy = read_place(Path(sys.argv[1])), sys.argv[2:]
    lock = FileLock(place.root / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return
    own = psutil.Process()
    told = {"pid": own.pid, "started": own.create_time()}
    place.supervisor_file.write_text(json.dumps(told) + "\n")
    try:
        end_leftovers(place)
        make_cluster(place, account_for([programs() / "postgres", place.root]))
        write_scraping(place)
        services = table(place, deploy)
        asyncio.run(_supervised(place, services))
    except CxrError as error:
        LOGGER.error("%s", error)
        sys.exit(error.exit_code)
    finally:
        end_leftovers(place)
        place.supervisor_file.unlink(missing_ok=True)
        lock.release()


async def _supervised(place: Place, services: Sequence[Service]) -> None:
    supervisor, loop = Supervisor(place, services), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    await supervisor.keep_up()


def end_leftovers(place: Place) -> None:
    """End what an earlier supervisor that was killed has left, and runs whose worker is gone."""
    end_marked(place.mark)
    record = data_folder(place) / "postmaster.pid"
    with suppress(OSError, ValueError, IndexError, psutil.Error):
        server = psutil.Process(int(record.read_text().split()[0]))
        if server.name().startswith("postgres"):
            server.send_signal(signal.SIGINT)
            server.wait(_GRACE_SECONDS)


if __name__ == "__main__":
    main()

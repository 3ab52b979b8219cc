"""Children that begin with their libraries loaded: forked by a process kept for that.

``infra.nursery`` is that process; docs/decisions/0018-warm-starts.md says why. It is started with
the first child, lives as long as this process, and is another one when the environment is.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from infra.fingerprint import HOUSE
from infra.nursery import MESSAGE_BYTES

_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Of NVIDIA's driver, of NVIDIA's below Windows, and of AMD's: libraries may ask a driver for its
devices when they are loaded, and none stands a fork after that. Stages take hours there anyway."""
_OUR_OWN = ("models.", "evaluation.neural")
_GONE = "what forks child processes has ended"
_TITLE_ROOM = " " * 1024  # of the nursery's command line, for a child's own
_READ_LATE = ("CXR_", "MLFLOW_", "PREFECT_", "PYTEST_")
"""Variables that no library reads while it is loaded: a child gets its own."""


class Forked:
    """A child as ``subprocess.Popen`` shows one: its text streams, number and exit code."""

    def __init__(self, pid: int, stdin: IO[str], stdout: IO[str], stderr: IO[str]) -> None:
        self.pid, self.stdin, self.stdout, self.stderr = pid, stdin, stdout, stderr
        self.returncode: int | None = None
        self._over = threading.Event()

    def ended(self, code: int) -> None:
        """It has: negative by that signal."""
        self.returncode = code
        self._over.set()

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not within so many seconds.
        """
        if not self._over.wait(timeout):
            raise subprocess.TimeoutExpired("a forked child", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def __enter__(self) -> Forked:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in (self.stdout, self.stderr, self.stdin):
            with suppress(BrokenPipeError):
                stream.close()
        self.wait()


class Nursery:
    """The process and what it has forked; safe to use from several threads."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "infra.nursery", str(theirs.fileno()), _TITLE_ROOM],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=HOUSE,
                env=self.environment,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
            )
        self._ready: Future[None] = Future()
        self._started: list[Future[int]] = []
        self._children: dict[int, Forked] = {}
        self._unknown: dict[int, int] = {}  # ended before anybody here knew their number
        self._is_retired = self._is_lost = False
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether it can fork no more."""
        return self._process.poll() is not None

    def start(self, module: str, argument: Path, environment: Mapping[str, str]) -> Forked:
        """``python -m module argument`` in the house's folder and that environment.

        Raises:
            OSError: the nursery has ended.
        """
        self._ready.result()
        near = [os.pipe() for _ in range(3)]
        streams = [near[0][0], near[1][1], near[2][1]]
        command = {"module": module, "argument": str(argument), "folder": str(HOUSE)}
        told = os.memfd_create("cxrflow-child")
        _write_all(told, json.dumps({**command, "environment": dict(environment)}).encode())
        started: Future[int] = Future()
        try:
            with self._lock:
                self._require_there()
                self._started.append(started)
                socket.send_fds(self._channel, [b"child"], [told, *streams])
            pid = started.result()
        except BaseException:
            for each in (near[0][1], near[1][0], near[2][0]):
                os.close(each)
            raise
        finally:
            for each in (told, *streams):
                os.close(each)
        child = Forked(
            pid,
            os.fdopen(near[0][1], "w", encoding="utf-8"),
            os.fdopen(near[1][0], encoding="utf-8", errors="replace"),
            os.fdopen(near[2][0], encoding="utf-8", errors="replace"),
        )
        with self._lock:
            self._children[pid] = child
            if pid in self._unknown:
                self._children.pop(pid).ended(self._unknown.pop(pid))
                self._leave_if_done()
            elif self._is_lost:  # meanwhile: nobody would ever tell how this one ends
                self._lose_children()
        return child

    def _require_there(self) -> None:
        if self._is_lost:
            raise OSError(_GONE)

    def _listen(self) -> None:
        while True:
            with suppress(OSError):
                message = self._channel.recv(MESSAGE_BYTES)
                if message:
                    self._hear(json.loads(message))
                    continue
            return self._lose_all()

    def _hear(self, told: Mapping[str, int]) -> None:
        with self._lock:
            if "ready" in told:
                self._ready.set_result(None)
            elif "started" in told:
                self._started.pop(0).set_result(told["started"])
            elif told["ended"] in self._children:
                self._children.pop(told["ended"]).ended(told["code"])
                self._leave_if_done()
            else:
                self._unknown[told["ended"]] = told["code"]

    def _lose_all(self) -> None:
        """The nursery has ended, so that nobody tells any more how a child does: none goes on."""
        with self._lock:
            self._is_lost = True
            if not self._ready.done():
                self._ready.set_exception(OSError(_GONE))
            for waiting in self._started:
                waiting.set_exception(OSError(_GONE))
            self._lose_children()
            self._channel.close()
        self._process.wait()

    def _lose_children(self) -> None:
        for pid, child in self._children.items():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            child.ended(-signal.SIGKILL)
        self._children.clear()

    def retire(self) -> None:
        """Fork no more; end when the last child has."""
        with self._lock:
            self._is_retired = True
            self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self._is_retired and not self._children and not self._started:
            self._hang_up()

    def _hang_up(self) -> None:
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Let it go, when this process ends."""
        self._hang_up()
        self._process.wait()


def _write_all(file: int, data: bytes) -> None:
    with os.fdopen(os.dup(file), "wb") as sink:
        sink.write(data)
    os.lseek(file, 0, os.SEEK_SET)


_nursery: Nursery | None = None
_only_one = threading.Lock()


def can_start_warm(module: str) -> bool:
    """Whether that module's children are forked on this machine."""
    has_gpu = any(Path(each).exists() for each in _GPU_DEVICES)
    return module.startswith(_OUR_OWN) and hasattr(os, "pidfd_open") and not has_gpu


def start_warm(module: str, argument: Path, environment: Mapping[str, str]) -> Forked:
    """``python -m module argument`` in that environment, its libraries loaded already.

    Raises:
        OSError: what forks has ended meanwhile.
    """
    return _nursery_for(environment).start(module, argument, environment)


def _nursery_for(environment: Mapping[str, str]) -> Nursery:
    """The one there is, or a new one if libraries would read another environment."""
    global _nursery
    needed = {name: value for name, value in environment.items() if not name.startswith(_READ_LATE)}
    with _only_one:
        former = _nursery
        if former is not None and not former.is_over and former.environment == needed:
            return former
        if former is not None:
            former.retire()
        _nursery = Nursery(needed)
        return _nursery


@atexit.register
def _end() -> None:
    if _nursery is not None:
        _nursery.end()

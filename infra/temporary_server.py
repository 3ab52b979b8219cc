"""Prefect's temporary server, started while its client is still being imported.

Prefect starts one itself when a run first asks for it: it imports the whole server into the run's
own process to do so, and only then does the server's process begin its eight seconds of imports.
Here the process begins at once, and the run's own imports pass meanwhile.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from infra.errors import CxrError

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 5.0  # our choice: it answers in 0.01 s
_SETTLE_SECONDS = 10.0
"""States of tasks come as events, and the last ones may lie in the server's queue when the client
has ended: so long are they waited for. Our choice: 0.1 s is usual, and two where a task stands as
running until the next states are written (``prefect_place``)."""
_STOP_SECONDS = 30.0
"""It is given to end by itself, as it writes its queues then; Prefect's own is given 5 s, in which
a busy machine did not get to it."""
_UNUSED_SECONDS = 5.0
"""For one that nobody has used: it has nothing to write, and heeds no signal while it starts."""
_ENVIRONMENT = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}
"""What Prefect gives its own (``SubprocessASGIServer``): no pages, only the services that a single
run needs."""
_SAID_CHARACTERS = 300


class TemporaryServer:
    """One server of this process, which ends with it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._port = 0
        self._began = ""
        self._answered = False

    @property
    def url(self) -> str:
        """What ``PREFECT_API_URL`` is set to."""
        return f"http://{_HOST}:{self._port}/api"

    @property
    def runs(self) -> bool:
        """Whether its process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def serves(self, url: str) -> bool:
        """Whether that address is this server's."""
        return self.runs and url == self.url

    def begin(self) -> None:
        """Start the process unless it runs; it inherits ``PREFECT_HOME`` and all other settings.

        Registered to end at exit before any client is: clients of Prefect send their last states
        when they end, and what is registered last ends first.
        """
        if self.runs:
            return
        if self._process is None:
            atexit.register(self.stop)
        self._forget()
        self._began, self._answered = datetime.now(UTC).isoformat(), False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # read when the server fails
        # The server is given a socket that listens: a port that was free a moment ago could be
        # another run's by then, whose server would answer for this one.
        with socket.create_server((_HOST, 0)) as listening:
            self._port = listening.getsockname()[1]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "--app-dir", str(_folder_of_prefect()),
                 "--factory", "prefect.server.api.server:create_app",
                 "--fd", str(listening.fileno()), "--log-level", "error", "--lifespan", "on"],
                env={**os.environ, **_ENVIRONMENT},
                pass_fds=(listening.fileno(),),
                stdout=subprocess.DEVNULL,
                stderr=self._said,
            )  # fmt: skip

    def wait(self, seconds: float) -> None:
        """Until it answers.

        Raises:
            CxrError: it ended, or says nothing for so long.
        """
        until = time.monotonic() + seconds
        while not self._answers():
            if not self.runs:
                raise CxrError(self._why("ended"))
            if time.monotonic() > until:
                raise CxrError(self._why(f"did not answer for {seconds:.0f} s"))
            time.sleep(_POLL_SECONDS)
        self._answered = True

    def stop(self) -> None:
        """End the process, once it has written the states that ended flows have told it."""
        if self._process is None:
            self._forget()
            return
        until = time.monotonic() + _SETTLE_SECONDS
        while self._answered and self.runs and self._owes_states() and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        self._forget()
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS if self._answered else _UNUSED_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _forget(self) -> None:
        if self._said is not None:
            self._said.close()
            self._said = None

    def _answers(self) -> bool:
        return self._ask("/health") is not None

    def _owes_states(self) -> bool:
        """Whether a task of a flow that has ended is still running by what it has written."""
        unended: dict[str, Any] = {"state": {"type": {"any_": ["PENDING", "RUNNING"]}}}
        unended["start_time"] = {"after_": self._began}
        ended = {"state": {"type": {"any_": ["COMPLETED", "FAILED"]}}}
        return bool(self._ask("/task_runs/count", {"task_runs": unended, "flow_runs": ended}))

    def _ask(self, path: str, told: dict[str, Any] | None = None) -> Any:
        """Its answer; None where there is none."""
        data = None if told is None else json.dumps(told).encode()
        request = Request(f"{self.url}{path}", data, {"Content-Type": "application/json"})
        # a proxy of the user's environment must not be asked for this machine
        ask = build_opener(ProxyHandler({})).open
        try:
            with ask(request, timeout=_ANSWER_SECONDS) as answer:
                return json.load(answer)
        except (URLError, ConnectionError, TimeoutError):
            return None

    def _why(self, what: str) -> str:
        assert self._said is not None
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1][:_SAID_CHARACTERS]}" if lines else ""
        return (
            f"Prefect's temporary server {what}{last}; set PREFECT_API_URL to a server that runs, "
            "or PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS to more seconds"
        )


def _folder_of_prefect() -> Path:
    """Found without importing Prefect, which reads its settings then."""
    spec = importlib.util.find_spec("prefect")
    if spec is None or spec.origin is None:
        raise CxrError("prefect is not installed; run: make setup")
    return Path(spec.origin).parents[1]


SERVER = TemporaryServer()

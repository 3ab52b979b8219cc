"""A stack in a folder of a test's own: its command, its servers asked over HTTP, and kill -9."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.small_world import HOUSE, cxr_environment

CXR = "from flows.cli import main; main()"
_TRIES = 30
_AGAIN_SECONDS = 600.0
"""Our choice: twenty times what the slowest, Prefect's server, takes on two cores of its own."""


class StackWorld:
    """One stack.

    Args:
        folder: all that it keeps.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``cxr stack …`` as a shell would run it."""
        return subprocess.run(
            [sys.executable, "-c", CXR, "stack", *words, "--folder", str(self.folder)],
            capture_output=True,
            text=True,
            cwd=HOUSE,
            env=cxr_environment(),
            check=False,
        )

    def variables(self) -> dict[str, str]:
        """What ``env.sh`` sets."""
        text = (self.folder / "env.sh").read_text()
        lines = [line.removeprefix("export ") for line in text.splitlines() if "=" in line]
        return {line.partition("=")[0]: shlex.split(line.partition("=")[2])[0] for line in lines}

    def processes(self) -> dict[str, dict[str, Any]]:
        """By name what the supervisor tells of each."""
        found: dict[str, dict[str, Any]] = json.loads((self.folder / "status.json").read_text())
        return found

    def kill(self, name: str) -> None:
        """kill -9, and wait until the supervisor has started it again and it is up."""
        before = self.processes()[name]
        os.kill(before["pid"], signal.SIGKILL)
        wait_until(
            lambda: self._is_again(name, before["starts"]), _AGAIN_SECONDS, f"{name} up again"
        )

    def _is_again(self, name: str, starts: int) -> bool:
        now = self.processes()[name]
        return bool(now["starts"] > starts and now["state"] == "up")

    def prefect(self, path: str, body: Any = None) -> Any:
        """Ask Prefect's API."""
        told = self.variables()
        login = base64.b64encode(told["PREFECT_API_AUTH_STRING"].encode()).decode()
        return _ask(f"{told['PREFECT_API_URL']}{path}", body, {"Authorization": f"Basic {login}"})

    def mlflow(self, path: str, body: Any = None) -> Any:
        """Ask MLflow's API."""
        return _ask(f"{self.variables()['CXR_MLFLOW_URI']}/api/2.0/mlflow{path}", body, {})

    def schedule(self, deployment: str, parameters: dict[str, Any]) -> str:
        """Schedule a run two seconds ahead; its id."""
        found = self.prefect(f"/deployments/name/{deployment}")
        when = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": when}}
        told = {"parameters": parameters, "state": state}
        made = self.prefect(f"/deployments/{found['id']}/create_flow_run", told)
        return str(made["id"])

    def state(self, run: str) -> str:
        return str(self.prefect(f"/flow_runs/{run}")["state"]["name"])

    def manifests(self, kind: str) -> int:
        """How many whole artifacts of a kind lie in the object store."""
        data = self.folder / "objects" / "objects" / "cxrflow" / "data"
        return len(list(data.glob(f"{kind}-*/manifest.json@")))


def _ask(url: str, body: Any, headers: dict[str, str]) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    for tries_left in range(_TRIES, -1, -1):
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return json.load(answer)
        except (urllib.error.HTTPError, ConnectionError) as error:
            # 503 and 500 while a server's database comes back: what every client must stand
            if tries_left == 0 or getattr(error, "code", 500) < 500:
                raise
            time.sleep(2)
    raise AssertionError


def wait_until(done: Callable[[], bool], seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.5)

"""Prefect's temporary server: started early, one of a process, told of when it fails."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from infra.errors import CxrError
from infra.temporary_server import TemporaryServer
from tests.small_world import HOUSE, cxr_environment

FLOWS = """
import json, os, sys, threading
from contextlib import ExitStack
from pathlib import Path
import psutil
from flows.cli_prefect import prefect_at
from infra.settings.environment import load_environment

environment = load_environment(data_root=sys.argv[1])
found = []
for _ in range(2):
    with prefect_at(environment):
        from prefect import flow, task
        from prefect.settings import PREFECT_API_URL
        from tasks.control.watch import _WATCH, heeding_requests
        from prefect.runtime import flow_run
        from prefect.context import FlowRunContext

        @task
        def double(number):
            return 2 * number

        @flow
        def work(number):
            run = FlowRunContext.get().flow_run
            with heeding_requests(run, environment.state):
                return double.submit(number).result(), _WATCH[0].own_server

        answer, own = work(21)
        servers = [
            each.pid for each in psutil.Process().children(recursive=True)
            if "prefect.server.api.server:create_app" in each.cmdline()
        ]
        found.append([answer, own, PREFECT_API_URL.value(), servers])
print(json.dumps([found, "prefect.server.api.server" in sys.modules]))
"""


def test_flows_of_one_process_share_a_server_that_ends_with_it(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "PYTHONPATH": str(HOUSE)}
    done = subprocess.run(
        [sys.executable, "-c", FLOWS, str(tmp_path / "root")],
        capture_output=True, text=True, cwd=tmp_path, env=cxr_environment(**home), check=True,
    )  # fmt: skip
    (first, second), imported = json.loads(done.stdout.splitlines()[-1])
    assert first == second
    answer, own, url, servers = first
    assert (answer, own) == (42, True)
    assert url.startswith("http://127.0.0.1:")
    assert len(servers) == 1
    assert not psutil.pid_exists(servers[0])
    assert not imported, "the client imported the whole server"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TemporaryServer]:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    (tmp_path / "prefect").mkdir()
    found = TemporaryServer()
    yield found
    found.stop()


def test_a_server_that_cannot_start_says_why_in_one_line(
    server: TemporaryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "nonsense://")
    server.begin()
    with pytest.raises(CxrError, match=r"^Prefect's temporary server ended: .*nonsense") as told:
        server.wait(300)
    assert "set PREFECT_API_URL to a server that runs" in str(told.value)
    assert os.linesep not in str(told.value)


def test_one_that_says_nothing_is_not_awaited_for_ever(server: TemporaryServer) -> None:
    server.begin()
    with pytest.raises(CxrError, match="did not answer for 0 s"):
        server.wait(0.0)


OWING = """
import sys, threading, time
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.states import Completed, Running

@task
def double(): ...

@flow
def work(): ...

with get_client(sync_client=True) as client:
    run = client.create_flow_run(work, state=Running())
    late = client.create_task_run(double, run.id, "0", state=Running())
    client.set_flow_run_state(run.id, Completed())
    print("ended", flush=True)
    sys.stdin.readline()
    client.set_task_run_state(late.id, Completed())
    print(client.read_task_run(late.id).state_name, flush=True)
"""


def is_taken(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def test_its_port_is_its_own_until_it_has_written_the_last_states(
    server: TemporaryServer, tmp_path: Path
) -> None:
    """Another run's server on its port would answer for this one; and states of tasks reach it as
    events, which lie in its queue when the client has gone."""
    server.begin()
    port = urlsplit(server.url).port
    assert port is not None
    assert is_taken(port)
    server.wait(300)
    assert server.serves(server.url)
    assert is_taken(port)
    home = {"HOME": str(tmp_path), "PREFECT_API_URL": server.url}
    with subprocess.Popen(
        [sys.executable, "-c", OWING], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env=cxr_environment(**home),
    ) as client:  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == "ended\n"
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        stopping.join(1.0)
        assert server.runs, "it was stopped while it owed a state"
        client.stdin.write("\n")
        client.stdin.flush()
        assert client.stdout.readline() == "Completed\n"
        stopping.join()
    assert not server.serves(server.url)
    assert not is_taken(port)

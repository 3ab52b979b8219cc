"""The supervisor over small processes: their order, kill -9, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.stack.place import LOOPBACK, Place, make_place
from infra.stack.supervise import Supervisor
from infra.stack.table import FD, Service

SERVER = """
import http.server, socket, sys, time
time.sleep(float(sys.argv[2]))
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *words): pass
import os
server = http.server.HTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False)
server.socket = socket.socket(fileno=int(sys.argv[1]))
server.serve_forever()
"""
SLEEPER = "import time; time.sleep(600)"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "{SLEEPER}"])
open(sys.argv[1], "w").write(str(child.pid)); child.wait()
"""


def python(name: str, code: str, *words: str, **more: Any) -> Service:
    return Service(name, (sys.executable, "-c", code, *words), dict(os.environ), **more)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path / "stack")


def seen(place: Place) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(place.status_file.read_text())
    except FileNotFoundError:
        return {}
    return found


@contextmanager
def supervised(place: Place, *services: Service) -> Iterator[Supervisor]:
    """A supervisor in a thread; signals are the process's own affair, so it is told to stop."""
    supervisor = Supervisor(place, services)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(supervisor.keep_up(),))
    thread.start()
    try:
        yield supervisor
    finally:
        loop.call_soon_threadsafe(supervisor.stop)
        thread.join()
        loop.close()


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_alive(process: psutil.Process) -> bool:
    """Nobody may be there to collect an orphan that has ended."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_up(place: Place, *names: str) -> bool:
    return all(seen(place).get(name, {}).get("state") == "up" for name in names)


def served(place: Place, delay: str = "0") -> Service:
    port = place.ports["mlflow"]
    return python("mlflow", SERVER, FD, delay, port=port, health="/health")


def ask(port: int) -> int:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=60) as answer:
        return int(answer.read())


def test_a_killed_server_comes_back_and_callers_wait(place: Place) -> None:
    port = place.ports["mlflow"]
    with supervised(place, served(place, "0.5")):
        wait_for(lambda: is_up(place, "mlflow"))
        first = ask(port)
        os.kill(first, signal.SIGKILL)
        second = ask(port)  # at once: nobody is there to answer yet
        assert second != first
        wait_for(lambda: is_up(place, "mlflow"))
        assert seen(place)["mlflow"]["starts"] == 2
    assert not psutil.pid_exists(second)
    assert seen(place)["mlflow"]["state"] == "stopped"


def test_who_needs_another_waits_for_it(place: Place, tmp_path: Path) -> None:
    mark = tmp_path / "first-is-done"
    first = python("first", f"import time; time.sleep(0.5); open({str(mark)!r}, 'w')", once=True)
    code = f"import os, time; assert os.path.exists({str(mark)!r}); time.sleep(600)"
    second = python("second", code, needs=("first",))
    with supervised(place, first, second):
        wait_for(lambda: is_up(place, "first", "second"))
        assert seen(place)["second"]["starts"] == 1


def test_what_is_done_once_is_tried_until_it_works(place: Place, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    code = f"import sys; file = open({str(tries)!r}, 'a'); file.write('x'); file.close()\n"
    code += f"sys.exit(len(open({str(tries)!r}).read()) < 2)"
    with supervised(place, python("once", code, once=True)):
        wait_for(lambda: is_up(place, "once"))
    assert tries.read_text() == "xx"
    assert place.log_file("once").exists()


@pytest.mark.parametrize("outlived", [False, True])
def test_children_of_a_killed_process_end_with_it_or_outlive_it(
    place: Place, tmp_path: Path, outlived: bool
) -> None:
    told = tmp_path / "child"
    with supervised(place, python("parent", PARENT, str(told), outlived=outlived)):
        wait_for(lambda: told.exists() and bool(told.read_text()))
        child = psutil.Process(int(told.read_text()))
        told.unlink()
        os.kill(seen(place)["parent"]["pid"], signal.SIGKILL)
        wait_for(lambda: seen(place)["parent"]["starts"] == 2 and told.exists())
        wait_for(lambda: bool(told.read_text()))
        assert is_alive(child) == outlived
        if outlived:
            child.kill()
        latest = psutil.Process(int(told.read_text()))
    wait_for(lambda: not is_alive(latest))


def test_who_does_not_heed_the_signal_is_killed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.stack.supervise._GRACE_SECONDS", 0.5)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    with supervised(place, python("stubborn", code)):
        wait_for(lambda: is_up(place, "stubborn"))
        pid = seen(place)["stubborn"]["pid"]
    assert not psutil.pid_exists(pid)


def test_the_sockets_are_free_again_afterwards(place: Place) -> None:
    with supervised(place, served(place)):
        wait_for(lambda: is_up(place, "mlflow"))
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((LOOPBACK, place.ports["mlflow"]))

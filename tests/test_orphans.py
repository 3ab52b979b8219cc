"""After kill -9 nothing of a run lives on: trainers, pool workers, Prefect's server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra.orphans import MARK, end_marked
from tests.small_world import HOUSE, cxr_environment

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
TRAINER = """
import os, time
from infra.launch import end_with_parent
from pathlib import Path
end_with_parent()
Path(os.environ["NOTE"]).write_text(str(os.getpid()))
time.sleep(60)
"""
FLOW_WITH_TRAINER = """
from infra.launch import run_module
run_module("trainer", "run.json", print)
"""
FLOW_WITH_POOL = """
import os, time
from pathlib import Path
from infra.workers import Workers
if __name__ == "__main__":
    pool = Workers("processes", 1)
    pid = pool.submit(os.getpid).result()
    pool.submit(time.sleep, 60)
    Path(os.environ["NOTE"]).write_text(str(pid))
    time.sleep(60)
"""
FLOW_WITH_SERVER = """
import os, subprocess, sys, time
from pathlib import Path
from infra.orphans import watch_over_children
watch_over_children()
server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
Path(os.environ["NOTE"]).write_text(str(server.pid))
time.sleep(60)
"""


def eventually(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.05)
    return False


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("flow", [FLOW_WITH_TRAINER, FLOW_WITH_POOL, FLOW_WITH_SERVER])
def test_what_a_killed_run_started_ends_too(flow: str, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    (tmp_path / "trainer.py").write_text(TRAINER)
    (tmp_path / "flow.py").write_text(flow)
    paths = f"{HOUSE}{os.pathsep}{tmp_path}"
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "flow.py")],
        env=cxr_environment(PYTHONPATH=paths, NOTE=str(note)),
    )
    assert eventually(lambda: note.is_file() and bool(note.read_text()))
    pid = int(note.read_text())
    assert is_alive(pid)
    run.kill()
    assert run.wait() == -signal.SIGKILL
    assert eventually(lambda: not is_alive(pid))


def test_a_module_started_by_hand_may_have_any_stdin(tmp_path: Path) -> None:
    """Without its parent's sign a closed stdin ends nothing."""
    code = "import time\nfrom infra.launch import end_with_parent\nend_with_parent()\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}time.sleep(0.5)\nprint('whole')"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=cxr_environment(),
        check=True,
    )
    assert done.stdout == "whole\n"


def test_only_processes_with_the_mark_are_ended() -> None:
    ours = subprocess.Popen(SLEEP, env={**os.environ, MARK: "this-run"})
    another = subprocess.Popen(SLEEP, env={**os.environ, MARK: "another-run"})
    try:
        assert eventually(lambda: psutil.Process(ours.pid).environ().get(MARK) == "this-run")
        assert end_marked("this-run") == 1
        ours.wait()
        assert not is_alive(ours.pid)
        assert another.poll() is None
    finally:
        another.kill()
        another.wait()


def test_one_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.orphans._GRACE_SECONDS", 0.2)
    code = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('up', flush=True); time.sleep(60)"
    )
    stubborn = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, MARK: "m"}, stdout=subprocess.PIPE
    )
    assert stubborn.stdout is not None
    assert stubborn.stdout.readline() == b"up\n"
    assert end_marked("m") == 1
    assert stubborn.wait(timeout=5) == -signal.SIGKILL
    stubborn.stdout.close()

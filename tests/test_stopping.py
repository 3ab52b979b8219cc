"""A trainer that is asked to save and leave: it does, and nothing of its tree stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra import launch, stopping
from infra.errors import CxrError, InputError, Stopped
from infra.launch import Event, run_module
from infra.stopping import (
    ask_to_stop,
    forget_request,
    held_by_trainer,
    is_asked_to_stop,
    wait_for_former,
)
from tests.small_world import HOUSE, cxr_environment

TRAINER = """
import json, os, subprocess, sys, time
from pathlib import Path
from infra.child import report
from infra.launch import end_with_parent
from infra.stopping import is_asked_to_stop
folder = Path(sys.argv[1]).parent
end_with_parent(folder)
rank = 'import time; from infra.launch import end_with_parent; end_with_parent(); time.sleep(60)'
rank = subprocess.Popen([sys.executable, '-c', rank], start_new_session=True)
print(json.dumps({'event': 'up', 'pids': [os.getpid(), rank.pid]}), flush=True)
while not is_asked_to_stop(folder):
    time.sleep(0.02)
for step in range(9999):  # more than a pipe holds
    report('progress', step=step)
time.sleep(SAVING)
(folder / 'checkpoint').write_text('whole')
sys.exit(143)
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Run a trainer until the event does something; the pids of its tree."""
    monkeypatch.setenv("PYTHONPATH", f"{HOUSE}{os.pathsep}{tmp_path}")

    def run(code: str, then: Callable[[], None]) -> list[int]:
        (tmp_path / "child.py").write_text(code)
        pids: list[int] = []

        def follow(event: Event) -> None:
            pids.extend(event.get("pids", ()))
            then()

        try:
            run_module("child", tmp_path / "run.json", follow, saves=True)
        except KeyboardInterrupt:
            return pids
        raise AssertionError("it ended by itself")

    return run


def interrupt() -> None:
    raise KeyboardInterrupt


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def eventually(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.02)
    return False


def test_an_interrupted_trainer_saves_and_all_of_its_tree_ends(
    start: Callable[..., list[int]], tmp_path: Path
) -> None:
    pids = start(TRAINER.replace("SAVING", "0.3"), interrupt)
    assert (tmp_path / "checkpoint").read_text() == "whole"
    assert len(pids) == 2
    assert eventually(lambda: not any(is_alive(pid) for pid in pids))


def test_one_that_does_not_leave_within_the_grace_is_killed(
    start: Callable[..., list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(launch, "_GRACE_SECONDS", 0.3)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    pids = start(deaf + TRAINER.replace("SAVING", "60"), interrupt)
    assert not (tmp_path / "checkpoint").exists()
    assert eventually(lambda: not any(is_alive(pid) for pid in pids))


def test_a_request_to_the_one_before_is_not_one_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{HOUSE}{os.pathsep}{tmp_path}")
    code = "import sys; from pathlib import Path; from infra.stopping import is_asked_to_stop\n"
    (tmp_path / "child.py").write_text(f"{code}sys.exit(is_asked_to_stop(Path({str(tmp_path)!r})))")
    ask_to_stop(tmp_path)
    run_module("child", tmp_path / "run.json", print, saves=True)
    ask_to_stop(tmp_path)
    with pytest.raises(CxrError, match="child ended with 1"):
        run_module("child", tmp_path / "run.json", print)  # of a module that heeds no request


def test_a_request_by_hand_ends_the_run_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{HOUSE}{os.pathsep}{tmp_path}")
    (tmp_path / "child.py").write_text(TRAINER.replace("SAVING", "0"))
    with pytest.raises(Stopped) as caught:
        run_module("child", tmp_path / "run.json", lambda event: ask_to_stop(tmp_path), saves=True)
    told = "child was asked to stop and has; run again to go on from its checkpoint"
    assert str(caught.value) == told


@pytest.mark.parametrize("asked", [True, False])
def test_when_the_flow_is_killed_only_one_that_was_asked_still_saves(
    asked: bool, tmp_path: Path
) -> None:
    """Prefect's worker kills a cancelled run's process after 30 s, whatever it is at."""
    note = tmp_path / "pid"
    (tmp_path / "child.py").write_text(TRAINER.replace("SAVING", "1"))
    flow = (
        "from pathlib import Path\nfrom infra.launch import run_module\n"
        "def note(event):\n"
        f"    'pids' in event and Path({str(note)!r}).write_text(str(event['pids'][0]))\n"
        f"run_module('child', Path({str(tmp_path / 'run.json')!r}), note, saves=True)\n"
    )
    paths = f"{HOUSE}{os.pathsep}{tmp_path}"
    run = subprocess.Popen([sys.executable, "-c", flow], env=cxr_environment(PYTHONPATH=paths))
    assert eventually(lambda: note.is_file() and bool(note.read_text()))
    pid = int(note.read_text())
    if asked:
        ask_to_stop(tmp_path)
    run.kill()
    assert run.wait() == -signal.SIGKILL
    assert eventually(lambda: not is_alive(pid))
    assert (tmp_path / "checkpoint").exists() == asked


def test_ranks_end_with_a_launcher_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranks are in sessions of their own, and hold the streams that the flow reads."""
    monkeypatch.setenv("PYTHONPATH", f"{HOUSE}{os.pathsep}{tmp_path}")
    (tmp_path / "child.py").write_text(TRAINER)
    pids: list[int] = []

    def kill(event: Event) -> None:
        pids.extend(event["pids"])
        os.kill(pids[0], signal.SIGKILL)

    with pytest.raises(CxrError, match="child was killed by SIGKILL"):
        run_module("child", tmp_path / "run.json", kill, saves=True)
    assert eventually(lambda: not any(is_alive(pid) for pid in pids))


def test_a_second_trainer_is_refused_and_the_next_run_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import sys, time; from pathlib import Path; from infra.stopping import held_by_trainer\n"
        f"with held_by_trainer(Path({str(tmp_path)!r})):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    former = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=cxr_environment(),
    )
    assert former.stdout is not None
    assert former.stdin is not None
    assert former.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match="a trainer at work in"), held_by_trainer(tmp_path):
        raise AssertionError
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0.2)
    with pytest.raises(CxrError, match="still at work in"):
        wait_for_former(tmp_path)
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 30)
    threading.Timer(0.3, former.stdin.close).start()
    wait_for_former(tmp_path)
    assert former.wait() == 0
    former.stdout.close()
    with held_by_trainer(tmp_path):
        pass


def test_a_request_can_be_made_twice_and_forgotten_twice(tmp_path: Path) -> None:
    for _ in range(2):
        ask_to_stop(tmp_path / "stage")
        assert is_asked_to_stop(tmp_path / "stage")
    for _ in range(2):
        forget_request(tmp_path / "stage")
        assert not is_asked_to_stop(tmp_path / "stage")

"""Children forked by a process that has their libraries: as if started alone, never left over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from infra import launch, warm_start
from infra.fingerprint import HOUSE
from infra.launch import child_environment, run_module
from infra.nursery import LIBRARIES
from infra.warm_start import Forked, Nursery, can_start_warm

OWN = ("flows", "tasks", "models", "evaluation", "sources", "infra")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Modules of children lie here."""
    return tmp_path_factory.mktemp("modules")


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    return {**child_environment(), "PYTHONPATH": f"{folder}:{HOUSE}"}


@pytest.fixture(scope="module")
def light(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """The same where libraries are empty files, so that it takes no time to load them."""
    empty = folder / "empty"
    empty.mkdir()
    for name in LIBRARIES:
        (empty / f"{name.split('.')[0]}.py").touch()
    return {**environment, "PYTHONPATH": f"{empty}:{environment['PYTHONPATH']}"}


@pytest.fixture(scope="module")
def loaded(environment: dict[str, str]) -> Iterator[Nursery]:
    yield from ended_after(Nursery(environment))


@pytest.fixture(scope="module")
def nursery(light: dict[str, str]) -> Iterator[Nursery]:
    yield from ended_after(Nursery(light))


def ended_after(made: Nursery) -> Iterator[Nursery]:
    yield made
    made.end()
    assert made.is_over


def child(nursery: Nursery, folder: Path, code: str, **variables: str) -> Forked:
    name = f"child_{len(list(folder.iterdir()))}"
    (folder / f"{name}.py").write_text(code)
    return nursery.start(name, folder / "run.json", {**nursery.environment, **variables})


def comes_true(asked: object, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if asked():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def is_gone(pid: int) -> bool:
    """Ended; whoever inherits the orphan may be slow to take note of it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_is_as_if_started_alone(nursery: Nursery, folder: Path) -> None:
    code = (
        "import json, os, sys\n"
        "assert __name__ == '__main__'\n"
        "print('a word', file=sys.stderr, flush=True)\n"
        "told = [os.getpid(), os.getsid(0), os.getcwd(), sys.argv[1:], os.environ['CXR_A']]\n"
        "print(json.dumps([*told, 'torch' in sys.modules, sys.stdin.read()]))\n"
        "sys.exit(3)\n"
    )
    with child(nursery, folder, code, CXR_A="b") as one:
        assert one.stderr.readline() == "a word\n"
        line = psutil.Process(one.pid).cmdline()
        one.stdin.write("over")
        one.stdin.close()
        told = json.loads(one.stdout.read())
    assert told == [one.pid, one.pid, str(HOUSE), [str(folder / "run.json")], "b", True, "over"]
    assert one.poll() == one.wait() == 3
    assert [word for word in line if word] == [sys.executable, "-m", line[2], told[3][0]]


def test_a_killed_child_is_told_by_its_signal(nursery: Nursery, folder: Path) -> None:
    with child(nursery, folder, "import time; time.sleep(60)") as one:
        with pytest.raises(subprocess.TimeoutExpired):
            one.wait(timeout=0.1)
        os.killpg(one.pid, signal.SIGKILL)
    assert one.returncode == -signal.SIGKILL


def test_an_error_ends_with_its_own_line(nursery: Nursery, folder: Path) -> None:
    with child(nursery, folder, "raise ValueError('found this')") as one:
        assert one.stderr.read().splitlines()[-1] == "ValueError: found this"
    assert one.returncode == 1


def test_many_at_once_get_their_own_streams_and_codes(nursery: Nursery, folder: Path) -> None:
    def ask(number: int) -> tuple[str, int]:
        name = f"many_{number}"
        (folder / f"{name}.py").write_text(f"import sys; print({number}); sys.exit({number})")
        with nursery.start(name, folder / "run.json", nursery.environment) as one:
            return one.stdout.read(), one.wait()

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, range(8)))
    assert found == [(f"{number}\n", number) for number in range(8)]


def test_a_large_environment_reaches_the_child(nursery: Nursery, folder: Path) -> None:
    """A cluster tells each pod of all its services in variables."""
    much = "x" * 120_000  # the system's own limit of one variable is 128 KiB
    with child(nursery, folder, "import sys; sys.stdin.read()") as beside:
        code = "import os; print(len(os.environ['CXR_A']), len(os.environ['CXR_B']))"
        with child(nursery, folder, code, CXR_A=much, CXR_B=much) as one:
            assert one.stdout.read() == "120000 120000\n"
        assert beside.poll() is None


def test_what_is_to_be_done_at_the_end_is_done(nursery: Nursery, folder: Path) -> None:
    code = (
        "import atexit, sys, threading, time\n"
        "atexit.register(print, 'second')\n"
        "def late():\n"
        "    time.sleep(0.3)\n"
        "    print('first')\n"
        "threading.Thread(target=late).start()\n"
        "sys.exit(4)\n"
    )
    with child(nursery, folder, code) as one:
        assert one.stdout.read() == "first\nsecond\n"
    assert one.returncode == 4


@pytest.mark.slow
def test_libraries_are_there_already(loaded: Nursery, folder: Path) -> None:
    """All but a few of the modules that children import; who adds a library adds it there too."""
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        "import models.draw, models.generate, models.train, deepspeed\n"
        f"own = {OWN!r}\n"
        "others = [each for each in sys.modules if each.split('.')[0] not in own]\n"
        "print(json.dumps([sorted(set(others) - before), len(others)]))\n"
    )
    with child(loaded, folder, code) as one:
        new, of = json.loads(one.stdout.read().splitlines()[-1])
    assert of > 3000
    assert len(new) < 0.02 * of, new
    assert "torch" in LIBRARIES


def test_no_thread_runs_in_a_child_that_libraries_began(loaded: Nursery, folder: Path) -> None:
    """A fork has one thread: a pool that was begun before it would be waited for in vain."""
    code = (
        "import torch\n"
        "torch.set_num_threads(2)\n"
        "print(float((torch.ones(512, 512) @ torch.ones(512, 512)).sum()))\n"
    )
    with child(loaded, folder, code, OMP_NUM_THREADS="2") as one:
        assert one.wait(timeout=60) == 0
        assert float(one.stdout.read()) == 512.0**3


def test_a_lost_nursery_leaves_no_child(light: dict[str, str], folder: Path) -> None:
    one = Nursery(light)
    (folder / "sleeps.py").write_text("import time; time.sleep(60)")
    with one.start("sleeps", folder / "run.json", light) as left:
        one._process.kill()
        assert left.wait(timeout=20) == -signal.SIGKILL
    assert comes_true(lambda: is_gone(left.pid))
    assert comes_true(lambda: one.is_over)
    with pytest.raises(OSError, match="has ended"):
        one.start("sleeps", folder / "run.json", light)


def test_a_nursery_lost_while_a_child_starts_leaves_no_caller_waiting(
    light: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the word that it has started and the note of it here."""
    one = Nursery(light)
    (folder / "sleeps_too.py").write_text("import time; time.sleep(60)")

    def lost_first(*parts: object) -> Forked:
        one._process.kill()
        assert comes_true(lambda: one._is_lost)
        return Forked(*parts)  # type: ignore[arg-type]

    monkeypatch.setattr(warm_start, "Forked", lost_first)
    with one.start("sleeps_too", folder / "run.json", light) as left:
        assert left.wait(timeout=20) == -signal.SIGKILL
    assert comes_true(lambda: is_gone(left.pid))


@pytest.mark.parametrize("is_ready", [False, True])
def test_a_killed_starter_takes_it_along(
    light: dict[str, str], tmp_path: Path, is_ready: bool
) -> None:
    """Also while it loads, which takes longest."""
    if not is_ready:
        (tmp_path / "torch.py").write_text("import time; time.sleep(60)")
    environment = {**light, "PYTHONPATH": f"{tmp_path}:{light['PYTHONPATH']}"}
    code = (
        "import os, time\n"
        "from infra.warm_start import Nursery\n"
        "one = Nursery(dict(os.environ))\n"
        f"{'one._ready.result()' if is_ready else 'time.sleep(1)'}\n"
        "print(one._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    )
    with starter:
        assert starter.stdout is not None
        nursery = psutil.Process(int(starter.stdout.readline()))
        assert nursery.is_running()
        starter.kill()
    assert comes_true(lambda: not nursery.is_running() or nursery.status() == "zombie", 5)


def test_another_environment_has_another_one_and_the_first_ends_with_its_last_child(
    light: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_start, "_nursery", None)
    first = warm_start._nursery_for(light)
    (folder / "waits.py").write_text("import sys; sys.stdin.read()")
    with first.start("waits", folder / "run.json", light) as last:
        late = {**light, "CXR_SEED": "7", "PYTEST_CURRENT_TEST": "this"}
        assert warm_start._nursery_for(late) is first, "no library reads these while it is loaded"
        second = warm_start._nursery_for({**light, "OMP_NUM_THREADS": "2"})
        assert second is not first
        time.sleep(0.2)
        assert not first.is_over
        last.stdin.close()
        assert last.wait(timeout=20) == 0
    assert comes_true(lambda: first.is_over)
    second.end()


def test_where_forking_fails_a_child_is_started_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> Forked:
        raise OSError("what forks child processes has ended")

    monkeypatch.setattr(launch, "can_start_warm", lambda module: True)
    monkeypatch.setattr(launch, "start_warm", fail)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "child.py").write_text('print(\'{"event": "up"}\')')
    events: list[object] = []
    with caplog.at_level("WARNING"):
        run_module("child", tmp_path / "run.json", lambda event: events.append(event["event"]))
    assert events == ["up"]
    assert "child is started anew with all its libraries" in caplog.text


def test_only_our_own_children_and_only_without_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_start, "_GPU_DEVICES", (str(tmp_path / "nvidiactl"),))
    assert can_start_warm("models.train")
    assert not can_start_warm("child")
    (tmp_path / "nvidiactl").touch()
    assert not can_start_warm("models.train")

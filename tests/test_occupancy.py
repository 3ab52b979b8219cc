"""Many runs work in a state folder together; one command may have it alone, and never both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra import occupancy
from infra.errors import InputError
from infra.occupancy import alone, enter

HOUSE = Path(__file__).parent.parent
OTHER = """
import sys
from pathlib import Path
from infra.errors import InputError
from infra.occupancy import alone, enter
state = Path(sys.argv[2])
try:
    if sys.argv[1] == "enter":
        enter(state)
    else:
        with alone(state):
            pass
except InputError as error:
    sys.exit(str(error))
print("in", flush=True)
sys.stdin.read()
"""


def other(what: str, state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, what, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
    )


def refusal(what: str, state: Path) -> str:
    """What another process is told; nothing where it is let in."""
    with other(what, state) as process:
        return process.communicate("")[1]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_run_keeps_others_from_having_it_alone_until_its_process_ends(state: Path) -> None:
    process = other("enter", state)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    enter(state)
    told = r"a run at work in .*; expected a data root that no run"
    with pytest.raises(InputError, match=told), alone(state):
        pytest.fail("somebody is there")
    process.kill()
    process.communicate()
    with alone(state):
        pass


def test_who_has_it_alone_keeps_runs_out(state: Path) -> None:
    with alone(state):
        assert "a 'cxr forget' at work" in refusal("enter", state)
        assert "a run at work" in refusal("alone", state)
    assert refusal("enter", state) == ""


def test_ones_own_stay_does_not_count_and_goes_on_afterwards(state: Path) -> None:
    enter(state)
    enter(state)
    with alone(state):
        assert "a 'cxr forget' at work" in refusal("enter", state)
    assert refusal("enter", state) == ""
    assert "a run at work" in refusal("alone", state)
    os.close(occupancy._INSIDE.pop(state))
    assert refusal("alone", state) == ""

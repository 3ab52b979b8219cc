"""A run done by a child process, from its parent's side."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import InputError
from infra.launch import Event
from infra.parent import ignore_event, run_in_child
from infra.runs import GenerateRun, read_run
from infra.settings.sections import GenerateSettings

CHILD = """
import sys
from pathlib import Path
from infra.child import report, run_child
from infra.errors import InputError
from infra.runs import GenerateRun

def work(run):
    print("a warning", file=sys.stderr)
    if run.scratch is not None:
        raise InputError("a", "b", "c")
    report("progress", step=1)
    if run.controls:
        report("done", folder=run.output.name, tokens=7)

sys.exit(run_child(GenerateRun, work))
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a module ``obedient`` on the child's path."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "obedient.py").write_text(CHILD)
    return tmp_path


def wanted(folder: Path, **changes: object) -> GenerateRun:
    run = GenerateRun(model=folder, generate=GenerateSettings(), examples=(), output=folder / "out")
    return run.model_copy(update=changes)


def test_the_run_is_done_and_told(child: Path) -> None:
    events: list[Event] = []
    run = wanted(child)
    told = run_in_child("obedient", run, child / "scratch", events.append)
    assert told == {"folder": "out", "tokens": 7}
    assert [event["event"] for event in events] == ["progress", "done"]
    assert read_run(GenerateRun, child / "scratch" / "run.json") == run
    assert "a warning" in (child / "scratch" / "stderr.log").read_text()


def test_a_child_that_tells_nothing_at_its_end(child: Path) -> None:
    assert run_in_child("obedient", wanted(child, controls=()), child / "s", ignore_event) == {}


def test_its_error_is_the_parents(child: Path) -> None:
    with pytest.raises(InputError, match=r"^found a; expected b; c$"):
        run_in_child("obedient", wanted(child, scratch=child), child / "scratch", ignore_event)

"""Recorded times of slow tests can be read where the tests were run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).parent.parent
SLOW = """
def test_slow(record_property):
    record_property("seconds", 12)
    record_property("seconds of the run itself", 11.5)

def test_quick():
    pass
"""


def test_what_a_test_recorded_stands_below_the_summary(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(SLOW)
    plugin = f"import sys, pytest; sys.path.insert(0, {str(HOUSE / 'tests')!r})"
    run = "sys.exit(pytest.main(['-q', '-p', 'told_times', '--rootdir', '.', 'test_it.py']))"
    done = subprocess.run(
        [sys.executable, "-c", f"{plugin}; {run}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    line = "test_it.py::test_slow: seconds 12, seconds of the run itself 11.5"
    assert line in done.stdout.splitlines()
    assert "test_quick" not in done.stdout

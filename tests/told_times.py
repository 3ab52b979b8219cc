"""What slow tests recorded, below pytest's summary: how long a whole recipe took, say.

No test asserts a time: machines differ, and so does what runs beside it.
"""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each test with ``record_property``, which pytest itself tells in XML alone."""
    told = [
        (report.nodeid, dict(report.user_properties))
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" and report.user_properties
    ]
    if told:
        terminalreporter.section("recorded")
    for name, properties in told:
        values = ", ".join(f"{key} {value}" for key, value in properties.items())
        terminalreporter.write_line(f"{name}: {values}")

"""Errors raised on purpose leave no traceback in Prefect's logs; all others do."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from infra.errors import CxrError, InputError
from tasks.monitor.quiet import quiet_known_errors

LOGGER = logging.getLogger("prefect.task_runs")


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Prefect's loggers without Prefect's own handlers, which ask for a flow run."""
    loggers = [logging.getLogger(f"prefect.{name}") for name in ("task_runs", "flow_runs")]
    before = [(list(it.filters), list(it.handlers), it.level, it.propagate) for it in loggers]
    for logger in loggers:
        logger.handlers.clear()
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
    yield
    for logger, (filters, handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.filters[:], logger.handlers[:] = filters, handlers
        logger.propagate = propagate
        logger.setLevel(level)


class Kept(logging.Handler):
    """Remembers the messages that came through."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def messages(error: Exception) -> list[str]:
    kept = Kept()
    LOGGER.addHandler(kept)
    try:
        LOGGER.info("started")
        LOGGER.error("Task run failed with exception: %r", error, exc_info=error)
        LOGGER.error("Finished in state Failed('...')")
    finally:
        LOGGER.removeHandler(kept)
    return kept.messages


@pytest.mark.parametrize("error", [CxrError("x"), InputError("a", "b", "c")])
def test_a_known_error_is_not_logged(error: CxrError) -> None:
    quiet_known_errors()
    assert messages(error) == ["started"]


def test_another_error_is(caplog: pytest.LogCaptureFixture) -> None:
    quiet_known_errors()
    kept = messages(ZeroDivisionError("division by zero"))
    assert kept == [
        "started",
        "Task run failed with exception: ZeroDivisionError('division by zero')",
    ]


def test_without_the_filter_all_three_lines_come() -> None:
    assert len(messages(CxrError("x"))) == 3


def test_it_is_installed_once() -> None:
    before = len(LOGGER.filters)
    quiet_known_errors()
    quiet_known_errors()
    assert len(LOGGER.filters) == before + 1

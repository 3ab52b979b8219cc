"""Errors raised on purpose are one line: keep Prefect's logs from adding tracebacks."""

from __future__ import annotations

import logging

from infra.errors import CxrError

_RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
_ENDS = ("Failed", "NotReady")
"""How Prefect calls a run that failed, and one that waited for it in vain."""


class _OneLine(logging.Filter):
    """Drops records about a CxrError; the state in Prefect keeps its message all the same."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        message = record.getMessage()
        finished = any(f"Finished in state {state}" in message for state in _ENDS)
        return not (isinstance(error, CxrError) or finished)


def quiet_known_errors() -> None:
    """Install the filter once; the command line prints the error itself."""
    for name in _RUN_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(item, _OneLine) for item in logger.filters):
            logger.addFilter(_OneLine())

"""What every child process of ``infra.launch`` shares: arguments in, JSON lines and exit codes out.

``python -m models.…`` and ``python -m evaluation.neural`` end with ``sys.exit(run_child(…))``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import TypeVar

from infra.errors import EXIT_BAD_INPUT, CxrError
from infra.launch import FAILED, end_with_parent
from infra.log import set_up_logging
from infra.runs import read_run
from infra.settings.sections import Section

RunT = TypeVar("RunT", bound=Section)

STOPPED_BY_SIGTERM = 128 + signal.SIGTERM


class StopAtSigterm:
    """Inside the block SIGTERM does no more than make the object, called, say true."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        return self._asked

    def __enter__(self) -> StopAtSigterm:
        self._before = signal.signal(signal.SIGTERM, self._on_sigterm)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _on_sigterm(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True


def report(event: str, **values: object) -> None:
    """One JSON line on stdout, for the parent process; of several ranks the first one speaks."""
    if os.environ.get("RANK", "0") != "0":
        return
    with suppress(BrokenPipeError):  # the parent is gone: what then, its lifeline says
        sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
        sys.stdout.flush()


def run_child(kind: type[RunT], work: Callable[[RunT], int | None]) -> int:
    """Read the run named on the command line, do its work, and return the exit code.

    An error raised on purpose becomes one last line on stderr, ``error: …``, and an event that
    the parent finds among what several ranks and their launcher print.
    """
    set_up_logging()
    end_with_parent(Path(sys.argv[1]).parent if len(sys.argv) == 2 else None)
    if len(sys.argv) != 2:
        sys.stderr.write(f"error: found {len(sys.argv) - 1} arguments; expected one run.json\n")
        return EXIT_BAD_INPUT
    try:
        return work(read_run(kind, Path(sys.argv[1]))) or 0
    except CxrError as error:
        sys.stderr.write(f"error: {error}\n")
        failure = {"event": FAILED, "message": str(error), "exit_code": error.exit_code}
        sys.stdout.write(json.dumps(failure) + "\n")  # every rank speaks: any may have met it
        sys.stdout.flush()
        return error.exit_code


def write_json(path: Path, values: dict[str, object]) -> None:
    """Write indented JSON whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
    partial.replace(path)

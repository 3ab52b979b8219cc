"""A child process that is asked one thing after another: a JSON line in, an event out.

``infra.launch`` follows a child that does one run; here the parent speaks too, so that stdin is no
lifeline: its end, which comes with the parent's, ends the child.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from infra.fingerprint import HOUSE
from infra.launch import (
    FAILED,
    LIFELINE,
    Event,
    child_environment,
    failure_of,
    parse_event,
    stop_tree,
)
from infra.runs import write_run
from infra.settings.sections import Section


class Talk:
    """``with Talk(module, run, folder) as talk``: the child lives as long as the block.

    Args:
        folder: gets ``run.json`` and ``stderr.log``.

    Raises:
        InputError, ChildFailed: the child ended before its first event; as ``infra.launch``.
    """

    def __init__(self, module: str, run: Section, folder: Path) -> None:
        self.module, self.log_file = module, folder / "stderr.log"
        write_run(run, folder / "run.json")
        environment = {k: v for k, v in child_environment().items() if k != LIFELINE}
        with self.log_file.open("wb") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", module, str(folder / "run.json")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                cwd=HOUSE,
                env=environment,
                start_new_session=True,
            )
        try:
            self.first = self._hear()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        assert self.child.stdin is not None and self.child.stdout is not None
        stop_tree(self.child)
        self.child.stdout.close()
        with suppress(BrokenPipeError):
            self.child.stdin.close()

    def ask(self, request: Mapping[str, Any]) -> Event:
        """The event that answers a request.

        Raises:
            InputError, ChildFailed: the child has ended.
        """
        assert self.child.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, and says why below
            self.child.stdin.write(json.dumps(request) + "\n")
            self.child.stdin.flush()
        return self._hear()

    def _hear(self) -> Event:
        assert self.child.stdout is not None
        failures = []
        for line in self.child.stdout:
            event = parse_event(line)
            if event is not None and event["event"] != FAILED:
                return event
            failures += [event] if event is not None else []
        code = self.child.wait()
        raise failure_of(self.module, code, failures, self.log_file.read_text(errors="replace"))

"""Who works in a state folder: any number of runs together, or one command alone.

A run enters when its first step begins and stays until its process ends. What rewrites artifacts
(``cxr forget``) wants the folder alone: it is refused while a run is at work, and a run is refused
while it is. The system frees both when a process dies.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from infra.errors import InputError
from infra.store import make_folder

LOCK_FILE: Final = "in-use.lock"
_INSIDE: dict[Path, int] = {}
"""The open lock file of each state folder that this process has entered."""
_GUARD: Final = threading.Lock()


def enter(state: Path) -> None:
    """Be one of those who work here, until this process ends; a second time does nothing.

    Raises:
        InputError: somebody has the folder alone.
    """
    with _GUARD:
        if state in _INSIDE:
            return
        number = _open(state)
        if not _lock(number, fcntl.LOCK_SH):
            os.close(number)
            raise InputError(
                f"a 'cxr forget' at work in {state}",
                "a data root that nobody rewrites",
                "run again when it has ended",
            )
        _INSIDE[state] = number


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Have the folder alone; this process's own stay does not count.

    Raises:
        InputError: a run of another process is at work.
    """
    with _GUARD:
        held = _INSIDE.get(state)
        number = _open(state) if held is None else held
        if not _lock(number, fcntl.LOCK_EX):
            if held is None:
                os.close(number)
            else:
                _lock(number, fcntl.LOCK_SH)
            raise InputError(
                f"a run at work in {state}",
                "a data root that no run uses",
                "wait until it has ended, or stop it, and run again",
            )
    try:
        yield
    finally:
        with _GUARD:
            if held is None:
                os.close(number)
            else:
                _lock(number, fcntl.LOCK_SH)


def _open(state: Path) -> int:
    make_folder(state)
    return os.open(state / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o600)


def _lock(number: int, how: int) -> bool:
    try:
        fcntl.flock(number, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

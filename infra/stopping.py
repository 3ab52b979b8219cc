"""Asking a trainer to save and leave: a request file beside its run file.

A signal reaches the launcher of several ranks first, which gives them half a minute; and it does
not reach other machines. The file reaches every rank that sees the folder. The trainer looks for it
after each step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from infra.errors import CxrError, InputError
from infra.store import explained_place

STOP_FILE: Final = "stop.request"
TRAINER_LOCK: Final = "trainer.lock"
GRACE_SECONDS: Final = 300.0
"""How long a trainer may take from the request until it is gone; then it is killed. Our choice: one
step, one look at validate and a checkpoint (84 GB of weights and moments of 7 billion parameters
take 84 s at 1 GB a second)."""


def ask_to_stop(folder: Path) -> None:
    """Ask whoever works in a folder to save and leave; a second time does nothing more."""
    with explained_place(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STOP_FILE).touch()


def is_asked_to_stop(folder: Path) -> bool:
    """Whether somebody has asked."""
    return os.path.lexists(folder / STOP_FILE)


def forget_request(folder: Path) -> None:
    """What was asked of the one before is not asked of the next."""
    (folder / STOP_FILE).unlink(missing_ok=True)


@contextmanager
def held_by_trainer(folder: Path) -> Iterator[None]:
    """Within the block this process is the trainer of that folder; freed however it ends.

    Raises:
        InputError: another one is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / TRAINER_LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"a trainer at work in {folder}", "one at a time", "run again when it has ended"
        ) from None
    try:
        yield
    finally:
        lock.release()


def wait_for_former(folder: Path) -> None:
    """Wait for a trainer that outlives its run by the checkpoint that it writes.

    Raises:
        CxrError: it does not end within the grace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / TRAINER_LOCK)
    try:
        lock.acquire(timeout=GRACE_SECONDS)
    except Timeout:
        raise CxrError(
            f"a trainer of an earlier run is still at work in {folder} after {GRACE_SECONDS:.0f} s;"
            " end it and run again"
        ) from None
    lock.release()

"""Requests to runs that no server can reach, a command's own: a file in the state folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from infra.store import explained_place

FOLDER: Final = "control"


def request_file(state: Path, run_id: str) -> Path:
    """Where a request to a run comes to lie, in its state folder."""
    return state / FOLDER / f"{run_id}.cancel"


def ask_to_cancel(state: Path, run_id: str) -> None:
    """Ask a run of this state folder to stop.

    Raises:
        InputError: the folder cannot be written.
    """
    place = request_file(state, run_id)
    with explained_place(str(state)):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


def is_asked_to_cancel(state: Path, run_id: str) -> bool:
    """Whether somebody has."""
    return os.path.lexists(request_file(state, run_id))


def forget_request(state: Path, run_id: str) -> None:
    """The run has ended."""
    request_file(state, run_id).unlink(missing_ok=True)

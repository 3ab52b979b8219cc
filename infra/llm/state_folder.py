"""What a state folder that cannot be read or written is told as: one line, without its content."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import LanguageModelError, SettingsError


class StateUnusable(LanguageModelError):
    """Answers or counts cannot be read or written; what was stored before is kept."""


def make_state_folder(state_dir: Path) -> None:
    """Make the folder where there is none.

    Raises:
        SettingsError: it cannot be made.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"no state folder at {state_dir} ({error.strerror})",
            "a place where one can be made",
            "set CXR_STATE_DIR or --data-root",
        ) from None


@contextmanager
def in_one_line(state_dir: Path) -> Iterator[None]:
    """Turn a full disk, a missing right or a damaged file into ``StateUnusable``.

    SQLite's own words may quote what is stored: only the name of its error is told.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _unusable(
            state_dir, getattr(error, "sqlite_errorname", type(error).__name__)
        ) from None
    except OSError as error:
        name = Path(os.fsdecode(error.filename)).name if error.filename else ""
        raise _unusable(state_dir, f"{error.strerror} {name}".strip()) from None


def _unusable(state_dir: Path, why: str) -> StateUnusable:
    return StateUnusable(
        f"the state folder {state_dir} cannot be used ({why}); what was stored before is kept and "
        "costs nothing again: make room or mend it, and run it again"
    )

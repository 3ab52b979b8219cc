"""What the tests of workers have done in other processes: importable there by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from infra.errors import SourceError
from infra.pieces import BuiltPiece, Count


def kill_worker() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse() -> None:
    raise SourceError("a red film", "a grey one", "look at it")


def own_process() -> int:
    return os.getpid()


def build_late(key: str, folder: Path) -> BuiltPiece:
    """The first piece is the last to be done."""
    time.sleep(0.05 * (3 - int(key)))
    (folder / "text.txt").write_text(f"piece {key}\n")
    return BuiltPiece((Count("lines", 1, 1),))


def build_or_die(marks: Path, key: str, folder: Path) -> BuiltPiece:
    """The worker of piece 2 dies half way, the first time."""
    (folder / "text.txt").write_text(f"piece {key}\n")
    if key == "2" and not (marks / "died").exists():
        (marks / "died").touch()
        while not (marks / "0").exists():  # another piece is done by then
            time.sleep(0.01)
        kill_worker()
    (marks / key).touch()
    return BuiltPiece((Count("lines", 1, 1),))

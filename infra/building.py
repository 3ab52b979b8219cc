"""Pieces built by workers, perhaps on other machines, each moved to its folder whole."""

from __future__ import annotations

import errno
import platform
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, as_completed, wait
from pathlib import Path

from infra.errors import InputError
from infra.pieces import BuiltPiece

PieceBuilder = Callable[[str, Path], BuiltPiece]
"""``build(key, folder)`` writes the piece's files into an empty local folder."""


def build_in(
    executor: Executor, build: PieceBuilder, folders: Mapping[str, Path]
) -> Iterator[tuple[str, BuiltPiece]]:
    """Build pieces in an executor, in order of completion; the first failure cancels the rest."""
    waiting = {
        executor.submit(build_apart, build, key, folder): key for key, folder in folders.items()
    }
    try:
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    finally:
        for future in waiting:
            future.cancel()
        wait(waiting)


def build_apart(build: PieceBuilder, key: str, folder: Path) -> BuiltPiece:
    """Build a piece beside its folder and move it there whole.

    A cluster that has lost sight of a worker has another one do the piece again: whichever is done
    first wins, and what the other writes is scratch.

    Raises:
        InputError: this worker does not see the folder.
    """
    if not folder.is_dir():
        raise InputError(
            f"a worker on {platform.node()} that does not see {folder}",
            "all workers to see the data root, and the raw data, at the same paths",
            "mount them there, or take workers of this machine",
        )
    apart = folder.with_name(f"{folder.name}-{uuid.uuid4().hex}")
    apart.mkdir()
    outcome = build(key, apart)
    try:
        apart.replace(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    return outcome

"""Folders that are whole or passed over: each holds the digest of its files, written last."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from infra.fingerprint import file_digest
from models.ranks import of_first_rank, rank_and_ranks

WHOLE = "whole.json"
CHECKPOINT = "checkpoint"


def seal(folder: Path) -> None:
    """Write the digest of every file, last: a folder without is torn."""
    digests = {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    partial = folder.with_name(f".{folder.name}.seal")
    partial.write_text(json.dumps(digests, indent=1) + "\n")
    partial.replace(folder / WHOLE)


def whole_folders(root: Path, kind: str) -> dict[int, Path]:
    """Folders ``<kind>-<step>`` that were written whole and still are, byte by byte, by step.

    The first rank removes the others: torn ones and those whose bytes have changed.
    """
    whole: dict[int, Path] = {}
    for folder in root.glob(f"{kind}-*"):
        if _is_whole(folder):
            whole[int(folder.name.rpartition("-")[2])] = folder
        elif os.environ.get("RANK", "0") == "0":
            shutil.rmtree(folder, ignore_errors=True)
    return dict(sorted(whole.items()))


def last_whole_checkpoint(root: Path) -> Path | None:
    """The newest whole checkpoint, None where there is none."""
    return next(reversed(whole_folders(root, CHECKPOINT).values()), None)


def checkpoint_of_all_ranks(root: Path) -> Path | None:
    """The checkpoint that the first rank finds last, the same on all; all ranks call."""
    found = last_whole_checkpoint(root) if rank_and_ranks()[0] == 0 else None
    own = -1 if found is None else int(found.name.rpartition("-")[2])
    (step,) = of_first_rank((own,))
    return None if step < 0 else root / f"{CHECKPOINT}-{int(step)}"


def remove_folders_but(root: Path, kind: str, kept: int) -> None:
    """Remove all but the last ``kept`` folders of that kind, whole or not."""
    folders = sorted(root.glob(f"{kind}-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for folder in folders[: max(0, len(folders) - kept)]:
        shutil.rmtree(folder)


def _is_whole(folder: Path) -> bool:
    try:
        digests = json.loads((folder / WHOLE).read_text())
        return all(file_digest(folder / name) == told for name, told in digests.items())
    except (FileNotFoundError, ValueError):
        return False

"""Small raw trees and the contexts that read them: what the tests of the units of work share."""

from __future__ import annotations

import shutil
from pathlib import Path

from infra.fingerprint import file_digest
from sources.catalog import get_source
from sources.replicas.truth import ReplicaSpec
from tasks.context import Context, Order, open_context, raw_digest

STUDIES = 16
SIDE_PX = 128
PIECES = 4


def write_raw(name: str, root: Path, studies: int = STUDIES) -> Path:
    """The replica of a source as a raw tree of one's own."""
    writer = get_source(name).write_replica
    assert writer is not None
    root.mkdir(parents=True)
    writer(root, ReplicaSpec(studies, 5, SIDE_PX))
    return root


def copy_raw(root: Path, target: Path) -> Path:
    """A copy that a test may edit; times are kept, for raw files count by them."""
    shutil.copytree(root, target)
    return target


def look(data_root: Path, roots: dict[str, Path], *overrides: str, **fields: object) -> Context:
    """The context of a new process: raw trees are looked at again."""
    raw_digest.cache_clear()
    order = Order(
        data_root=str(data_root),
        sources=tuple(f"{name}={root}" for name, root in roots.items()),
        overrides=(f"sources.pieces={PIECES}", *overrides),
        **fields,  # type: ignore[arg-type]
    )
    return open_context(order)


def edit_report(root: Path) -> str:
    """Add a sentence to one report of a MIMIC-CXR tree; the id of its study."""
    path = sorted(root.glob("files/p*/p*/s*.txt"))[0]
    path.write_text(path.read_text() + " The trachea is midline.\n")
    return path.stem.removeprefix("s")


def payload(root: Path) -> dict[str, str]:
    """Digest by path of every file under a folder."""
    return {
        path.relative_to(root).as_posix(): file_digest(path)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }

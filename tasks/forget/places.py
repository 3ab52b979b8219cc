"""What lies under a data root: artifacts with their manifests, and the folders of their pieces."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.record_file import read_record
from infra.step import MANIFEST
from infra.store import Store
from tasks.graph import REVISIONS

RECEIPTS: Final = ".receipts"
ROWS: Final = frozenset(
    {
        *("studies", "images", "reports", "dialogues", "examples", "drawings", "predictions"),
        "test_sets",
    }
)
"""Kinds whose pieces are tables with rows of studies: they are written anew without some rows."""
JUDGED: Final = frozenset({"scores", "teachers"})
"""Kinds whose tables tell what judges were asked."""
LEARNED: Final = frozenset({"stages", "models"})
"""Kinds that hold weights, or a receipt for them: they are named, and a person decides."""


@dataclass(frozen=True)
class Place:
    """One artifact's folder; ``manifest`` is None where it is unfinished or damaged."""

    kind: str
    folder: str
    manifest: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """As recipes know it: ``reports``, ``mimic_cxr``."""
        return self.folder.rpartition("/")[2].rpartition("-")[0]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Folders of the artifacts that it was made from."""
        told = self.manifest["inputs"] if self.manifest else {}
        return tuple(f"{key}-{value}" for key, value in told.items() if "/" in key)

    @property
    def pieces(self) -> tuple[Mapping[str, Any], ...]:
        """Its pieces as the manifest tells them."""
        return tuple(self.manifest["pieces"]) if self.manifest else ()


def find_places(store: Store, kinds: frozenset[str] = frozenset(REVISIONS)) -> list[Place]:
    """Every artifact's folder of these kinds, also of unfinished ones."""
    return [
        Place(kind, f"{kind}/{name}", read_record(store, f"{kind}/{name}/{MANIFEST}"))
        for kind in REVISIONS
        if kind in kinds
        for name in store.list_folder(kind)
        if not name.startswith(".")
    ]


def piece_folders(store: Store, place: Place) -> list[str]:
    """Folders of pieces that lie here, whether or not a manifest names them."""
    return [
        f"{place.folder}/{name}"
        for name in store.list_folder(place.folder)
        if name not in (MANIFEST, RECEIPTS)
    ]


def files_under(store: Store, folder: str) -> list[str]:
    """Every file under a folder, relative to the data root."""
    base = store.path("").rstrip("/")
    try:
        found = store.fs.find(store.path(folder))
    except FileNotFoundError:
        return []
    return sorted(str(name)[len(base) + 1 :] for name in found)


@contextmanager
def local_copy(store: Store, relative: str) -> Iterator[Path]:
    """A path to read one file from; a remote file is fetched for as long as that takes."""
    if store.is_local:
        yield Path(store.path(relative))
        return
    with tempfile.TemporaryDirectory(dir=store.state) as folder:
        target = Path(folder) / Path(relative).name
        store.fs.get_file(store.path(relative), str(target))
        yield target

"""Which artifacts hold a subject, and taking it out: rows go, what was worked out from them goes.

Pieces of rows are written anew, each once, and every manifest that refers to one is told. What was
worked out of rows (scores, pages, maps, comparisons) goes whole, and the next run works it out
again without the subject; so does a replica, whose persons are made up, which the next run writes
again. Weights stay, unless a person retires them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from infra.checked import forget_checks
from infra.pieces import Piece, add_counts, piece_from_json
from infra.record_file import sealed
from infra.step import MANIFEST
from infra.store import Store
from tasks.forget.needles import Needles
from tasks.forget.places import (
    LEARNED,
    RECEIPTS,
    ROWS,
    Place,
    files_under,
    find_places,
    local_copy,
    piece_folders,
)
from tasks.forget.rows import write_anew
from tasks.forget.search import kinds_in_file
from tasks.forget.tables import Theirs

_PICTURES: Final = (".png", ".jpg", ".jpeg", ".html", ".svg")


@dataclass
class Held:
    """What of a data root holds a subject.

    Args:
        pieces: folders of pieces of rows that are written anew.
        whole: folders of artifacts that go.
        pictures: xxh3-128 of files in those, for the copies that were logged elsewhere.
    """

    pieces: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    pictures: set[str] = field(default_factory=set)


def find_held(store: Store, theirs: Theirs, needles: Needles, retired: set[str]) -> Held:
    """Look at every artifact.

    Args:
        retired: folders of stages that go with all that came of them.
    """
    places = find_places(store)
    held = Held()
    for place in places:
        if place.kind in ROWS:
            held.pieces += [
                folder for folder in piece_folders(store, place) if _has_rows(store, folder, theirs)
            ]
    gone = came_of(places, retired)
    for place in places:
        if place.kind == "replicas":
            if place.name in theirs.dossier.sources:
                gone.add(place.folder)
        elif place.kind == "predictions":
            if _shows_theirs(store, place, theirs):
                gone.add(place.folder)
        elif place.kind not in ROWS | LEARNED and _speaks(store, place, theirs, needles):
            gone.add(place.folder)
    gone = _worked_out(store, places, held, gone)
    held.whole = sorted(gone)
    held.pieces = [each for each in held.pieces if each.rpartition("/")[0] not in gone]
    for place in places:
        if place.folder in gone and place.kind not in ("replicas", *LEARNED):
            held.pictures |= {file["digest"] for piece in place.pieces for file in piece["files"]}
    return held


def _has_rows(store: Store, folder: str, theirs: Theirs) -> bool:
    for name in files_under(store, folder):
        if name.endswith(".parquet"):
            with local_copy(store, name) as path, pq.ParquetFile(path) as file:
                if theirs.touched(file):
                    return True
    return False


def _shows_theirs(store: Store, place: Place, theirs: Theirs) -> bool:
    """Whether a control was shown their film: then another must be, and all is predicted again."""
    for name in files_under(store, place.folder):
        if name.endswith(".parquet"):
            with local_copy(store, name) as path, pq.ParquetFile(path) as file:
                if theirs.shown_to_others(file):
                    return True
    return False


def _speaks(store: Store, place: Place, theirs: Theirs, needles: Needles) -> bool:
    """Whether a file of an artifact has a row of theirs or names them in any way."""
    if _has_rows(store, place.folder, theirs):
        return True
    for name in files_under(store, place.folder):
        with local_copy(store, name) as path:
            if kinds_in_file(path, needles):
                return True
    return False


def came_of(places: list[Place], folders: set[str]) -> set[str]:
    """These artifacts and all that came of them, rows and weights too."""
    found = set(folders)
    while more := {p.folder for p in places if found.intersection(p.inputs)} - found:
        found |= more
    return found


def _worked_out(store: Store, places: list[Place], held: Held, gone: set[str]) -> set[str]:
    """What goes, with what was worked out of it.

    What was worked out of predictions goes when these lose rows, and what has pictures when the
    films or examples that it shows do.
    """
    rewritten = {folder.rpartition("/")[0] for folder in held.pieces}
    found = gone | {
        place.folder
        for place in places
        if place.kind not in ROWS | LEARNED and _lost_its_base(store, place, rewritten)
    }
    while (
        more := {
            place.folder
            for place in places
            if place.kind not in ROWS | LEARNED and found.intersection(_derived(place))
        }
        - found
    ):
        found |= more
    return found


def _lost_its_base(store: Store, place: Place, rewritten: set[str]) -> bool:
    lost = rewritten.intersection(place.inputs)
    told = any(folder.startswith("predictions/") for folder in lost)
    return told or (bool(lost) and _has_pictures(store, place))


def _derived(place: Place) -> Iterator[str]:
    """Inputs that were worked out themselves; a replica is no such thing."""
    for folder in place.inputs:
        kind = folder.partition("/")[0]
        if kind == "predictions" or kind not in ROWS | LEARNED | {"replicas"}:
            yield folder


def _has_pictures(store: Store, place: Place) -> bool:
    return any(name.endswith(_PICTURES) for name in files_under(store, place.folder))


def rewrite_pieces(store: Store, held: Held, theirs: Theirs) -> None:
    """Write the pieces anew, tell the manifests, and remove the old ones, piece by piece."""
    for folder in held.pieces:
        places = find_places(store, frozenset({folder.partition("/")[0]}))
        referring = [place for place in places if any(p["folder"] == folder for p in place.pieces)]
        if not referring:  # left by a run that was stopped: the next one makes it again
            _drop(store, folder)
            continue
        told = next(p for p in referring[0].pieces if p["folder"] == folder)
        piece = write_anew(store, told, folder, theirs)
        for place in referring:
            _refer(store, place, folder, piece)
        if piece.folder != folder:
            _drop(store, folder)


def _refer(store: Store, place: Place, old: str, piece: Piece) -> None:
    """Have a manifest name the new piece in the old one's place."""
    assert place.manifest is not None
    manifest: dict[str, Any] = dict(place.manifest)
    fresh = asdict(piece) | {"measured": {}}
    manifest["pieces"] = [fresh if p["folder"] == old else p for p in manifest["pieces"]]
    counts = [count for p in manifest["pieces"] for count in piece_from_json(p).counts]
    manifest["counts"] = [asdict(count) for count in add_counts(counts)]
    store.overwrite(f"{place.folder}/{MANIFEST}", sealed(manifest))


def _drop(store: Store, folder: str) -> None:
    """A piece and the receipt that a build left of it."""
    artifact, _, name = folder.rpartition("/")
    store.remove(folder)
    store.remove(f"{artifact}/{RECEIPTS}/{name.rpartition('-')[0]}.json")


def remove_whole(store: Store, held: Held) -> None:
    """Remove artifacts, each manifest first, so that none is taken for whole meanwhile."""
    for folder in held.whole:
        store.remove(f"{folder}/{MANIFEST}")
        store.remove(folder)
        forget_checks(store, folder)


def size_of(store: Store, folder: str) -> int:
    """Bytes of all files under a folder."""
    try:
        found = store.fs.find(store.path(folder), detail=True)
    except FileNotFoundError:
        return 0
    return sum(int(told["size"] or 0) for told in found.values())


def local_files(folder: Path) -> list[Path]:
    """Every file under a local folder; none where it is absent."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())

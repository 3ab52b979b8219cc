"""Which stages learned from a subject, and which registered models came of those stages.

What a network has learned cannot be taken out of it. So it is said which ones did, on their
versions in the registry too, and a person decides whether to train anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import pyarrow.parquet as pq

from infra.store import Store
from infra.tombstones import Tombstone, withdrawn_from
from infra.tracking import VersionSeen, all_versions, mark_withdrawn
from infra.tracking_runs import RunBook
from sources.record import Split
from tasks.forget.dossier import Dossier
from tasks.forget.places import Place, find_places, local_copy
from tasks.forget.tables import Theirs

TRAINED: Final = "learned from it"
CHOSE: Final = "chose its weights by it"
EARLIER: Final = "had learned from it when it was forgotten"
DESCENDS: Final = "began with weights of one that did"
_WEIGHTS: Final = frozenset({"stages", "classifiers"})


def learn_stages(store: Store, theirs: Theirs, earlier: Iterable[Tombstone] = ()) -> None:
    """Note every stage and classifier that learned from the subject, with how it did.

    Args:
        earlier: records of the same withdrawal; of the stages that they tell, those count that are
            still there.
    """
    dossier = theirs.dossier
    seen = _example_splits(store, theirs)
    dossier.examples |= {folder for folder, splits in seen.items() if splits != {str(Split.TEST)}}
    places = [place for place in find_places(store, _WEIGHTS) if place.manifest is not None]
    for place in places:
        splits = {split for folder in place.inputs for split in seen.get(folder, ())}
        if str(Split.TRAIN) in splits:
            _note(dossier, place, TRAINED)
        elif str(Split.VALIDATE) in splits:
            _note(dossier, place, CHOSE)
    told = {pair for tombstone in earlier for pair in tombstone.learned.items()}
    for place in places:
        if (place.folder, _made_at(place)) in told:
            _note(dossier, place, EARLIER)
    while more := [
        place
        for place in places
        if place.folder not in dossier.learned and dossier.learned.keys() & set(place.inputs)
    ]:
        for place in more:
            _note(dossier, place, DESCENDS)


def _note(dossier: Dossier, place: Place, how: str) -> None:
    dossier.learned.setdefault(place.folder, _made_at(place))
    dossier.how.setdefault(place.folder, how)


def _made_at(place: Place) -> str:
    assert place.manifest is not None
    return str(place.manifest["created_at"])


def _example_splits(store: Store, theirs: Theirs) -> dict[str, set[str]]:
    """By folder of examples, the splits in which they stand there."""
    found: dict[str, set[str]] = {}
    for place in find_places(store, frozenset({"examples"})):
        for piece in place.pieces:
            for file in piece["files"]:
                split = file["name"].partition("-")[0]
                if split in list(Split) and split not in found.get(place.folder, ()):
                    relative = f"{piece['folder']}/{file['name']}"
                    if not store.exists(relative):
                        continue
                    with local_copy(store, relative) as path, pq.ParquetFile(path) as table:
                        if theirs.touched(table):
                            found.setdefault(place.folder, set()).add(split)
    return found


def learn_versions(book: RunBook, dossier: Dossier) -> list[VersionSeen]:
    """Versions in the registry that came of those stages, noted too."""
    came = [version for version in all_versions(book) if _stages_of(version) & set(dossier.learned)]
    dossier.versions |= {version.label for version in came}
    return came


def _stages_of(version: VersionSeen) -> set[str]:
    """Folders of the stages that its lineage names."""
    return {
        f"stages/{key.removeprefix('cxrflow.stages.')}-{value}"
        for key, value in version.tags.items()
        if key.startswith("cxrflow.stages.")
    }


def mark_versions(
    store: Store, book: RunBook, versions: list[VersionSeen], *, retire: bool
) -> None:
    """Tag each version with the number of its subjects who withdrew; ask once tombstones stand."""
    for version in versions:
        made = _made(store, version)
        mark_withdrawn(book, version, max(1, withdrawn_from(store, made)), retire=retire)


def _made(store: Store, version: VersionSeen) -> Mapping[str, str]:
    """When each stage of a version was made."""
    wanted = _stages_of(version)
    return {
        place.folder: _made_at(place)
        for place in find_places(store, frozenset({"stages"}))
        if place.folder in wanted and place.manifest is not None
    }

"""All that is known of a subject who is being forgotten, for as long as that takes.

It is written to the state folder before anything is changed, for a killed ``cxr forget`` could not
find again by what it had begun to remove; the last thing that ``cxr forget`` does is to remove it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from infra.fingerprint import canonical_json
from infra.store import explained_place, make_folder

FOLDER: Final = "forget"
"""Of the state folder; there while somebody is being forgotten, and after a kill."""


@dataclass
class Dossier:
    """Who, and what may stand where.

    Args:
        persons: the source whose subject ids these are.
        owner: the subject's id, or the study's where no subject is known.
        chosen: the only studies to forget; empty for all of the subject.
        sources: the sources that have these persons.
        subjects: subject ids to look for; none where only some studies are forgotten.
        rejected: ids of rejected rows of theirs: of films that others may have too.
        texts: every text of theirs, as stored.
        requests: hashes of what a language model was asked about them.
        raw_digests: of published files; ``hashes`` are perceptual ones, both in hexadecimal.
        pictures: xxh3-128 of stored pictures; ``probes`` are bytes from inside them, in
            hexadecimal.
        uris: published files, as ``source:path``.
        examples: folders of the sets of examples that they stand in.
        learned: folder of each stage that learned from them, with when it was made.
        how: by folder, how it learned.
        versions: registered versions that came of those stages, ``name/number``.
        counts: how much there was to remove, by kind, before anything was removed.
    """

    persons: str
    owner: str
    chosen: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    subjects: set[str] = field(default_factory=set)
    studies: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    requests: set[str] = field(default_factory=set)
    raw_digests: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)
    pictures: set[str] = field(default_factory=set)
    probes: set[str] = field(default_factory=set)
    uris: set[str] = field(default_factory=set)
    examples: set[str] = field(default_factory=set)
    learned: dict[str, str] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def ids(self) -> set[str]:
        """Every id of theirs."""
        return self.subjects | self.studies | self.images | self.rejected

    @property
    def paths(self) -> set[str]:
        """Every published file of theirs, as its source names it."""
        return {uri.partition(":")[2] for uri in self.uris}

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the subject was found anywhere."""
        return not (self.studies or self.images or self.texts)

    def count(self, found: Mapping[str, int]) -> None:
        """Keep the larger number of each kind: what a killed run removed is not found again."""
        for name, number in found.items():
            self.counts[name] = max(number, self.counts.get(name, 0))

    def add(self, other: Dossier) -> None:
        """Take over what another one knows of the same subject."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, set | dict):
                mine.update(theirs)


def _place(state: Path, persons: str, owner: str, chosen: Iterable[str]) -> Path:
    """The name is a digest of the ids: it goes when the file goes."""
    told = canonical_json([persons, owner, sorted(chosen)])
    return state / FOLDER / f"{blake2b(told.encode(), digest_size=8).hexdigest()}.json"


def read_dossier(state: Path, persons: str, owner: str, chosen: Iterable[str]) -> Dossier | None:
    """What a killed ``cxr forget`` of the same subject knew; None where there was none."""
    place = _place(state, persons, owner, chosen)
    if not place.exists():
        return None
    told: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    sets = {each.name for each in fields(Dossier) if str(each.type).startswith("set")}
    values: dict[str, Any] = {
        name: set(value) if name in sets else tuple(value) if isinstance(value, list) else value
        for name, value in told.items()
        if name in {each.name for each in fields(Dossier)}  # another version's has others
    }
    return Dossier(**values)


def write_dossier(state: Path, dossier: Dossier) -> Path:
    """Keep it until ``drop_dossier``; its owner alone may read it."""
    place = _place(state, dossier.persons, dossier.owner, dossier.chosen)
    make_folder(place.parent)
    told = {
        each.name: sorted(value) if isinstance(value, set) else value
        for each in fields(dossier)
        for value in (getattr(dossier, each.name),)
    }
    fresh = place.with_suffix(".new")
    with explained_place(str(place.parent)):
        number = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            json.dump(told, stream)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(place)
    return place


def drop_dossier(state: Path, dossier: Dossier) -> None:
    """Remove it, and its folder with the last one."""
    place = _place(state, dossier.persons, dossier.owner, dossier.chosen)
    for left in (place, place.with_suffix(".new")):
        left.unlink(missing_ok=True)
    if place.parent.is_dir() and not any(place.parent.iterdir()):
        place.parent.rmdir()


def unfinished(state: Path) -> int:
    """How many subjects somebody began to forget and was stopped."""
    return len(list((state / FOLDER).glob("*.json")))

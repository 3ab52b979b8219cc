"""Forget a subject: find, remove and prove, in an order in which a kill at any moment is mended by
running again.

First all that is known is written down, then the tombstone that keeps ingestion from bringing the
subject back; then rows, pages, answers and files go; last everything is searched, and only when
nothing is found does what was written down go too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from infra.errors import InputError
from infra.occupancy import alone
from infra.settings.environment import Environment
from infra.store import Store
from infra.tombstones import (
    Kind,
    Tombstone,
    Tombstones,
    make_key,
    read_tombstone,
    read_tombstones,
    write_tombstone,
)
from infra.tracking import VersionSeen
from infra.tracking_runs import RunBook
from tasks.forget.artifacts import Held, find_held, remove_whole, rewrite_pieces
from tasks.forget.dossier import Dossier, drop_dossier, read_dossier, write_dossier
from tasks.forget.elsewhere import (
    change_databases,
    erase_requests,
    left_work,
    remove_files,
    remove_work,
)
from tasks.forget.gather import (
    learn_reading,
    learn_rows,
    needles_of,
    new_dossier,
    raw_folders,
    read_sources,
)
from tasks.forget.learned import learn_stages, learn_versions, mark_versions
from tasks.forget.needles import Needles, is_long
from tasks.forget.others import look_at_others, shared_counts
from tasks.forget.outside import Outside, find_outside
from tasks.forget.proof import Proof, search_everywhere
from tasks.forget.requests import find_unowned, learn_owned, learn_requests
from tasks.forget.studies import learn_studies
from tasks.forget.tables import Theirs


@dataclass(frozen=True)
class ForgetOrder:
    """What a person asks for.

    Args:
        studies: forget these studies of the subject alone; empty for all.
        retire: remove stages that learned from the subject with all that came of them, and take
            the aliases of their versions away.
        old_answers: erase also stored answers of which nobody knows whose they are.
    """

    source: str
    subject: str
    studies: tuple[str, ...] = ()
    dry_run: bool = False
    retire: bool = False
    old_answers: bool = False


@dataclass(frozen=True)
class Forgotten:
    """What was done, or would be.

    Args:
        removed: how much went, by kind.
        stages: by folder, how a stage learned from the subject.
        versions: registered versions that came of those, with their aliases.
        raw: published files that still hold the subject: they are not ours to delete.
        sent: batches at a server that hold such requests.
        short_ids: ids that are too short to search bytes for; tables were searched for them.
        shared: how much of theirs others have too, by kind: it stays where others have it.
        proof: None in a dry run.
    """

    studies: int
    images: int
    removed: Mapping[str, int]
    stages: Mapping[str, str]
    versions: Mapping[str, tuple[str, ...]]
    raw: tuple[str, ...]
    sent: tuple[str, ...]
    short_ids: int
    shared: Mapping[str, int] = field(default_factory=dict)
    proof: Proof | None = field(default=None)


@dataclass(frozen=True)
class _Found:
    """All that is known before anything is changed."""

    theirs: Theirs
    needles: Needles
    held: Held
    versions: list[VersionSeen]
    raw: tuple[str, ...]
    shared: Mapping[str, int]
    unowned: frozenset[str]
    untold: Mapping[str, int]
    places: Outside

    @property
    def dossier(self) -> Dossier:
        return self.theirs.dossier


def forget(
    asked: ForgetOrder, environment: Environment, store: Store, roots: Mapping[str, Path]
) -> Forgotten:
    """Remove a subject from everything under the data root and from the stores beside it.

    Args:
        roots: where raw files lie, by source, as far as it is known.

    Raises:
        InputError: nothing is known of the subject, a run is at work, or a database is in use.
    """
    if asked.dry_run:
        found = _find(asked, environment, store, dict(roots))
        return _told(found, *_take_out(found, store, dry_run=True), None)
    with alone(store.state):
        _refuse_strangers(store)
        found = _find(asked, environment, store, dict(roots))
        dossier = found.dossier
        dossier.count(_take_out(found, store, dry_run=True)[0])
        write_dossier(store.state, dossier)
        tombstones = _raise_tombstones(store, dossier)
        book = RunBook(environment.tracking_uri, "")
        mark_versions(store, book, found.versions, retire=asked.retire)
        removed, sent = _take_out(found, store, dry_run=False)
        dossier.count(removed)
        proof = search_everywhere(store, found.places, dossier, found.needles)
        proof.unsearched += (*_unowned_left(store, dossier), *_untold(found.untold))
        if proof.is_whole:
            for tombstone in tombstones:
                write_tombstone(store, _with_counts(tombstone, dossier.counts))
            drop_dossier(store.state, dossier)
    return _told(found, dossier.counts, sent, proof)


def _unowned_left(store: Store, dossier: Dossier) -> tuple[str, ...]:
    number = len(find_unowned(store, dossier))
    return (
        (
            f"{number:,} stored answers that tell not whose they are, for they were stored before "
            "that was noted: let 'cxr run' replay them, or run again with --old-answers to erase "
            "them too",
        )
        if number
        else ()
    )


def _untold(studies: Mapping[str, int]) -> Iterator[str]:
    for source, number in studies.items():
        yield (
            f"{number:,} rejected studies of {source} whose subject no table tells, for they were "
            f"ingested before that was noted: run again with --source {source}=PATH"
        )


def _refuse_strangers(store: Store) -> None:
    """Work of another machine on a shared folder cannot be told from work that was stopped."""
    theirs = store.scratch_of_others()
    if theirs:
        raise InputError(
            f"work of another machine in {theirs[0].parent}",
            "a data root that nobody else writes to",
            "let it end there, or remove that folder if it was stopped, and run again",
        )


def _find(
    asked: ForgetOrder, environment: Environment, store: Store, roots: dict[str, Path]
) -> _Found:
    places = find_outside(environment)
    dossier = new_dossier(asked.source, asked.subject, tuple(sorted(asked.studies)))
    earlier = read_dossier(store.state, dossier.persons, dossier.owner, dossier.chosen)
    if earlier is not None:
        dossier.add(earlier)
    readings = read_sources(raw_folders(store, dossier, roots), dossier)
    untold = learn_studies(store, dossier, readings)
    learn_rows(store, dossier)
    for reading in readings.values():
        learn_reading(dossier, reading)
    learn_owned(store, dossier)
    earlier_records = _records(store, dossier)
    if dossier.is_empty and not (dossier.requests or earlier_records):
        raise InputError(
            f"no study of subject '{asked.subject}' of source '{asked.source}' under {store.root}",
            "a subject id as its publisher writes it, or a study's where it names none",
            f"look with 'cxr trace', or give --source {asked.source}=PATH if it was never ingested",
        )
    others = look_at_others(store, dossier, readings.values())
    theirs = Theirs(dossier, frozenset(others.longer))
    learn_requests(store, theirs)
    learn_stages(store, theirs, earlier_records)
    versions = learn_versions(RunBook(environment.tracking_uri, ""), dossier)
    needles = needles_of(store, dossier, others)
    retired = set(dossier.learned) if asked.retire else set()
    held = find_held(store, theirs, needles, retired)
    shared = shared_counts(dossier, needles, others)
    unowned = frozenset(find_unowned(store, dossier)) if asked.old_answers else frozenset()
    return _Found(
        theirs, needles, held, versions, _raw_left(dossier, roots), shared, unowned, untold, places
    )


def _records(store: Store, dossier: Dossier) -> list[Tombstone]:
    """What is recorded of the same withdrawal, if they were forgotten before."""
    known = read_tombstones(store)
    found = (read_tombstone(store, digest) for digest, _ in _digests(known, dossier))
    return [record for record in found if record is not None]


def _digests(tombstones: Tombstones, dossier: Dossier) -> list[tuple[str, Kind]]:
    if dossier.chosen:
        named: list[tuple[Kind, str]] = [("study", study) for study in dossier.chosen]
    else:
        named = [("subject", dossier.owner)]
    return [(tombstones.digest(dossier.persons, kind, name), kind) for kind, name in named]


def _raise_tombstones(store: Store, dossier: Dossier) -> list[Tombstone]:
    """Written before anything is removed, so that nothing comes back meanwhile."""
    raised = []
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for digest, kind in _digests(make_key(store), dossier):
        earlier = read_tombstone(store, digest)
        began = earlier.withdrawn_at if earlier is not None else now
        learned = {**(earlier.learned if earlier is not None else {}), **dossier.learned}
        tombstone = Tombstone(digest, kind, began, learned, earlier.removed if earlier else {})
        write_tombstone(store, tombstone)
        raised.append(tombstone)
    return raised


def _with_counts(tombstone: Tombstone, removed: Mapping[str, int]) -> Tombstone:
    names = sorted({*tombstone.removed, *removed})
    sums = {name: tombstone.removed.get(name, 0) + removed.get(name, 0) for name in names}
    told = vars(tombstone) | {"removed": {name: number for name, number in sums.items() if number}}
    return Tombstone(**told)


def _take_out(
    found: _Found, store: Store, *, dry_run: bool
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Remove, or count what would be: how much of each kind, and batches at a server."""
    dossier, needles, held = found.dossier, found.needles, found.held
    places = found.places
    removed = {f"pieces of {kind}": number for kind, number in _by_kind(held.pieces).items()}
    removed |= {f"whole {kind}": number for kind, number in _by_kind(held.whole).items()}
    erased = erase_requests(store.state, dossier, needles, found.unowned, dry_run=dry_run)
    removed["answers of a language model"] = erased.total
    if not dry_run:
        rewrite_pieces(store, held, found.theirs)
        remove_whole(store, held)
    doomed = left_work(store, dossier)
    removed["files of stopped runs and copies"] = remove_work(doomed, dry_run=dry_run)
    removed["rows of databases"] = change_databases(places, needles, doomed, dry_run=dry_run)
    removed["other files"] = remove_files(
        store, places, needles, held.pictures, doomed, dry_run=dry_run
    )
    return {name: number for name, number in removed.items() if number}, erased.sent


def _by_kind(folders: list[str]) -> dict[str, int]:
    kinds = [folder.partition("/")[0] for folder in folders]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def _raw_left(dossier: Dossier, roots: Mapping[str, Path]) -> tuple[str, ...]:
    """Published files of theirs, where it is known where they lie."""
    left = set()
    for told in dossier.uris:
        source, _, uri = told.partition(":")
        if source not in roots:
            continue
        place, mark, member = uri.partition("!")
        if (roots[source] / place).exists():
            left.add(f"{roots[source] / place}{f' ({member})' if mark else ''}")
    return tuple(sorted(left))


def _told(
    found: _Found, removed: Mapping[str, int], sent: tuple[str, ...], proof: Proof | None
) -> Forgotten:
    dossier = found.dossier
    return Forgotten(
        len(dossier.studies),
        len(dossier.images),
        removed,
        dict(sorted(dossier.how.items())),
        {version.label: version.aliases for version in found.versions},
        found.raw,
        sent,
        sum(not is_long(name) for name in dossier.ids),
        found.shared,
        proof,
    )

"""Artifacts: folders that say what made them, and are whole or absent.

Layout under the data root::

    images/mimic_cxr-0f3a…/            kind/name-<fingerprint>
        p003-91c2…/images.parquet      a piece: key and digest of its content
        p003-91c2…/rejected.parquet
        manifest.json                  written last: without it the folder is scratch

The fingerprint covers the step's own settings, the fingerprints of its inputs and a revision.
Each piece has an input digest: a piece whose settings, revision and input digest equal those of a
piece in a sibling artifact is referred to, not built again. Everything read back is checked
against the manifest's digests; a damaged piece is rebuilt alone.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.building import PieceBuilder, build_in
from infra.checked import CheckedPieces, checked_pieces
from infra.errors import ArtifactError
from infra.fingerprint import canonical_json, code_digests, drifted_modules, file_digest
from infra.pieces import (
    BuiltPiece,
    Count,
    Piece,
    add_counts,
    content_digest,
    describe_files,
    is_sound,
    piece_from_json,
)
from infra.provenance import git_commit
from infra.record_file import read_record, sealed
from infra.step import MANIFEST, Step, asked_again, sibling_manifests, tell_watcher, why_built
from infra.store import Store, explained_place

VOLATILE = ("created_at", "seconds", "measured", "host", "git_commit", "code")
"""The manifest's fields that may differ between two runs that built the same thing."""


@dataclass(frozen=True)
class Artifact:
    """A whole artifact; ``built`` names the pieces this call built (none: it was cached).

    ``seconds`` is how long it took to build, with the attempts that builders went on from;
    ``checking_seconds`` how long this call took to hold its bytes against the manifest.
    """

    store: Store
    step: Step
    pieces: tuple[Piece, ...]
    built: tuple[str, ...] = ()
    reason: str = ""
    drift: tuple[str, ...] = ()
    created_at: str = ""
    seconds: float = 0.0
    checking_seconds: float = 0.0

    @property
    def fingerprint(self) -> str:
        return self.step.fingerprint

    @property
    def folder(self) -> str:
        return self.step.folder

    @property
    def cached(self) -> bool:
        return not self.built

    @property
    def counts(self) -> tuple[Count, ...]:
        return add_counts([count for piece in self.pieces for count in piece.counts])

    def files(self, name: str) -> list[Path]:
        """Local paths of that file in every piece that has it, in piece order."""
        return [
            self.store.local(f"{piece.folder}/{file.name}", file.digest)
            for piece in self.pieces
            for file in piece.files
            if file.name == name
        ]

    def local_folder(self, key: str) -> Path:
        """Local folder of one piece with all its files."""
        piece = next(piece for piece in self.pieces if piece.key == key)
        if self.store.is_local:
            return Path(self.store.path(piece.folder))
        target = self.store.state / "downloads" / piece.folder.replace("/", "--")
        for file in piece.files:
            place = target / file.name
            if not place.exists() or file_digest(place) != file.digest:
                self.store.download(f"{piece.folder}/{file.name}", file.digest, place)
        return target


OnPiece = Callable[[int, int], None]


def ignore_progress(done: int, total: int) -> None:
    """The ``on_piece`` of a caller that does not watch."""
    del done, total


def read_artifact(store: Store, step: Step) -> Artifact | None:
    """The artifact as its manifest tells it, pieces unchecked; None when absent or damaged."""
    manifest = read_record(store, f"{step.folder}/{MANIFEST}")
    return None if manifest is None else _from_manifest(store, step, manifest)


def find_artifacts(store: Store, kind: str, beginning: str) -> list[Artifact]:
    """Artifacts of a kind whose fingerprint, or whose folder's name, begins so; newest first.

    They are read as their manifests tell them: no recipe says how they are made. One that is not
    finished is none.

    Raises:
        ArtifactError: a manifest is damaged; without it another artifact would pass for the newest.
    """
    found = []
    for folder in store.list_folder(kind):
        name, _, fingerprint = folder.rpartition("-")
        manifest = None
        if folder.startswith(beginning) or fingerprint.startswith(beginning):
            place = f"{kind}/{folder}/{MANIFEST}"
            manifest = read_record(store, place)
            if manifest is None and store.exists(place):
                raise ArtifactError(
                    f"found a damaged manifest at {store.root}/{place}; expected it as it was "
                    "written; run again what made it: its pieces are kept"
                )
        if manifest is not None:
            told = (manifest["settings"], manifest["inputs"], manifest["revision"])
            found.append(_from_manifest(store, Step(kind, name, *told, code=()), manifest))
    return sorted(found, key=lambda artifact: artifact.created_at, reverse=True)


def checked_files(artifact: Artifact, name: str) -> list[Path]:
    """``artifact.files(name)`` for a reader that builds nothing: held to the manifest first.

    Raises:
        ArtifactError: one is absent, or its bytes are others.
    """
    for piece in artifact.pieces:
        require_sound(artifact.store, piece, name)
    return artifact.files(name)


def require_sound(store: Store, piece: Piece, name: str) -> None:
    """Check one file of a piece, if the piece has it.

    Raises:
        ArtifactError: it is absent, or its bytes are others than the piece's record tells.
    """
    held = tuple(file for file in piece.files if file.name == name)
    if not is_sound(store, replace(piece, files=held)):
        raise ArtifactError(
            f"found {store.root}/{piece.folder}/{name} damaged or absent; expected the bytes that "
            "its manifest tells; run again what made it: that piece alone is rebuilt"
        )


def damaged_pieces(artifact: Artifact, checked: CheckedPieces | None = None) -> list[str]:
    """Keys of pieces with a missing file or one whose bytes differ from the manifest.

    What was compared lately and was not touched since is not read again; what is found here is kept
    for the next call only in the caller's ``checked``.
    """
    checked = checked or CheckedPieces(artifact.store)
    return [piece.key for piece in artifact.pieces if not checked.is_sound(piece)]


def build_artifact(
    store: Store,
    step: Step,
    plan: Callable[[], Mapping[str, str]],
    build: PieceBuilder,
    *,
    executor: Executor | None = None,
    on_piece: OnPiece = ignore_progress,
    on_wait: Callable[[], None] | None = None,
    before: Callable[[Sequence[str]], None] | None = None,
) -> Artifact:
    """Return the artifact, building what is absent or damaged and nothing else.

    Args:
        plan: gives the input digest by piece key (all that a piece depends on besides the
            settings); asked only when there is something to build.
        build: writes one piece; with an ``executor`` it must be picklable.
        on_piece: called with (done, total) as pieces get ready.
        on_wait: called once when another run on this machine is building the same artifact.
        before: called once with the keys of the pieces that will be built, before the first.

    Raises:
        InputError: the disk is full, read-only or forbidden.
        ArtifactError: two pieces' builders disagree with the manifest, or nothing was written.
    """
    started = time.monotonic()
    tell_watcher(step, building=False)
    existing, again = read_artifact(store, step), asked_again(step)
    if again is None and existing is not None and not _damaged(existing):
        return replace(existing, checking_seconds=time.monotonic() - started)
    with store.lock(step.folder, on_wait):
        existing = read_artifact(store, step)
        damaged = _damaged(existing) if existing else []
        if again is None and existing is not None and not damaged:
            return existing
        tell_watcher(step, building=True)
        with explained_place(store.root):
            pieces = plan()
        todo, reason = _build_locked(
            store, step, existing, damaged, pieces, build, executor, on_piece, before
        )
    done = read_artifact(store, step)
    assert done is not None
    if again is not None and not todo and existing == done:
        return done
    return replace(done, built=tuple(todo) or (MANIFEST,), reason=reason, drift=())


def _damaged(artifact: Artifact) -> list[str]:
    with checked_pieces(artifact.store) as checked:
        return damaged_pieces(artifact, checked)


def _build_locked(
    store: Store,
    step: Step,
    existing: Artifact | None,
    damaged: Sequence[str],
    pieces: Mapping[str, str],
    build: PieceBuilder,
    executor: Executor | None,
    on_piece: OnPiece,
    before: Callable[[Sequence[str]], None] | None,
) -> tuple[list[str], str]:
    """Build what is missing and publish the manifest; the built keys and the reason."""
    started = time.monotonic()
    broken = existing is None and store.exists(f"{step.folder}/{MANIFEST}")
    for piece in existing.pieces if existing and store.is_local else ():
        if piece.key in damaged:
            store.remove(piece.folder)
    again = asked_again(step) or frozenset()
    reason = why_built(store, step, damaged, broken, again & pieces.keys())
    sound = _sound_pieces(store, step, existing)
    kept = {key: digest for key, digest in pieces.items() if key not in again}
    ready = {key: sound[key, digest] for key, digest in kept.items() if (key, digest) in sound}
    todo = [key for key in pieces if key not in ready]
    if todo and before is not None:
        before(todo)
    earlier = _build_missing(store, step, pieces, todo, ready, build, executor, on_piece)
    whole = [ready[key] for key in pieces]
    seconds = time.monotonic() - started + earlier
    if todo or existing is None or damaged:
        overwrite = broken or existing is not None
        _write_manifest(store, step, whole, seconds, overwrite=overwrite)
    return todo, reason


def _build_missing(
    store: Store,
    step: Step,
    digests: Mapping[str, str],
    todo: Sequence[str],
    ready: dict[str, Piece],
    build: PieceBuilder,
    executor: Executor | None,
    on_piece: OnPiece,
) -> float:
    """Build the pieces in ``todo`` into ``ready``; each is published as soon as it is finished.

    Returns the seconds that earlier attempts took, as their builders tell them.
    """
    total, earlier = len(digests), 0.0
    on_piece(len(ready), total)
    with store.scratch() as scratch:
        folders = {key: scratch / f"piece-{number}" for number, key in enumerate(todo)}
        for folder in folders.values():
            folder.mkdir()
        results: Iterator[tuple[str, BuiltPiece]]
        if executor is None:
            results = ((key, build(key, folders[key])) for key in todo)
        else:
            results = build_in(executor, build, folders)
        with explained_place(store.root), checked_pieces(store) as checked:
            for key, outcome in results:
                ready[key] = _publish(store, step, key, digests[key], folders[key], outcome)
                checked.note(ready[key])
                earlier += outcome.earlier_seconds
                on_piece(len(ready), total)
    return earlier


def _publish(
    store: Store, step: Step, key: str, input_digest: str, folder: Path, outcome: BuiltPiece
) -> Piece:
    files = describe_files(folder)
    if not files:
        raise ArtifactError(f"{step.folder}: piece {key} wrote no file")
    place = f"{step.folder}/{key}-{content_digest(files)}"
    piece = Piece(key, input_digest, place, files, outcome.counts, outcome.facts, outcome.measured)
    if store.is_local and not is_sound(store, piece):
        store.remove(place)  # what a crash or a bad disk left there must not win
    # Elsewhere another host may be uploading just that; names follow from the content, so each
    # file is overwritten by an equal one.
    store.publish_folder(folder, place)
    store.overwrite(_receipt(step, key), sealed(asdict(piece)))
    return piece


def _receipt(step: Step, key: str) -> str:
    return f"{step.folder}/.receipts/{key}.json"


def _sound_pieces(
    store: Store, step: Step, existing: Artifact | None
) -> dict[tuple[str, str], Piece]:
    """Pieces that may be used again: this artifact's, its receipts', its equal siblings'."""
    candidates = list(existing.pieces) if existing else []
    for name in store.list_folder(f"{step.folder}/.receipts"):
        receipt = read_record(store, f"{step.folder}/.receipts/{name}")
        if receipt is not None:
            candidates.append(piece_from_json(receipt))
    for manifest in sibling_manifests(store, step):
        same = canonical_json(manifest["settings"]) == canonical_json(step.settings)
        if same and manifest["revision"] == step.revision:
            # a piece without a digest of its input says nothing of what it was made from
            items = [item for item in manifest["pieces"] if item["input_digest"]]
            candidates.extend(piece_from_json(item) for item in items)
    found: dict[tuple[str, str], Piece] = {}
    with checked_pieces(store) as checked:
        for piece in candidates:
            place = (piece.key, piece.input_digest)
            if place not in found and checked.is_sound(piece):
                found[place] = piece
    return found


def _write_manifest(
    store: Store, step: Step, pieces: Sequence[Piece], seconds: float, *, overwrite: bool
) -> None:
    manifest = {
        "kind": step.kind,
        "name": step.name,
        "fingerprint": step.fingerprint,
        "settings": step.settings,
        "inputs": step.inputs,
        "revision": step.revision,
        "counts": [asdict(c) for c in add_counts([c for piece in pieces for c in piece.counts])],
        "pieces": [asdict(replace(piece, measured={})) for piece in pieces],
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "measured": {piece.key: piece.measured for piece in pieces if piece.measured},
        "host": platform.node(),
        "git_commit": git_commit(),
        "code": {"modules": step.code, "digests": code_digests(*step.code)},
    }
    text = sealed(manifest)
    place = f"{step.folder}/{MANIFEST}"
    if overwrite:
        store.overwrite(place, text)
    else:
        store.write_new(place, text)


def _from_manifest(store: Store, step: Step, manifest: Mapping[str, Any]) -> Artifact:
    recorded, measured = manifest["code"]["digests"], manifest.get("measured", {})
    pieces = [item | {"measured": measured.get(item["key"], {})} for item in manifest["pieces"]]
    return Artifact(
        store,
        step,
        tuple(piece_from_json(item) for item in pieces),
        drift=drifted_modules(recorded, code_digests(*step.code)),
        created_at=manifest["created_at"],
        seconds=manifest["seconds"],
    )

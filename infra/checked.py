"""What was checked lately: pieces whose files no one has touched since are not read again.

A run with nothing to do holds every piece against its manifest. Reading all bytes for that takes as
long as the disk needs; a file whose inode, size and times are what they were when its bytes were
last compared holds those bytes, unless the disk itself has lost them. For that, each piece is read
again after a week, and ``cxr doctor`` reads all. On an object store, where a check compares
sizes, one listing of an artifact tells those of all its files.

What is known lies in the state folder, one file for each artifact. Losing it costs time only.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import xxhash

from infra.pieces import Piece, is_sound
from infra.store import Store, explained_place

AGAIN_SECONDS = 7 * 24 * 3600.0
"""Our choice: how long a disk is trusted to keep what nobody writes."""
SETTLED_SECONDS = 3.0
"""A file changed so shortly before its check may change again without another time: the coarsest
clock of a file system ticks every 2 s (FAT; ext3 1 s). The rest is our choice."""
FOLDER = "checked"

_Known = dict[str, tuple[str, float]]
"""By a piece's folder: what its files looked like, and when their bytes were compared."""


class CheckedPieces:
    """Checks pieces, reading only what may have changed since it was read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, _Known] = {}
        self._changed: set[str] = set()
        self._listed: dict[str, Mapping[str, int]] = {}

    def is_sound(self, piece: Piece) -> bool:
        """Whether all files of a piece are there with the bytes its record tells."""
        artifact = piece.folder.rpartition("/")[0]
        if not self._store.is_local:
            sizes = self._sizes(artifact)
            places = {f"{piece.folder}/{file.name}": file.bytes for file in piece.files}
            return all(sizes.get(place) == size for place, size in places.items())
        started = time.time()
        seen = _look(self._store, piece)
        if seen is None:
            return False
        look, changed = seen
        known = self._known_of(artifact)
        before = known.get(piece.folder)
        if before is not None and before[0] == look and 0 <= started - before[1] < AGAIN_SECONDS:
            return True
        sound = is_sound(self._store, piece)
        if sound and changed < started - SETTLED_SECONDS:
            known[piece.folder] = (look, started)
            self._changed.add(artifact)
        return sound

    def note(self, piece: Piece) -> None:
        """Tell of a piece that this process has read and moved to its place just now.

        It is taken at its word where times are finer than seconds: whoever would change it unseen
        had to do so in the hundredth of a second in which it was written.
        """
        seen = _look(self._store, piece) if self._store.is_local else None
        if seen is not None and seen[1] % 1:
            artifact = piece.folder.rpartition("/")[0]
            self._known_of(artifact)[piece.folder] = (seen[0], time.time())
            self._changed.add(artifact)

    def save(self) -> None:
        """Write what was found; of two writers the later wins, and nothing but time is lost.

        Raises:
            InputError: the state folder is full, read-only or forbidden.
        """
        for artifact in sorted(self._changed):
            place = _place(self._store, artifact)
            temporary = place.with_name(f"{place.name}.{uuid.uuid4().hex}.part")
            with explained_place(str(self._store.state)):
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    temporary.write_text(json.dumps(self._known[artifact]), encoding="utf-8")
                    temporary.replace(place)
                finally:
                    temporary.unlink(missing_ok=True)
        self._changed.clear()

    def _known_of(self, artifact: str) -> _Known:
        if artifact not in self._known:
            self._known[artifact] = _read(_place(self._store, artifact))
        return self._known[artifact]

    def _sizes(self, artifact: str) -> Mapping[str, int]:
        """Bytes of every file of an artifact on an object store, by its place under the root."""
        if artifact not in self._listed:
            base = len(self._store.path(""))
            try:
                found = self._store.fs.find(self._store.path(artifact), detail=True)
            except FileNotFoundError:
                found = {}
            self._listed[artifact] = {name[base:]: info["size"] for name, info in found.items()}
        return self._listed[artifact]


@contextmanager
def checked_pieces(store: Store) -> Iterator[CheckedPieces]:
    """Checks whose findings are kept."""
    checked = CheckedPieces(store)
    yield checked
    checked.save()


def forget_checks(store: Store, artifact: str) -> None:
    """Drop what is known of an artifact that is gone."""
    _place(store, artifact).unlink(missing_ok=True)


def _place(store: Store, artifact: str) -> Path:
    root = xxhash.xxh3_64_hexdigest(store.root.encode())
    return store.state / FOLDER / root / f"{artifact.replace('/', '--')}.json"


def _read(place: Path) -> _Known:
    """What was kept; nothing where the file is absent or damaged, for then all is read again."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        told = json.loads(place.read_text(encoding="utf-8"))
        return {str(folder): (str(look), float(at)) for folder, (look, at) in told.items()}
    return {}


def _look(store: Store, piece: Piece) -> tuple[str, float] | None:
    """What the system tells of a piece's files, and when the last was changed; None if one is gone.

    The record's own digests are part of it: another record of the same files is another question.
    """
    digest, changed = xxhash.xxh3_64(), 0.0
    for file in piece.files:
        try:
            status = Path(store.path(f"{piece.folder}/{file.name}")).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        told = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(f"{file.name}\0{file.bytes}\0{file.digest}\0{told}\n".encode())
        changed = max(changed, status.st_mtime, status.st_ctime)
    return digest.hexdigest(), changed

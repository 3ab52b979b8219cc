"""What lies under a data root, as its manifests tell; each is read once, until it changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from infra.artifact import Artifact
from infra.errors import ArtifactError, InputError
from infra.fingerprint import file_digest, fingerprint
from infra.pieces import piece_from_json
from infra.record_file import read_record
from infra.step import MANIFEST, Step
from infra.store import Store
from tasks.graph import REVISIONS
from tasks.serve.refused import Refused

_YOUNG_SECONDS: Final = 1.0
"""Between two looks at the folders. Our choice: a person who reloads sees what is new."""
_SHORT: Final = 8  # letters of a fingerprint that a person reads


@dataclass(frozen=True)
class Kept:
    """An artifact with what its manifest tells beside it: who made it, and what was paid."""

    artifact: Artifact
    host: str
    commit: str

    @property
    def folder(self) -> str:
        return self.artifact.folder

    @property
    def kind(self) -> str:
        return self.artifact.step.kind

    @property
    def name(self) -> str:
        return self.artifact.step.name

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def short(self) -> str:
        return self.folder.rpartition("-")[2][:_SHORT]

    @property
    def created_at(self) -> str:
        return self.artifact.created_at

    @property
    def input_folders(self) -> tuple[str, ...]:
        """Artifacts that it was made from, as folders; raw data and rounds are none."""
        inputs = self.artifact.step.inputs.items()
        return tuple(f"{key}-{value}" for key, value in inputs if key.partition("/")[2])

    def paid(self, name: str) -> float:
        """The sum over pieces of a number such as ``cost_usd`` or ``input_tokens``."""
        told = (piece.facts.get(name) for piece in self.artifact.pieces)
        return sum(float(value) for value in told if isinstance(value, int | float))

    @property
    def has_calls(self) -> bool:
        """Whether language models had a part in it."""
        return any("input_tokens" in piece.facts for piece in self.artifact.pieces)

    def input_of(self, kind: str) -> str | None:
        """The folder of the first input of a kind."""
        return next((one for one in self.input_folders if one.startswith(f"{kind}/")), None)


@dataclass
class Library:
    """All artifacts of a data root. Any thread may ask."""

    store: Store
    _kept: dict[str, tuple[tuple[Any, ...], Kept | None]] = field(default_factory=dict)
    _looked: float = -_YOUNG_SECONDS
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _checked: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def all(self) -> Mapping[str, Kept]:
        """Sound artifacts by folder."""
        return {folder: kept for folder, (_, kept) in self._fresh().items() if kept is not None}

    def damaged(self) -> tuple[str, ...]:
        """Folders whose manifest cannot be trusted."""
        return tuple(folder for folder, (_, kept) in self._fresh().items() if kept is None)

    def of(self, kind: str) -> list[Kept]:
        """Those of a kind, newest first."""
        found = [kept for kept in self.all().values() if kept.kind == kind]
        return sorted(found, key=lambda kept: (kept.created_at, kept.folder), reverse=True)

    def get(self, folder: str) -> Kept:
        """The artifact of a folder.

        Raises:
            Refused: 404, there is none, or it is damaged.
        """
        found = self.all().get(folder)
        if found is None:
            raise Refused(404, "no_artifact", "there is no such artifact under this data root")
        return found

    def stamp(self) -> str:
        """Changes when an artifact comes, goes or changes."""
        seen = {folder: list(map(str, stamp)) for folder, (stamp, _) in self._fresh().items()}
        return fingerprint(seen)

    def file(self, kept: Kept, name: str) -> Path | None:
        """A local path of an artifact's file, its bytes held to the manifest; None without one.

        Raises:
            ArtifactError: the bytes are others.
        """
        return next(iter(self.files(kept, name)), None)

    def files(self, kept: Kept, name: str) -> list[Path]:
        """The same of every piece that has such a file; ``*-000`` names may end in ``*``."""
        return list(self._files(kept, name))

    def _files(self, kept: Kept, name: str) -> Iterator[Path]:
        beginning = name.removesuffix("*")
        for piece in kept.artifact.pieces:
            for file in piece.files:
                is_it = file.name.startswith(beginning) if name != beginning else file.name == name
                if is_it:
                    path = self.store.local(f"{piece.folder}/{file.name}", file.digest)
                    self._check(path, file.digest)
                    yield path

    def _check(self, path: Path, digest: str) -> None:
        """Once, and again when the file has changed."""
        try:
            told = path.stat()
        except FileNotFoundError:
            raise _damaged(path) from None
        seen = (told.st_ino, told.st_size, told.st_mtime_ns, digest)
        if self._checked.get(str(path)) != seen:
            if file_digest(path) != digest:
                raise _damaged(path)
            self._checked[str(path)] = seen

    def _fresh(self) -> Mapping[str, tuple[tuple[Any, ...], Kept | None]]:
        with self._lock:
            if time.monotonic() - self._looked >= _YOUNG_SECONDS:
                self._kept = dict(self._look())
                self._looked = time.monotonic()
            return self._kept

    def _look(self) -> Iterator[tuple[str, tuple[tuple[Any, ...], Kept | None]]]:
        for kind in REVISIONS:
            for name in self.store.list_folder(kind):
                folder = f"{kind}/{name}"
                stamp = self._stamp(f"{folder}/{MANIFEST}")
                if stamp is None:
                    continue  # not finished
                known = self._kept.get(folder)
                yield folder, known if known and known[0] == stamp else (stamp, self._read(folder))

    def _stamp(self, place: str) -> tuple[Any, ...] | None:
        try:
            told = self.store.fs.info(self.store.path(place))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return tuple(told.get(name) for name in ("size", "mtime", "LastModified", "ETag", "ino"))

    def _read(self, folder: str) -> Kept | None:
        try:
            manifest = read_record(self.store, f"{folder}/{MANIFEST}")
        except InputError:
            return None
        return None if manifest is None else _kept_of(self.store, folder, manifest)


def _kept_of(store: Store, folder: str, manifest: Mapping[str, Any]) -> Kept | None:
    kind, _, rest = folder.partition("/")
    measured = manifest.get("measured", {})
    pieces = [item | {"measured": measured.get(item["key"], {})} for item in manifest["pieces"]]
    told = (manifest["settings"], manifest["inputs"], manifest["revision"])
    artifact = Artifact(
        store,
        Step(kind, rest.rpartition("-")[0], *told, code=()),
        tuple(map(piece_from_json, pieces)),
        created_at=manifest["created_at"],
        seconds=manifest["seconds"],
    )
    if artifact.folder != folder:
        return None  # it tells of another
    return Kept(artifact, str(manifest["host"]), str(manifest["git_commit"]))


def _damaged(path: Path) -> ArtifactError:
    return ArtifactError(
        f"found {path.parent.name}/{path.name} damaged or absent; expected the bytes that its "
        "manifest tells; run again what made it"
    )

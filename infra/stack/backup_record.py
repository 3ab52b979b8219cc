"""What a backup of a stack holds, told by a manifest that is written last.

databases/prefect.dump, mlflow.dump    pg_dump's own format
objects/…                              the object store's files
state/…, prefect/…                     answers that were paid, Prefect's home
backup.json                            every file's size and digest; without it nothing is whole
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from infra.errors import InputError
from infra.fingerprint import file_digest, fingerprint
from infra.record_file import SEAL, sealed

MANIFEST: Final = "backup.json"
VERSION: Final = 1
DATABASES: Final = "databases"


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and xxh3-128 digest of one file."""

    bytes: int
    digest: str


@dataclass(frozen=True)
class Backup:
    """One whole backup.

    Args:
        counts: what it holds, as a person counts it: runs, models, aliases, artifacts, objects.
        lacking: artifacts whose manifest names objects that were not there to be copied.
    """

    created_at: str
    postgres: str
    counts: Mapping[str, int]
    lacking: tuple[str, ...]
    files: Mapping[str, FileRecord]

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.files.values())


def describe(folder: Path) -> dict[str, FileRecord]:
    """Every file below a folder but its manifest, by its path in the folder."""
    return {
        name: FileRecord((folder / name).stat().st_size, file_digest(folder / name))
        for name in sorted(_files_of(folder))
    }


def _files_of(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            yield name


def write_backup(folder: Path, backup: Backup) -> None:
    """Write the manifest, whole or not at all."""
    partial = folder / f".{MANIFEST}.partial"
    partial.write_text(sealed({"version": VERSION, **asdict(backup)}), encoding="utf-8")
    partial.replace(folder / MANIFEST)


def read_backup(folder: Path) -> Backup:
    """A backup, each of its files held against the manifest.

    Raises:
        InputError: it is not whole: the first thing that is wrong with it, on one line.
    """
    told = _read_manifest(folder)
    files = {name: FileRecord(**each) for name, each in told["files"].items()}
    found = set(_files_of(folder))
    for name, record in files.items():
        path = folder / name
        if name not in found:
            raise _damaged(f"no {name} in the backup at {folder}")
        if path.stat().st_size != record.bytes:
            raise _damaged(f"{path} with {path.stat().st_size} bytes instead of {record.bytes}")
        if file_digest(path) != record.digest:
            raise _damaged(f"{path} with other bytes than were written")
    strangers = sorted(found - files.keys())
    if strangers:
        raise _damaged(f"{folder / strangers[0]}, which is no part of the backup")
    return Backup(
        told["created_at"], told["postgres"], told["counts"], tuple(told["lacking"]), files
    )


def _read_manifest(folder: Path) -> dict:  # type: ignore[type-arg]
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        seal = told.pop(SEAL)
        whole = seal == fingerprint(told)
    except FileNotFoundError:
        raise InputError(
            f"no {MANIFEST} in {folder}",
            "a backup that was finished, for that is written last",
            "name another, or back up again",
        ) from None
    except (ValueError, KeyError, AttributeError, TypeError):
        whole = False
    if not whole:
        raise _damaged(f"a damaged {folder / MANIFEST}")
    if told["version"] != VERSION:
        raise InputError(
            f"a backup of version {told['version']} at {folder}",
            f"version {VERSION}",
            "restore it with the cxrflow that wrote it",
        )
    return told  # type: ignore[no-any-return]  # sealed by ourselves


def _damaged(found: str) -> InputError:
    return InputError(found, "every byte as the backup's manifest tells", "use another backup")

"""What artifacts are cut into: pieces with files, digests and counts that add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from infra.fingerprint import file_digest
from infra.store import Store


@dataclass(frozen=True)
class Count:
    """How many rows of one unit came in, and where they went; rejected is by reason."""

    unit: str
    rows_in: int
    kept: int
    rejected: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lost = sum(self.rejected.values())
        assert self.rows_in == self.kept + lost, (
            f"{self.unit}: {self.rows_in} in, {self.kept} kept, {lost} rejected"
        )


def add_counts(counts: Sequence[Count]) -> tuple[Count, ...]:
    """Sum by unit, in order of first appearance."""
    totals: dict[str, Count] = {}
    for count in counts:
        before = totals.get(count.unit, Count(count.unit, 0, 0))
        reasons = dict(before.rejected)
        for reason, number in count.rejected.items():
            reasons[reason] = reasons.get(reason, 0) + number
        totals[count.unit] = Count(
            count.unit,
            before.rows_in + count.rows_in,
            before.kept + count.kept,
            dict(sorted(reasons.items())),
        )
    return tuple(totals.values())


@dataclass(frozen=True)
class PieceFile:
    """One file of a piece: name inside its folder, size in bytes, xxh3-128."""

    name: str
    bytes: int
    digest: str


@dataclass(frozen=True)
class Piece:
    """One piece: its folder is relative to the data root and may lie in a sibling artifact.

    ``measured`` is what differs between two runs that built the same thing: a trainer's pace, say.
    """

    key: str
    input_digest: str
    folder: str
    files: tuple[PieceFile, ...]
    counts: tuple[Count, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BuiltPiece:
    """What a piece's builder reports: counts that add up, and small JSON facts.

    ``measured`` holds JSON values that differ from run to run; ``earlier_seconds`` is what attempts
    before this one took, which it went on from.
    """

    counts: tuple[Count, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    earlier_seconds: float = 0.0


def describe_files(folder: Path) -> tuple[PieceFile, ...]:
    """Name, size and digest of every file under a folder, in path order."""
    return tuple(
        PieceFile(path.relative_to(folder).as_posix(), path.stat().st_size, file_digest(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def content_digest(files: Sequence[PieceFile]) -> str:
    """16 hexadecimal digits over the names and digests of a piece's files."""
    content = xxhash.xxh3_64()
    for file in files:
        content.update(f"{file.name}\0{file.digest}\n".encode())
    return content.hexdigest()


def is_sound(store: Store, piece: Piece) -> bool:
    """Whether all files of a piece are there with the bytes its record tells."""
    for file in piece.files:
        try:
            if not _is_file_sound(store, f"{piece.folder}/{file.name}", file):
                return False
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
    return True


def _is_file_sound(store: Store, relative: str, file: PieceFile) -> bool:
    """Size and digest on a local root; on a remote one the size, for a download checks the rest."""
    if not store.is_local:
        return bool(store.fs.info(store.path(relative))["size"] == file.bytes)
    path = store.local(relative)
    return path.stat().st_size == file.bytes and file_digest(path) == file.digest


def piece_from_json(item: Mapping[str, Any]) -> Piece:
    """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
    return Piece(
        item["key"],
        item["input_digest"],
        item["folder"],
        tuple(PieceFile(**file) for file in item["files"]),
        tuple(Count(**count) for count in item["counts"]),
        item["facts"],
        item.get("measured", {}),
    )

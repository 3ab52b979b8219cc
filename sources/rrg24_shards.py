"""The Hugging Face part of RRG24: Parquet shards by split, as tables without their pictures.

The repositories are found by their shards, wherever below the root they lie: ``<split>-*.parquet``
(as the hub stores them) or ``<split>/*.parquet`` (a folder for each split).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import SourceError
from sources.parquet_pictures import DAMAGED, leaf_path
from sources.record import Split
from sources.table_bytes import DOWNLOAD_AGAIN, require_file

SPLIT_WORDS: Final = {
    "train": Split.TRAIN,
    "validation": Split.VALIDATE,
    "valid": Split.VALIDATE,
    "val": Split.VALIDATE,
    "test": Split.TEST,
}
_TEXT: Final = (pa.string(), pa.large_string())
_TEXTS: Final = ("source", "findings", "impression")
DEPTHS: Final = ("*.parquet", "*/*.parquet", "*/*/*.parquet", "*/*/*/*.parquet")
"""Where shards may lie: the deepest is repository/data/split/shard."""


@dataclass(frozen=True)
class Shard:
    """One file; ``part`` is train, validation, test-public, test-hidden or test."""

    path: Path
    place: str
    split: Split
    part: str


def find_shards(root: Path) -> list[Shard]:
    """All shards below the root, by part and then by name.

    Raises:
        SourceError: a file of no known split, or one part in two folders.
    """
    shards = [_shard(root, path) for depth in DEPTHS for path in sorted(root.glob(depth))]
    folders: dict[str, set[Path]] = {}
    for shard in shards:
        folders.setdefault(shard.part, set()).add(shard.path.parent)
    for part, places in folders.items():
        if len(places) > 1:
            both = " and ".join(str(place) for place in sorted(places)[:2])
            raise SourceError(
                f"shards of the part {part} in {both}",
                "each part once",
                "keep one copy: the hub offers the same training set under two names",
            )
    return sorted(shards, key=lambda shard: (shard.part, shard.place))


def _shard(root: Path, path: Path) -> Shard:
    place = path.relative_to(root).as_posix()
    words = (path.name.partition("-")[0].removesuffix(".parquet"), path.parent.name)
    split = next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), None)
    if split is None:
        raise SourceError(
            f"no split in the name {place}",
            "train, validation or test as the first word of the file's or its folder's name",
            "keep the names of the hub",
        )
    part = "validation" if split is Split.VALIDATE else str(split)
    if split is Split.TEST:
        kind = next((word for word in ("hidden", "public") if word in place.lower()), None)
        part = f"test-{kind}" if kind else "test"
    return Shard(path, place, split, part)


def read_shard(shard: Shard) -> pa.Table:
    """Columns source, findings, impression, images_path (list) and images (how many); one row each.

    Pictures are not read.

    Raises:
        SourceError: no Parquet file, or one without these columns.
    """
    require_file(shard.path)
    try:
        with pq.ParquetFile(shard.path) as file:
            columns, missing = _leaves(file)
            if not missing:
                table = file.read(columns=columns, use_threads=False)
                table.validate(full=True)
                return table
    except DAMAGED as error:
        raise SourceError(
            f"no readable Parquet file at {shard.path} ({type(error).__name__})",
            "a whole shard",
            DOWNLOAD_AGAIN,
        ) from None
    raise SourceError(
        f"no column '{missing[0]}' of its type in {shard.path}",
        "source, findings and impression as text, images as lists of pictures, images_path as "
        "lists of texts",
        "check that this is the publisher's file",
    )


def _leaves(file: pq.ParquetFile) -> tuple[list[str], list[str]]:
    """The leaves to read, and the columns that are not there; ``images_path`` may be absent."""
    pictures = leaf_path(file, "images", "path") or leaf_path(file, "images", "bytes")
    paths = leaf_path(file, "images_path", "element") or leaf_path(file, "images_path", "item")
    kinds = {field.name: field.type for field in file.schema_arrow}
    missing = [n for n in _TEXTS if kinds.get(n) not in _TEXT]
    if pictures is None or not _holds_pictures(kinds["images"]):
        return [], [*missing, "images"]
    if not _may_be_paths(kinds.get("images_path", pa.null())):
        return [], [*missing, "images_path"]
    return [*_TEXTS, pictures, *([paths] if paths else [])], missing


def _holds_pictures(kind: pa.DataType) -> bool:
    """Whether it is lists of structs, whose bytes are bytes."""
    if not _is_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    held = kind.value_type.get_field_index("bytes")
    return held < 0 or kind.value_type.field(held).type in (pa.binary(), pa.large_binary())


def _may_be_paths(kind: pa.DataType) -> bool:
    """Whether it is lists of texts, or holds nothing at all."""
    return kind == pa.null() or (_is_list(kind) and kind.value_type in (*_TEXT, pa.null()))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))

"""Ingest the pixels of one piece of a source: published files in, stored pictures out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import xxhash

from infra.memory import keep_freed_memory
from infra.parquet import picture_array
from infra.settings.screen import OFF, ScreenPolicy
from infra.settings.sections import ImageSettings
from sources.pixels import IMAGE_ROW_SCHEMA, PixelError, StoredImage, prepare
from sources.raw_files import RawFileError, RawFolder
from sources.record import REJECTED_SCHEMA, Level, Rejected, rejected_to_table
from tasks.ingest.screened import screen_film

ASKED_SCHEMA = pa.schema(
    [
        pa.field(name, pa.string())
        for name in ("source", "study_id", "subject_id", "image_id", "view", "uri")
    ]
)
"""One image to ingest; ``uri`` is relative to the source's root (see ``sources.raw_files``)."""


@dataclass(frozen=True)
class _Asked:
    """One row of ASKED_SCHEMA."""

    source: str
    study_id: str
    subject_id: str | None
    image_id: str
    view: str
    uri: str


def ingest_piece(
    raw_root: Path, rows: pa.Table, settings: ImageSettings, screen: ScreenPolicy = OFF
) -> tuple[pa.Table, pa.Table]:
    """Read, decode, resize and encode every asked image.

    A pure function of the files, the rows and the settings; order is kept, and every row comes
    back in one of the two tables. Equal pictures within a source are all kept: whether that is a
    leak is for the guard to say, when splits are known.

    Args:
        raw_root: the source's root.
        rows: has the columns of ASKED_SCHEMA.
        screen: what is done where a film shows writing, or its header names a person.

    Returns:
        Kept rows in IMAGE_ROW_SCHEMA, and the rest in REJECTED_SCHEMA.
    """
    keep_freed_memory()
    kept: list[tuple[_Asked, StoredImage, str]] = []
    rejected: list[Rejected] = []
    with RawFolder(raw_root) as folder:
        for row in rows.select(ASKED_SCHEMA.names).to_pylist():
            asked = _Asked(**row)
            try:
                data = folder.read(asked.uri)
                hidden = screen_film(data, settings, screen) if screen.reads_films else ()
                stored = prepare(data, settings, hidden)
            except (RawFileError, PixelError) as error:
                rejected.append(_reject(asked, error))
            else:
                kept.append((asked, stored, xxhash.xxh3_128_hexdigest(data)))
    assert len(kept) + len(rejected) == rows.num_rows
    return _to_table(kept), rejected_to_table(
        rejected
    ) if rejected else REJECTED_SCHEMA.empty_table()


def _reject(asked: _Asked, error: RawFileError | PixelError) -> Rejected:
    return Rejected(
        source=asked.source,
        level=Level.IMAGE,
        row_id=asked.image_id,
        study_id=asked.study_id,
        reason=error.reason,
        detail=error.detail,
    )


def _to_table(kept: list[tuple[_Asked, StoredImage, str]]) -> pa.Table:
    """Rows of IMAGE_ROW_SCHEMA, column by column."""
    asked = [row for row, _, _ in kept]
    stored = [image for _, image, _ in kept]
    columns = {
        **{name: [getattr(row, name) for row in asked] for name in ASKED_SCHEMA.names[:-1]},
        **{name: [getattr(image, name) for image in stored] for name in _STORED_COLUMNS},
        "raw_digest": [digest for _, _, digest in kept],
    }
    return pa.table(
        [
            picture_array(columns[field.name])
            if field.name == "pixels"
            else pa.array(columns[field.name], field.type)
            for field in IMAGE_ROW_SCHEMA
        ],
        schema=IMAGE_ROW_SCHEMA,
    )


_STORED_COLUMNS = (
    "pixels",
    "width",
    "height",
    "original_width",
    "original_height",
    "perceptual_hash",
)

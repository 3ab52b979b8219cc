"""Store a source's pixels: one piece of images for each piece of studies."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.artifact import Artifact, OnPiece, build_artifact, ignore_progress
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.settings.screen import ScreenPolicy
from infra.settings.sections import ImageSettings
from sources.checksums import checking_sums
from sources.piece import rows_digest
from sources.raw_files import RawFolder
from sources.record import Level
from tasks.context import Context
from tasks.ingest.steps import policy_of
from tasks.ingest.studies import REJECTED_FILE, STUDIES_FILE, count_reasons

IMAGES_FILE = "images.parquet"


def ingest_images(
    context: Context,
    name: str,
    executor: Executor | None = None,
    on_piece: OnPiece = ignore_progress,
) -> Artifact:
    """Pixels of one source in IMAGE_ROW_SCHEMA; what cannot be read is rejected with a reason."""
    studies = context.artifact(f"studies/{name}")
    root = context.raw_root(name)
    files = {
        piece.key: context.store.local(f"{piece.folder}/{file.name}", file.digest)
        for piece in studies.pieces
        for file in piece.files
        if file.name == STUDIES_FILE
    }
    checked = context.settings.sources.checksums
    return build_artifact(
        context.store,
        context.graph[f"images/{name}"],
        partial(_plan, root, files, checked),
        partial(
            _build,
            root,
            files,
            context.settings.images,
            policy_of(context.settings, name),
            checked,
        ),
        executor=executor,
        on_piece=on_piece,
    )


def image_rows(studies_file: Path) -> pa.Table:
    """One row per image of a piece of studies: what ``ingest_piece`` is asked for."""
    studies = pq.read_table(studies_file, columns=["source", "study_id", "subject_id", "images"])
    lists = studies["images"].combine_chunks()
    parents = pc.list_parent_indices(lists)
    images = pc.list_flatten(lists)
    owners = studies.select(["source", "study_id", "subject_id"]).take(parents)
    for column in ("image_id", "view", "uri"):
        owners = owners.append_column(column, pc.struct_field(images, column))
    return owners.combine_chunks()


def _plan(root: Path, files: Mapping[str, Path], checked: bool) -> Mapping[str, str]:
    """Digest of each piece's image rows, and of size, time and published sum of the files they
    name."""
    digests = {}
    with checking_sums(checked), RawFolder(root) as folder:
        for key, path in files.items():
            rows = image_rows(path)
            uris = rows["uri"].to_pylist()
            told = folder.stat_digest(uris) + folder.sums_digest(uris)
            digests[key] = rows_digest(rows) + told
    return digests


def _build(
    root: Path,
    files: Mapping[str, Path],
    settings: ImageSettings,
    screen: ScreenPolicy,
    checked: bool,
    key: str,
    folder: Path,
) -> BuiltPiece:
    from tasks.ingest.images import ingest_piece  # decoders that a cached run never needs

    rows = image_rows(files[key])
    with checking_sums(checked):
        images, rejected = ingest_piece(root, rows, settings, screen)
    write_table(folder / IMAGES_FILE, images)
    write_table(folder / REJECTED_FILE, rejected)
    reasons = count_reasons(rejected, Level.IMAGE)
    return BuiltPiece((Count("images", rows.num_rows, images.num_rows, reasons),))

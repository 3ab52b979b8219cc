"""Write one piece of rows anew without a subject's, with counts as if they had never been there.

A piece of studies keeps a row that somebody withdrew; every later step never saw the study, as it
would not when it is built again.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.parquet import ROW_GROUP_ROWS, ShardWriter
from infra.pieces import Count, Piece, content_digest, describe_files, piece_from_json
from infra.store import Store
from sources.record import REJECTED_SCHEMA, STUDY_SCHEMA, Split
from tasks.forget.places import files_under, local_copy
from tasks.forget.tables import Theirs
from tasks.ingest.lost import OWNER, owners_in, with_owners
from tasks.ingest.studies import REJECTED_FILE, STUDIES_FILE, write_studies
from tasks.ingest.withdrawn import drop_withdrawn

_BESIDE: Final = (REJECTED_FILE, "questions.parquet", "drawn.parquet")
"""Files of a piece that tell of its rows; all others hold them."""
_HEAVY: Final = ("pixels", "images", "perceptual_hash")
Dropped = dict[str, pa.Table]
"""Rows that left, without their pictures, by file."""


def write_anew(store: Store, told: Mapping[str, Any] | None, folder: str, theirs: Theirs) -> Piece:
    """Publish a piece without their rows beside the old one, which stays.

    Args:
        told: the piece as a manifest tells it; None where none does.

    Returns:
        the new piece, without an input digest: no other artifact may take it for its own.
    """
    old = piece_from_json(told) if told is not None else Piece("", "", folder, ())
    with store.scratch() as scratch:
        target = scratch / "piece"
        target.mkdir()
        if folder.startswith("studies/"):
            counts = _write_studies(store, folder, target, theirs)
            facts = dict(old.facts)
        else:
            dropped = _write_rows(store, folder, target, theirs)
            counts = tuple(_less(folder, count, dropped) for count in old.counts)
            facts = _facts(old.facts, target)
        files = describe_files(target)
        key = old.key or folder.rpartition("/")[2].rpartition("-")[0]
        place = f"{folder.rpartition('/')[0]}/{key}-{content_digest(files)}"
        store.publish_folder(target, place)
    return replace(old, input_digest="", folder=place, files=files, counts=counts, facts=facts)


def _write_studies(store: Store, folder: str, target: Path, theirs: Theirs) -> tuple[Count, ...]:
    """As ingestion writes it once the subject has a tombstone."""
    tables = []
    for name in (STUDIES_FILE, REJECTED_FILE):
        with local_copy(store, f"{folder}/{name}") as path:
            tables.append(pq.read_table(path, partitioning=None))
    told = tables[1].select(REJECTED_SCHEMA.names)
    studies, rejected = drop_withdrawn(tables[0], told, theirs.dossier.studies)
    if studies.schema.equals(STUDY_SCHEMA):
        studies = studies.cast(STUDY_SCHEMA)  # Parquet has names of its own for items of lists
    rejected = theirs.redacted(rejected)
    if OWNER in tables[1].column_names:  # older ones tell no owner
        rejected = with_owners(rejected, owners_in(*tables))
    return write_studies(target, studies, rejected)


def _write_rows(store: Store, folder: str, target: Path, theirs: Theirs) -> Dropped:
    dropped: Dropped = {}
    for name in files_under(store, folder):
        inside = name[len(folder) + 1 :]
        place = target / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        with local_copy(store, name) as path:
            if path.suffix != ".parquet":
                shutil.copyfile(path, place)
                continue
            rows = _filter_file(path, place, theirs)
        if rows is not None:
            dropped[inside] = rows
    return dropped


def _filter_file(path: Path, target: Path, theirs: Theirs) -> pa.Table | None:
    """Copy a table without their rows; the rows that left, None where there was none.

    A file with nothing of theirs keeps its bytes; a shard of which nothing is left is not written.
    """
    with pq.ParquetFile(path) as file:
        if not theirs.touched(file):
            shutil.copyfile(path, target)
            return None
        groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        size = max([*groups[:1], 1]) if len(groups) > 1 else ROW_GROUP_ROWS
        dropped, kept = [], 0
        with ShardWriter(target, file.schema_arrow, row_group_rows=size) as writer:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, use_threads=False)
                mine = theirs.rows(table)
                rest = theirs.redacted(table.filter(pc.invert(mine)))
                kept += rest.num_rows
                writer.write(rest.cast(file.schema_arrow))
                dropped.append(_light(table.filter(mine)))
        if not kept and _is_shard(target.name):
            target.unlink()
    return pa.concat_tables(dropped)


def _light(table: pa.Table) -> pa.Table:
    """Without pictures, but with how many each row shows."""
    names = [name for name in table.column_names if name not in _HEAVY]
    light = table.select(names)
    if "images" in table.column_names:
        shown = pc.list_value_length(table["images"])
        light = light.append_column("shown", pc.fill_null(shown, 0).cast(pa.int64()))
    return light


def _is_shard(name: str) -> bool:
    return name.startswith(tuple(f"{split}-" for split in Split))


def _facts(facts: Mapping[str, Any], target: Path) -> dict[str, Any]:
    """Facts with the number of shards that are left."""
    told = dict(facts)
    if "shards" in told:
        left = [path.name for path in target.iterdir()]
        told["shards"] = {
            split: sum(name.startswith(f"{split}-") for name in left) for split in told["shards"]
        }
    return told


def _less(folder: str, count: Count, dropped: Dropped) -> Count:
    """A count without the rows that left."""
    kept, rejected = _losses(folder.partition("/")[0], count.unit, dropped)
    reasons = {
        reason: number - rejected[reason]
        for reason, number in count.rejected.items()
        if number > rejected[reason]
    }
    left = max(0, count.kept - kept)
    return Count(count.unit, left + sum(reasons.values()), left, reasons)


def _losses(kind: str, unit: str, dropped: Dropped) -> tuple[int, Counter[str]]:
    """Rows of a unit that were kept, and that were rejected, among those that left."""
    main = [row for name, rows in dropped.items() if _is_main(name) for row in rows.to_pylist()]
    lost = dropped[REJECTED_FILE].to_pylist() if REJECTED_FILE in dropped else []
    if unit.startswith("studies to "):
        return _studies_to(unit.removeprefix("studies to "), main, lost)
    if (kind, unit) == ("dialogues", "questions"):
        asked = sum(len(row["question_types"] or ()) for row in main if row["route"] == "converse")
        return asked, _reasons(row for row in lost if row["row_id"].count("/") > 1)
    if kind == "examples":
        if unit == "films":
            left_out = _reasons(row for row in lost if row["level"] == "image")
            return sum(row["shown"] for row in main), left_out
        return len(main), _reasons(row for row in lost if row["level"] != "image")
    return len(main), _reasons(lost)


def _is_main(name: str) -> bool:
    return name not in _BESIDE


def _reasons(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    return Counter(row["reason"] for row in rows)


def _studies_to(
    route: str, main: list[dict[str, Any]], lost: list[dict[str, Any]]
) -> tuple[int, Counter[str]]:
    """Studies with a text or dialogue of a route, and the others by their last reason."""
    kept = {row["study_id"] for row in main if _route_of(row) == route}
    last = {
        row["study_id"]: row["reason"]
        for row in lost
        if row["study_id"] and _is_of(row["row_id"].removeprefix(f"{row['study_id']}/"), route)
    }
    return len(kept), Counter(reason for study, reason in last.items() if study not in kept)


def _route_of(row: Mapping[str, Any]) -> str:
    told: str = row["route"] if "route" in row else row["version"]
    return "keep" if told.startswith("keep") else told


def _is_of(told: str, route: str) -> bool:
    return told == route or (route == "keep" and told.startswith("keep"))

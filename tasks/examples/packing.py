"""Write one piece of a plan: shards of examples by split, and the rejected rows.

Files of a piece: ``train-000.parquet``, ``train-001.parquet``, …, ``validate-000.parquet``,
``test-000.parquet`` (EXAMPLE_SCHEMA) and ``rejected.parquet`` (REJECTED_SCHEMA, always there).
Rows are sorted by study, image and text version, so equal inputs give equal bytes in any order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.errors import ArtifactError
from infra.parquet import ShardReader, write_table
from infra.pieces import BuiltPiece, Count
from infra.settings.sections import ExampleSettings
from sources.example import (
    EXAMPLE_IMAGE_TYPE,
    EXAMPLE_SCHEMA,
    Task,
    one_line,
    request_turn,
)
from sources.record import Level, Rejected, Split, rejected_to_table
from tasks.examples.plan import ExamplePlan

_IMAGE_COLUMNS: Final = [field.name for field in EXAMPLE_IMAGE_TYPE]
REJECTED_FILE: Final = "rejected.parquet"
FACTS: Final = ("subject_id", "subject_age", "subject_sex", "manufacturer", "site")

Row = Mapping[str, Any]
Values = Callable[[Row], Mapping[str, Any]]
"""A planned row's columns of EXAMPLE_SCHEMA but its images."""


def pack_piece(plan: ExamplePlan, key: str, folder: Path) -> BuiltPiece:
    """Write the piece's files into ``folder``; ``partial(pack_piece, plan)`` is a PieceBuilder.

    Holds one shard's pixels and one row group of an input file in memory. Give ``build_artifact``
    an executor of threads: the time goes into reading and writing, outside the interpreter.

    Raises:
        ArtifactError: an input file does not hold what it held when the plan was made.
    """
    rows = plan.piece(key).to_pylist()
    kept = [row for row in rows if row["reason"] is None]
    rejected = [row for row in rows if row["reason"] is not None]
    texts = _read_texts(kept, plan.settings.task)
    values = partial(_values, texts, read_facts(kept), plan.settings)
    shards = write_shards(kept, values, plan.settings, folder)
    write_table(folder / REJECTED_FILE, rejected_table(rejected, kept))
    return BuiltPiece((counted("rows", rows), *_counted_films(plan, kept)), {"shards": shards})


def write_shards(
    kept: Sequence[Row], values: Values, settings: ExampleSettings, folder: Path
) -> dict[str, int]:
    """The files of examples, and how many there are of each split."""
    shards: dict[str, int] = {}
    with _open_pixels(kept) as pixels:
        for split in Split:
            parts = _parts([row for row in kept if row["split"] == split], settings.shard_rows)
            for number, part in enumerate(parts):
                path = folder / f"{split}-{number:03d}.parquet"
                table = _shard(part, values, pixels)
                write_table(path, table, row_group_rows=settings.row_group_rows)
            shards[str(split)] = len(parts)
    return shards


def counted(unit: str, rows: Sequence[Row]) -> Count:
    """Planned rows in, kept, and rejected by reason."""
    reasons = Counter(row["reason"] for row in rows if row["reason"] is not None)
    return Count(unit, len(rows), len(rows) - reasons.total(), dict(sorted(reasons.items())))


def _counted_films(plan: ExamplePlan, kept: Sequence[Row]) -> tuple[Count, ...]:
    """Images of the studies that are examples: shown, or left out with a reason."""
    if plan.settings.images == "each":
        return ()
    reasons = Counter(left["reason"] for row in kept for left in row["left_out"])
    shown = sum(len(row["films"]) for row in kept)
    return (Count("films", shown + reasons.total(), shown, dict(sorted(reasons.items()))),)


def example_id(row: Row) -> str:
    """``source/study/image/version``; a dash stands for an image or version that is not there, and
    for the image where the whole study is one example. A question stands in the image's place.

    What would part them otherwise, or break a line, is written as in a URL: ``a%2Fb`` for ``a/b``.
    """
    asked = row.get("dialogue_id") or row["image_id"]
    parts = (row["source"], row["study_id"], asked, row["version"])
    return "/".join(_NOT_PLAIN.sub(_percent, part) if part else "-" for part in parts)


_NOT_PLAIN: Final = re.compile(r"[/%\x00-\x1f\x7f\x85\u2028\u2029]")


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def target_text(section: str, split: str) -> str:
    """What the model shall write.

    On one line in training and validation: the line breaks of a report are its typewriter's. A
    test reference keeps its own, as LLaVA-Rad's do (the metrics see them as white space).
    """
    return section.strip() if split == Split.TEST else one_line(section)


def _parts(rows: list[Row], size: int) -> list[list[Row]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def read_rows(path: str, columns: Sequence[str], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of a Parquet file that belong to the given rows' studies."""
    studies = pa.array(sorted({row["study_id"] for row in rows}), pa.string())
    mine = pc.field("source").isin([row["source"] for row in rows[:1]])
    wanted = mine & pc.field("study_id").isin(studies)
    found: list[dict[str, Any]] = pq.read_table(
        path, columns=list(columns), filters=wanted, partitioning=None
    ).to_pylist()
    return found


def by_file(rows: Sequence[Row], column: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups


def _read_texts(rows: Sequence[Row], section: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The text versions of one source's rows by study and version."""
    columns = ("study_id", "version", "origin", "indication", section)
    return {
        (text["study_id"], text["version"]): {**text, "section": text[section]}
        for path, group in by_file(rows, "report_file").items()
        for text in read_rows(path, columns, group)
    }


def read_facts(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """What is known of the subject and the examination, by study."""
    return {
        study["study_id"]: study
        for path, group in by_file(rows, "study_file").items()
        for study in read_rows(path, ("study_id", *FACTS), group)
    }


def _values(
    texts: Mapping[tuple[str, str], Row],
    facts: Mapping[str, Row],
    settings: ExampleSettings,
    row: Row,
) -> dict[str, Any]:
    task = Task(settings.task)
    try:
        text, study = texts[row["study_id"], row["version"]], facts[row["study_id"]]
    except KeyError:
        raise moved(row) from None
    reason = one_line(text["indication"] or "") or None
    trained = example_id(row) if row["split"] == Split.TRAIN else None
    return {
        "example_id": example_id(row),
        "task": task,
        **{name: row[name] for name in ("source", "study_id", "split")},
        "text_version": row["version"],
        "origin": text["origin"],
        "indication": reason,
        "turns": [vars(request_turn(task, reason, settings.request, trained))],
        "target": target_text(text["section"], row["split"]),
        **{name: study[name] for name in FACTS},
    }


def moved(row: Row) -> ArtifactError:
    """The inputs changed under the plan."""
    return ArtifactError(
        f"text or study of {example_id(row)} is no longer where it was planned; run again"
    )


def _shard(rows: list[Row], values: Values, pixels: Mapping[str, ShardReader]) -> pa.Table:
    """EXAMPLE_SCHEMA, one row for each given row, in their order."""
    columns: dict[str, list[Any]] = {name: [] for name in EXAMPLE_SCHEMA.names if name != "images"}
    for row in rows:
        for name, value in values(row).items():
            columns[name].append(value)
    images = _read_images(rows, pixels)
    arrays = [
        images if field.name == "images" else pa.array(columns[field.name], field.type)
        for field in EXAMPLE_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=EXAMPLE_SCHEMA)


@contextmanager
def _open_pixels(rows: Sequence[Row]) -> Iterator[Mapping[str, ShardReader]]:
    with ExitStack() as stack:
        yield {path: stack.enter_context(ShardReader(Path(path))) for path in _by_image_file(rows)}


def _read_images(rows: list[Row], files: Mapping[str, ShardReader]) -> pa.Array:
    """One list of stored images per row; a row group is read once, whatever the order."""
    tables: list[pa.Table] = []
    place: dict[tuple[str, int], int] = {}
    for path, places in sorted(_by_image_file(rows).items()):
        wanted = np.unique(places)
        ends = np.cumsum(files[path].group_rows)
        for number in np.unique(np.searchsorted(ends, wanted, "right")):
            first = ends[number - 1] if number else 0
            inside = wanted[(wanted >= first) & (wanted < ends[number])]
            place |= {(path, int(row)): len(place) + step for step, row in enumerate(inside)}
            table = files[path].table(int(number), _IMAGE_COLUMNS)
            tables.append(table.take(inside - first))
    films = [film for row in rows for film in row["films"]]
    if not films:
        return pa.array([[]] * len(rows), pa.list_(EXAMPLE_IMAGE_TYPE))
    order = [place[film["file"], film["row"]] for film in films]
    images = pa.concat_tables(tables).select(_IMAGE_COLUMNS).take(order).combine_chunks()
    if images["image_id"].to_pylist() != [film["image_id"] for film in films]:
        raise ArtifactError(
            f"images of study {rows[0]['study_id']} and others are no longer where they were "
            "planned; run again"
        )
    columns = [images[field.name].combine_chunks().cast(field.type) for field in EXAMPLE_IMAGE_TYPE]
    structs = pa.StructArray.from_arrays(columns, fields=list(EXAMPLE_IMAGE_TYPE))
    ends = np.cumsum([0, *(len(row["films"]) for row in rows)], dtype=np.int32)
    return pa.ListArray.from_arrays(ends, structs)


def _by_image_file(rows: Sequence[Row]) -> dict[str, list[int]]:
    """Rows of each file of images that are asked for."""
    groups: dict[str, list[int]] = {}
    for row in rows:
        for film in row["films"]:
            groups.setdefault(film["file"], []).append(film["row"])
    return groups


def rejected_table(rows: Sequence[Row], kept: Sequence[Row]) -> pa.Table:
    """Rows that are no examples, and images that the examples leave out, once each."""
    left = {
        (row["study_id"], item["image_id"]): Rejected(
            row["source"],
            Level.IMAGE,
            item["image_id"],
            row["study_id"],
            item["reason"],
            f"{len(row['films'])} of {len(row['films']) + len(row['left_out'])} images are shown",
        )
        for row in kept
        for item in row["left_out"]
    }
    return rejected_to_table([*left.values(), *(_rejected_example(row) for row in rows)])


def _rejected_example(row: Row) -> Rejected:
    place = row["source"], Level.EXAMPLE, example_id(row), row["study_id"]
    return Rejected(*place, row["reason"], row["detail"])

"""A synthetic RRG24: Parquet shards as the hub stores them, and a tree for its MIMIC-CXR member.

    plan (members, parts, planted views) ─▶ films, words ─▶ shards, tables, files, .truth.jsonl

Traps: a row without an image, a picture without bytes, a truncated one, one path twice in a row,
white space around a section, ``to_generate`` in the hidden test; in the tree a ViewPosition without
rank, an image without metadata, a missing JPEG, sections of blanks, studies of the official test.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sources.record import View
from sources.replicas.files import draw_many, encode_jpeg, write_file
from sources.replicas.phantom import draw
from sources.replicas.rrg24_mimic import mimic_files, mimic_ids
from sources.replicas.rrg24_plan import PARTS, PlannedReport, PlannedView, plan_replica
from sources.replicas.traps import truncate
from sources.replicas.truth import ReplicaSpec
from sources.replicas.truth_file import TrueStudy, write_truth
from sources.replicas.wording import write_report
from sources.rrg24 import TO_GENERATE
from sources.rrg24_mimic import MEMBER as MIMIC

_FOLDERS: Final = {
    "train": "rrg24-shared-task-bionlp/data",
    "validation": "rrg24-shared-task-bionlp/data",
    "test-public": "interpret-cxr-test-public/data",
    "test-hidden": "interpret-cxr-test-hidden/data",
}
_SHARDS: Final = {"train": 2}
"""Parts in more than one file."""
_ROW_GROUP: Final = 100
"""Rows: what the hub's library writes for pictures."""
_TEXT: Final = {"dtype": "string", "_type": "Value"}
_FEATURES: Final = {
    "source": _TEXT,
    "findings": _TEXT,
    "images": {"feature": {"_type": "Image"}, "_type": "Sequence"},
    "impression": _TEXT,
    "images_path": {"feature": _TEXT, "_type": "Sequence"},
}
"""As the hub's library notes them beside the schema."""
_SCHEMA: Final = pa.schema(
    [
        ("source", pa.string()),
        ("findings", pa.string()),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("impression", pa.string()),
        ("images_path", pa.list_(pa.string())),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


def write(root: Path, spec: ReplicaSpec) -> None:
    """Write the replica under ``root``."""
    reports = plan_replica(spec)
    jobs = [view for report in reports for view in report.views]
    films = iter(list(draw_many(partial(_film, side_px=spec.side_px), jobs, spec.processes)))
    drawn = {report.number: [next(films) for _ in report.views] for report in reports}
    mimic = [report for report in reports if report.member == MIMIC]
    for name, data in mimic_files(mimic, drawn, spec.seed).items():
        write_file(root / name, data)
    truths = [
        TrueStudy(mimic_ids(report, spec.seed).study_id, report.truth, trap=report.trap,
                  frontal_only=report.frontal_only)
        for report in mimic
    ]  # fmt: skip
    for part in PARTS:
        chosen = [r for r in reports if r.member != MIMIC and r.part == part]
        rows = [_row(report, drawn[report.number]) for report in chosen]
        _write_shards(root / _FOLDERS[part], part, rows)
        truths += [
            TrueStudy(f"{part}/{number}", report.truth, trap=report.trap,
                      superfluous=_superfluous(report, row["images_path"]),
                      frontal_only=report.frontal_only)
            for number, (report, row) in enumerate(zip(chosen, rows, strict=True))
        ]  # fmt: skip
    write_truth(root, truths)


def _film(view: PlannedView, side_px: int) -> bytes:
    """A JPEG; a duplicate is of another quality, a rotated one lies on its side."""
    pixels = draw(view.truth, view.view, side_px).pixels
    if view.kind == "rotated":
        pixels = np.ascontiguousarray(cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE))
    return encode_jpeg(pixels, quality=70 if view.kind == "duplicate" else 95)


def _row(report: PlannedReport, films: Sequence[bytes]) -> dict[str, Any]:
    """One row, column for column as published; sections that a member lacks are empty."""
    words = write_report(report.truth)
    has_findings = report.member != "CheXpert" or report.number % 2 == 0
    has_impression = report.member in ("CheXpert", "OpenI")
    row = {
        "source": report.member,
        "findings": words.findings if has_findings else "",
        "impression": words.impression if has_impression else "",
    }
    if report.part == "test-hidden":
        row |= {name: TO_GENERATE for name in ("findings", "impression") if row[name]}
    paths = [_path(report, place, view) for place, view in enumerate(report.views)]
    pictures: list[bytes | None] = list(films)
    if report.trap == "no-image":
        paths, pictures = [], []
    elif report.trap == "no-bytes":
        pictures[-1] = None
    elif report.trap == "truncated":
        pictures[-1] = truncate(films[-1])
    elif report.trap == "same-path":
        paths, pictures = [*paths, paths[0]], [*pictures, pictures[0]]
    elif report.trap == "spaces":
        row["findings"] = f"  {row['findings']}\n"
    images = [{"bytes": data, "path": None} for data in pictures]
    return row | {"images": images, "images_path": paths}


def _path(report: PlannedReport, place: int, view: PlannedView) -> str:
    """A path in the member's manner."""
    person, study = report.truth.person.number, report.truth.study
    side = "lateral" if view.view is View.LATERAL else "frontal"
    if report.member == "CheXpert":
        return f"train/patient{person:05d}/study{study}/view{place + 1}_{side}.jpg"
    if report.member == "OpenI":
        return f"CXR{report.number + 1}_IM-{report.number + 1:04d}-{1001 + place}.png"
    if report.member == "PadChest":
        token = sha256(f"{report.truth.seed} {place}".encode()).hexdigest()
        return f"{int(token[:32], 16):039d}_{token[32:38]}.png"
    short = {View.PA: "vp-pa", View.AP: "vp-ap", View.LATERAL: "vp-ll"}[view.view]
    name = f"sub-S{person:05d}_ses-E{report.number:05d}_run-{place + 1}_bp-chest_{short}_dx.png"
    return f"sub-S{person:05d}/ses-E{report.number:05d}/mod-rx/{name}"


def _superfluous(report: PlannedReport, paths: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"{report.member}/{path}", view.kind)
        for path, view in zip(paths, report.views, strict=False)
        if view.kind
    )


def _write_shards(folder: Path, part: str, rows: Sequence[dict[str, Any]]) -> None:
    count = _SHARDS.get(part, 1)
    word = part.partition("-")[0]
    for number in range(count):
        chosen = rows[len(rows) * number // count : len(rows) * (number + 1) // count]
        table = pa.Table.from_pylist(list(chosen), schema=_SCHEMA)
        buffer = BytesIO()
        pq.write_table(table, buffer, row_group_size=_ROW_GROUP)
        write_file(folder / f"{word}-{number:05d}-of-{count:05d}.parquet", buffer.getvalue())

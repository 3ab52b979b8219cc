"""A small world of studies, images and reports as the Parquet pieces that examples are made of.

    world = World()
    world.study("mimic_cxr", "s1", subject="p1", split="train")
    world.image("mimic_cxr", "s1", "i1", view="PA")
    world.report("mimic_cxr", "s1", "keep", findings="Clear.")
    plan = plan_examples(world.write(tmp_path), SETTINGS, pieces=4)

Every image has its own random hash unless one is given; pixels are a few distinct bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import shake_128
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.fingerprint import file_digest
from infra.settings.sections import ExampleSettings
from sources.perceptual_hash import HASH_BYTES
from sources.piece import cut
from sources.pixels import IMAGE_ROW_SCHEMA
from sources.record import STUDY_SCHEMA
from tasks.examples.plan import ExampleInputs, InputFile

SETTINGS = ExampleSettings(
    test_sources=("mimic_cxr",), validate_sources=("mimic_cxr",), shard_rows=8, row_group_rows=4
)

REPORT_SCHEMA = pa.schema(
    [
        (name, pa.string())
        for name in (
            *("source", "study_id", "version", "origin", "sectioned_by", "language"),
            *("indication", "technique", "comparison", "findings", "impression"),
        )
    ]
)
"""The part of a report row that examples need."""

Row = dict[str, Any]


@dataclass
class World:
    """Rows to be written; each method adds one."""

    studies: list[Row] = field(default_factory=list)
    images: list[Row] = field(default_factory=list)
    reports: list[Row] = field(default_factory=list)

    def study(
        self, source: str, study_id: str, subject: str | None, split: str | None, **facts: Any
    ) -> None:
        self.studies.append(
            {"source": source, "study_id": study_id, "subject_id": subject, "split": split, **facts}
        )

    def image(
        self, source: str, study_id: str, image_id: str, view: str = "PA", phash: bytes = b""
    ) -> None:
        seed = f"{source}/{study_id}/{image_id}".encode()
        self.images.append(
            {
                "source": source,
                "study_id": study_id,
                "image_id": image_id,
                "view": view,
                "pixels": b"\xff\xd8" + shake_128(seed).digest(40),
                "width": 40,
                "height": 30,
                "original_width": 400,
                "original_height": 300,
                "perceptual_hash": phash or shake_128(seed).digest(HASH_BYTES),
                "raw_digest": seed.hex(),
            }
        )

    def report(
        self, source: str, study_id: str, version: str = "keep", **sections: str | None
    ) -> None:
        by = {"keep": "rules", "translate": "llm", "synthesize": "llm"}.get(version, "llm")
        origin = {"translate": "translated", "synthesize": "synthesized"}.get(
            version, "radiologist"
        )
        row = {"source": source, "study_id": study_id, "version": version, "origin": origin}
        self.reports.append({**row, "sectioned_by": by, "language": "en", **sections})

    def write(self, root: Path, pieces: int = 3, shuffle: int | None = None) -> ExampleInputs:
        """One file per source and piece, as the steps before would; ``shuffle`` is a seed."""
        tables = {
            "studies": (self.studies, STUDY_SCHEMA),
            "images": (self.images, IMAGE_ROW_SCHEMA),
            "reports": (self.reports, REPORT_SCHEMA),
        }
        files: Mapping[str, list[InputFile]] = {name: [] for name in tables}
        for name, (rows, schema) in tables.items():
            for source in sorted({row["source"] for row in rows}):
                mine = [row for row in rows if row["source"] == source]
                if shuffle is not None:
                    Random(shuffle).shuffle(mine)
                table = pa.Table.from_pylist(mine, schema=schema)
                for key, part in cut(table, pieces).items():
                    path = root / name / f"{source}-{key}.parquet"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    pq.write_table(part, path, row_group_size=5)
                    files[name].append(InputFile(path, file_digest(path)))
            if shuffle is not None:
                Random(shuffle).shuffle(files[name])
        return ExampleInputs(*(tuple(files[name]) for name in tables))


def small_world() -> World:
    """Two sources, three splits, two text versions, one study of each kind of trouble."""
    world = World()
    for number, split in enumerate(["train"] * 6 + ["validate"] * 2 + ["test"] * 2):
        study = f"m{number}"
        world.study("mimic_cxr", study, f"p{number}", split, subject_age=40.0 + number, site="A")
        world.image("mimic_cxr", study, f"{study}a")
        world.image("mimic_cxr", study, f"{study}l", view="LATERAL")
        world.report("mimic_cxr", study, findings=f"Heart of\n size {number}.", indication="Cough")
        world.report("mimic_cxr", study, "structure", findings=f"Heart size {number}.")
    for number, split in enumerate(["train", "train", "validate", "test", None]):
        study = f"c{number}"
        world.study("chexpert", study, f"p{number}", split)
        world.image("chexpert", study, f"{study}a", view="AP")
        world.report("chexpert", study, "synthesize", findings=f"No pneumothorax {number}.")
    world.study("chexpert", "text-only", "p90", "train")
    world.report("chexpert", "text-only", findings="Clear.")
    world.study("chexpert", "no-report", "p91", "train")
    world.image("chexpert", "no-report", "x1")
    world.study("chexpert", "blank", "p92", "train")
    world.image("chexpert", "blank", "x2")
    world.report("chexpert", "blank", findings=" \n ", impression="Normal.")
    world.study("chexpert", "nothing", None, "train")
    return world

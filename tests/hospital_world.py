"""A hospital's own folder of a few films, ingested: ids, texts and films are what a test says."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from pixel_samples import png
from raw_world import look

from infra.fingerprint import file_digest
from tasks.context import Context
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tasks.reports.connection import Teacher
from tasks.reports.work import write_reports

SOURCE = "manifest"
SETTINGS = ("images.short_side_px=112", 'sources.routes={manifest=["keep"]}')


class Shot(NamedTuple):
    """One film: ``looks`` is the film's seed, the same for two films of the same bytes."""

    subject: str
    study: str
    path: str
    report: str
    looks: int


def write_hospital(root: Path, shots: Sequence[Shot]) -> Path:
    """The folder with its table."""
    root.mkdir(parents=True)
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_path", "study_id", "subject_id", "view", "report"])
        for shot in shots:
            writer.writerow([shot.path, shot.study, shot.subject, "PA", shot.report])
            (root / shot.path).parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(shot.looks).integers(0, 4096, (8, 8))
            grey = np.kron(noise, np.ones((32, 32))).astype(np.uint16)
            (root / shot.path).write_bytes(png(grey * 16))
    return root


def ingested(data: Path, raw: Path, source: str = SOURCE, *settings: str) -> Context:
    """Studies, films and kept reports of it."""
    context = look(data, {source: raw}, *(settings or SETTINGS))
    ingest_studies(context, source)
    ingest_images(context, source)
    with Teacher(context.environment) as teacher:
        write_reports(context, source, teacher)
    return context


def leave_log(context: Context, lines: Sequence[str]) -> Path:
    """Prefect's database with a line for each."""
    home = context.store.state / "prefect"
    home.mkdir(exist_ok=True)
    with closing(sqlite3.connect(home / "prefect.db")) as run, run:
        run.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, message TEXT)")
        run.executemany("INSERT INTO log (message) VALUES (?)", [(line,) for line in lines])
    return home / "prefect.db"


def log_lines(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as run:
        return [line for (line,) in run.execute("SELECT message FROM log ORDER BY number")]


def rows(data: Path, kind: str, name: str) -> list[dict[str, object]]:
    """All rows of a kind's tables of a name."""
    return [
        row
        for path in sorted(data.glob(f"{kind}/*/*/{name}.parquet"))
        for row in pq.read_table(path, partitioning=None).to_pylist()
    ]


def payloads(data: Path) -> dict[str, str]:
    """Digest of every payload file of pieces, by its place."""
    return {
        path.relative_to(data).as_posix(): file_digest(path)
        for path in sorted(data.glob("*/*/p*/*"))
        if path.is_file()
    }

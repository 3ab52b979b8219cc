"""The parts of a run whose cost could grow faster than its rows, each alone, without raw files.

    python -m tests.bench.scale_parts [--studies 70000,700000] [--only plan,answers,studies,walk]

Minutes where the simulation takes an hour. Each part at each size runs in a process of its own. A
row is a study; memory is the peak beyond what the process holds before the part begins.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from infra.fingerprint import file_digest, tree_digest
from infra.llm.archive import ARCHIVE_FOLDER, write_archive
from infra.llm.cache import AnswerCache
from infra.settings import load_settings
from infra.tables import connect
from sources.assembly import assemble
from sources.perceptual_hash import HASH_BYTES
from sources.piece import cut
from sources.pixels import IMAGE_ROW_SCHEMA
from sources.record import STUDY_SCHEMA
from tasks.examples.plan import ExampleInputs, InputFile, plan_examples
from tests.bench.environments import HOUSE, say
from tests.bench.scale_world import shares

PIECES = 32
"""Of each source. Our choice: the paper's 256 take longer to write than to read, at any size."""
REPORT = "The heart is normal in size. The lungs are clear. There is no pleural effusion. " * 10
"""800 characters: our choice, some 130 words."""
WORDS = 64
"""Characters of a report that are its own, so that no two are equal."""
HELD_OUT = (0.9, 0.05, 0.05)
STUDIES_A_PERSON, FILMS_EACH = 3, (1, 2, 2)
"""About as in MIMIC-CXR: 3.5 studies a person and 1.66 films a study."""


@dataclass(frozen=True)
class Cost:
    """Processor seconds, helpers' too, and the most bytes of this process beyond those before."""

    cpu: float
    peak_bytes: int


@contextmanager
def measured() -> Iterator[list[Cost]]:
    """Within the block a thread looks at this process's memory."""
    process, stop, most = psutil.Process(), threading.Event(), [0]
    before = process.memory_info().rss

    def look() -> None:
        while not stop.wait(0.05):
            most[0] = max(most[0], process.memory_info().rss)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    found: list[Cost] = []
    started = sum(os.times()[:4])
    yield found
    cpu = sum(os.times()[:4]) - started
    stop.set()
    thread.join()
    found.append(Cost(cpu, max(0, most[0] - before)))


def plan(folder: Path, studies: int) -> Cost:
    """The plan of all sources' examples with both guards, and the digests of its pieces."""
    inputs = _inputs(folder, studies)
    (settings,) = load_settings("llava_rad", "paper").sets.values()
    with measured() as cost:
        made = plan_examples(inputs, settings, PIECES)
        made.piece_digests()
    return cost[0]


def _inputs(folder: Path, studies: int) -> ExampleInputs:
    rng = np.random.default_rng(3)
    files: dict[str, list[InputFile]] = {"studies": [], "images": [], "reports": []}
    for name, count in shares(studies).items():
        ids = pa.array([f"s{number:08d}" for number in rng.permutation(count)])
        splits = pa.array(["train", "validate", "test"]).take(
            pa.array(rng.choice(3, count, p=HELD_OUT))
        )
        subjects = pa.array([f"p{number:07d}" for number in range(count)])
        source = pa.repeat(pa.scalar(name), count)
        table = _filled(STUDY_SCHEMA, count, source=source, study_id=ids, subject_id=subjects,
                        split=splits)  # fmt: skip
        _write(folder, "studies", name, table, files)
        hashes = pa.array([rng.bytes(HASH_BYTES) for _ in range(count)], pa.binary())
        images = pa.array([f"i{number:039d}" for number in range(count)])
        views = pa.array(["PA", "AP", "LATERAL"]).take(pa.array(rng.choice(3, count)))
        table = _filled(IMAGE_ROW_SCHEMA, count, source=source, study_id=ids, image_id=images,
                        view=views, perceptual_hash=hashes)  # fmt: skip
        _write(folder, "images", name, table, files)
        texts = pa.array([REPORT[:-WORDS] + f"{number:0{WORDS}d}" for number in range(count)])
        columns = {"version": "keep", "origin": "radiologist", "sectioned_by": "rules",
                   "language": "en"}  # fmt: skip
        fixed = {key: pa.repeat(pa.scalar(value), count) for key, value in columns.items()}
        empty = pa.nulls(count, pa.string())
        table = pa.table({"source": source, "study_id": ids, **fixed, "indication": empty,
                          "findings": texts, "impression": empty})  # fmt: skip
        _write(folder, "reports", name, table, files)
    return ExampleInputs(*(tuple(files[kind]) for kind in ("studies", "images", "reports")))


def _filled(schema: pa.Schema, count: int, **columns: pa.Array) -> pa.Table:
    """The schema's columns; those that are not given are empty or null."""
    arrays = []
    for field in schema:
        if field.name in columns:
            arrays.append(columns[field.name].cast(field.type))
        elif pa.types.is_list(field.type):
            starts = pa.repeat(pa.scalar(0, pa.int32()), count + 1)
            items = pa.array([], field.type.value_type)
            arrays.append(pa.ListArray.from_arrays(starts, items, type=field.type))
        elif pa.types.is_string(field.type) or pa.types.is_large_binary(field.type):
            arrays.append(pa.repeat(pa.scalar("", pa.string()), count).cast(field.type))
        else:
            arrays.append(pa.nulls(count, field.type).fill_null(0) if not field.nullable
                          else pa.nulls(count, field.type))  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=schema)


def _write(
    folder: Path, kind: str, name: str, table: pa.Table, files: dict[str, list[InputFile]]
) -> None:
    for key, part in cut(table, PIECES).items():
        path = folder / f"{kind}-{name}-{key}.parquet"
        pq.write_table(part, path)
        files[kind].append(InputFile(path, file_digest(path)))


def answers(folder: Path, studies: int) -> Cost:
    """Every study's stored answer out of the archive, piece by piece."""
    keys = sorted(f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}" for number in range(studies))
    (folder / ARCHIVE_FOLDER).mkdir(parents=True)
    content = json.dumps({"findings": REPORT})
    rows = ((key, "ok", content[:-WORDS] + key * 2, "m", "structure-1", 900, 120, 0.01, "2026")
            for key in keys)  # fmt: skip
    path = write_archive(folder / ARCHIVE_FOLDER, 1, rows)
    asked = np.random.default_rng(1).permutation(studies)
    pieces = np.array_split(asked, 256 * 3)  # three large sources of the seven
    with closing(AnswerCache(folder)) as cache:
        cache._connection.execute("INSERT INTO archives VALUES (1, ?, ?)", (path.name, studies))
        with measured() as cost:
            found = sum(len(cache.get_many([keys[row] for row in piece])) for piece in pieces)
    assert found == studies
    return cost[0]


def studies(folder: Path, count: int) -> Cost:
    """The largest source's image rows, with reports and labels, grouped into studies."""
    del folder
    count = shares(count)["mimic_cxr"] // 2 * 2
    listed = f"""
        CREATE TEMP VIEW listed AS
        SELECT i AS row, 'i' || lpad((i * 7919)::VARCHAR, 39, '0') AS image_id,
            's' || lpad((i // 3 * 2 + least(i % 3, 1))::VARCHAR, 8, '0') AS study_id,
            'p' || (i // 6) AS subject_id, 'PA' AS "view",
            'files/p10/p' || i || '/s' || i || '/' || lpad(i::VARCHAR, 39, '0') || '.jpg' AS uri,
            2500 AS width, 3000 AS height,
            $report || (i // 3 * 2 + least(i % 3, 1)) AS raw_report,
            [struct_pack(origin := 'radiologist', sectioned_by := 'rules', "language" := 'en',
                indication := NULL, technique := NULL, "comparison" := NULL,
                findings := $report || (i // 3 * 2 + least(i % 3, 1)),
                impression := NULL)] AS texts,
            list_transform(range(14), lambda x: struct_pack(observation := 'Observation ' || x,
                "value" := 'unmentioned')) AS labels
        FROM range({count * 3 // 2}) AS rows(i)""".replace("$report", f"'{REPORT}'")
    with connect() as connection:
        connection.execute(listed)
        with measured() as cost:
            reading = assemble(connection, "mimic_cxr")
        assert reading.studies.num_rows == count
    return cost[0]


def walk(folder: Path, studies: int) -> Cost:
    """Names, sizes and times of empty films in MIMIC-CXR's layout; they were made just before."""
    for study in range(studies):
        person = f"p{10_000_000 + study // STUDIES_A_PERSON}"
        place = folder / "files" / f"p1{study // STUDIES_A_PERSON % 10}" / person / f"s{study:08d}"
        place.mkdir(parents=True)
        for film in range(FILMS_EACH[study % len(FILMS_EACH)]):
            (place / f"{study:035d}-{film:08d}.jpg").touch()
    with measured() as cost:
        tree_digest(folder)
    return cost[0]


PARTS: dict[str, Callable[[Path, int], Cost]] = {
    "plan": plan,
    "answers": answers,
    "studies": studies,
    "walk": walk,
}


def main() -> None:
    """One part at one size, where that is asked for; else all of them in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", default="70000,700000")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--here", action="store_true", help="measure in this process")
    options = parser.parse_args()
    for part in options.only.split(","):
        for size in map(int, options.studies.split(",")):
            if options.here:
                with tempfile.TemporaryDirectory() as folder:
                    cost = PARTS[part](Path(folder), size)
                say(f"{part:8} {size:>9,}: {1000 * cost.cpu / size:.3f} ms of CPU a study, "
                    f"{cost.peak_bytes / 2**20:,.0f} MiB more")  # fmt: skip
                continue
            command = [sys.executable, "-m", "tests.bench.scale_parts", "--here"]
            command += ["--only", part, "--studies", str(size)]
            subprocess.run(command, cwd=HOUSE, check=True)


if __name__ == "__main__":
    main()

"""Our side of every measurement; started by ``tests.bench.run``."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from multiprocessing.pool import Pool
from pathlib import Path

import pyarrow as pa
import xxhash

from infra.memory import keep_freed_memory
from infra.parquet import ShardReader, ShardWriter, picture_array
from infra.settings.sections import ImageSettings
from sources.perceptual_hash import HASH_BYTES
from sources.pixels import IMAGE_ROW_SCHEMA, prepare, read_grey
from tests.bench.worker import pictures, serve

SETTINGS = ImageSettings(short_side_px=512, resample="area", jpeg_quality=95)
SHARD_ROWS = 512
GROUP_ROWS = 128
WRITING_THREADS = 2  # as `cxr write-examples` packs on the two cores of the bench


@cache
def _pool() -> Pool:
    return multiprocessing.get_context("spawn").Pool(2, keep_freed_memory)


def _prepare_file(path: Path) -> int:
    return len(prepare(path.read_bytes(), SETTINGS).pixels)


def jpeg(folder: Path) -> int:
    """Everything that ingest does with a file: decode, resize, check, hash and encode."""
    return len(_pool().map(_prepare_file, sorted(folder.glob("*.jpg")) * 2, chunksize=1))


def dicom(folder: Path) -> int:
    paths = sorted(folder.glob("*.dcm"))
    for path in paths:
        read_grey(path.read_bytes(), SETTINGS)
    return len(paths)


@cache
def _pictures() -> list[bytes]:
    return pictures()


def _rows(start: int, part: list[bytes]) -> pa.Table:
    """Image rows as ingest writes them."""
    count = len(part)
    values: dict[str, list[object]] = {
        "image_id": [f"{start + index:06d}" for index in range(count)],
        "perceptual_hash": [b"\0" * HASH_BYTES] * count,
    }
    columns = []
    for field in IMAGE_ROW_SCHEMA:
        filler = values.get(field.name, ["x" if pa.types.is_string(field.type) else 512] * count)
        columns.append(
            picture_array(part) if field.name == "pixels" else pa.array(filler, field.type)
        )
    return pa.table(columns, schema=IMAGE_ROW_SCHEMA)


def write(folder: Path) -> int:
    """Shards of all columns of an image row, with the digest of every file; threads as packing."""
    target = folder / "ours"
    target.mkdir(exist_ok=True)
    images = _pictures()

    def write_shard(start: int) -> None:
        shard = images[start : start + SHARD_ROWS]
        path = target / f"{start:06d}.parquet"
        with ShardWriter(path, IMAGE_ROW_SCHEMA, row_group_rows=GROUP_ROWS) as writer:
            for group in range(0, len(shard), GROUP_ROWS):
                writer.write(_rows(start + group, shard[group : group + GROUP_ROWS]))
        assert writer.written.digest

    with ThreadPoolExecutor(WRITING_THREADS) as threads:
        list(threads.map(write_shard, range(0, len(images), SHARD_ROWS)))
    return len(images)


def read(folder: Path) -> int:
    """Every picture of the shards that ``write`` left, every byte touched."""
    count = 0
    for path in sorted((folder / "ours").glob("*.parquet")):
        with ShardReader(path) as reader:
            for group in range(len(reader.group_rows)):
                for view in reader.buffers(group, "pixels"):
                    xxhash.xxh3_64_intdigest(view)
                    count += 1
    return count


if __name__ == "__main__":
    keep_freed_memory()  # as ingest does
    serve({"jpeg": jpeg, "dicom": dicom, "write": write, "read": read})

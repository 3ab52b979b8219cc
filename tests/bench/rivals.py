"""The rivals' side, run in their own environment by ``tests.bench.run``; each at its best setting.

torchxrayvision's wheel carries tables of gated datasets: only its one reader module is loaded, by
path, and none of its data files is opened.
"""

from __future__ import annotations

import importlib.util
import io
import multiprocessing
import shutil
import warnings
from functools import cache
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import cv2
import litdata
import webdataset
import xxhash
from img2dataset.resizer import Resizer
from litdata.streaming.writer import BinaryWriter

from tests.bench.worker import pictures, serve

SHARD_ROWS = 512
COLUMNS = {
    "source": "x",
    "study_id": "x",
    "subject_id": "x",
    "view": "x",
    "width": 512,
    "height": 512,
    "original_width": 512,
    "original_height": 512,
    "perceptual_hash": "0" * 128,
    "raw_digest": "x",
}
"""What an image row of ours holds beside its picture; the hash in hex, since JSON has no bytes."""

CHUNK_BYTES = "64MB"  # litdata's own default


@cache
def _pool() -> Pool:
    return multiprocessing.get_context("spawn").Pool(2)


@cache
def _resizer() -> Resizer:
    """As ``img2dataset --image_size 512 --resize_mode keep_ratio`` makes it."""
    return Resizer(image_size=512, resize_mode="keep_ratio", resize_only_if_bigger=False)


def _resize_file(path: Path) -> int:
    encoded, *_, error = _resizer()(io.BytesIO(path.read_bytes()))
    assert error is None, error
    return len(encoded)


def jpeg(folder: Path) -> int:
    return len(_pool().map(_resize_file, sorted(folder.glob("*.jpg")) * 2, chunksize=1))


@cache
def _torchxrayvision_reader() -> Any:
    """The module ``torchxrayvision.utils`` without the package, which needs torchvision."""
    package = importlib.util.find_spec("torchxrayvision")
    assert package is not None and package.origin is not None
    place = Path(package.origin).with_name("utils.py")
    spec = importlib.util.spec_from_file_location("torchxrayvision_reader", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dicom(folder: Path) -> int:
    """Its DICOM reader without VOI LUT (its default), then OpenCV's area resize to 512 px."""
    cv2.setNumThreads(1)
    paths = sorted(folder.glob("*.dcm"))
    for path in paths:
        values = _torchxrayvision_reader().read_xray_dcm(path)
        scale = 512 / min(values.shape)
        size = round(values.shape[1] * scale), round(values.shape[0] * scale)
        cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return len(paths)


@cache
def _pictures() -> list[bytes]:
    return pictures()


def write(folder: Path) -> int:
    """Tar shards of picture and JSON with the same columns as ours, as its guide writes them.

    One thread, its best: two threads with a writer each are a fifth slower (Python's lock).
    """
    target = folder / "webdataset"
    target.mkdir(exist_ok=True)
    images = _pictures()
    pattern = str(target / "%06d.tar")
    with webdataset.ShardWriter(pattern, maxcount=SHARD_ROWS, maxsize=10**12, verbose=0) as sink:
        for number, picture in enumerate(images):
            key = f"{number:06d}"
            sink.write({"__key__": key, "jpg": picture, "json": {**COLUMNS, "image_id": key}})
    return len(images)


def chunk(folder: Path) -> int:
    """Prepare what ``read`` reads; not measured."""
    target = folder / "litdata"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    images = _pictures()
    writer = BinaryWriter(str(target), chunk_bytes=CHUNK_BYTES)
    for number, picture in enumerate(images):
        writer[number] = {"image_id": f"{number:06d}", "pixels": picture}
    writer.done()
    writer.merge(1)
    return len(images)


def read(folder: Path) -> int:
    """Every picture in order, every byte touched."""
    count = 0
    for row in litdata.StreamingDataset(str(folder / "litdata")):
        xxhash.xxh3_64_intdigest(row["pixels"])
        count += 1
    return count


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    serve({"jpeg": jpeg, "dicom": dicom, "write": write, "chunk": chunk, "read": read})

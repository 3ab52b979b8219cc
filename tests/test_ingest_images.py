"""One piece of images: everything asked for is kept or rejected, in order, in any process."""

from __future__ import annotations

import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import xxhash
from pixel_samples import PATIENT_NAME, dicom, eight_bit, film, jpeg, png

from infra.parquet import write_table
from infra.settings.sections import ImageSettings
from sources.perceptual_hash import HASH_BYTES
from sources.pixels import IMAGE_ROW_SCHEMA, prepare
from sources.record import REJECTED_SCHEMA
from tasks.ingest.images import ASKED_SCHEMA, ingest_piece

SETTINGS = ImageSettings(short_side_px=64, smallest_side_px=16)

FILES = {
    "a.jpg": jpeg(eight_bit(film(seed=1))),
    "again.jpg": jpeg(eight_bit(film(seed=1))),
    "b.png": png(film(seed=2)),
    "noname": dicom(film(seed=3)),
    "cut.jpg": jpeg(eight_bit(film(seed=4)))[:3000],
    "empty.png": b"",
}
URIS = ("a.jpg", "gone.jpg", "b.png", "cut.jpg", "x.zip!in.jpg", "empty.png", "noname", "again.jpg")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("in.jpg", jpeg(eight_bit(film(seed=5))))
    return tmp_path


def asked(uris: tuple[str, ...] = URIS) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "source": "padchest",
                "study_id": f"s{number}",
                "subject_id": None if number == 0 else f"p{number}",
                "image_id": f"i{number}",
                "view": "PA",
                "uri": uri,
            }
            for number, uri in enumerate(uris)
        ],
        schema=ASKED_SCHEMA,
    )


def test_everything_asked_for_comes_back_once_in_order(root: Path) -> None:
    images, rejected = ingest_piece(root, asked(), SETTINGS)
    assert images.schema.equals(IMAGE_ROW_SCHEMA)
    assert rejected.schema.equals(REJECTED_SCHEMA)
    assert images["image_id"].to_pylist() == ["i0", "i2", "i4", "i6", "i7"]
    assert rejected.to_pylist() == [
        {
            "source": "padchest",
            "level": "image",
            "row_id": row_id,
            "study_id": study_id,
            "reason": reason,
            "detail": detail,
        }
        for row_id, study_id, reason, detail in (
            ("i1", "s1", "file-missing", "no file at gone.jpg"),
            ("i3", "s3", "truncated", "JPEG data ends early"),
            ("i5", "s5", "file-empty", "0 bytes at empty.png"),
        )
    ]


def test_a_row_holds_the_stored_picture(root: Path) -> None:
    images, _ = ingest_piece(root, asked(), SETTINGS)
    row = images.to_pylist()[0]
    stored = prepare(FILES["a.jpg"], SETTINGS)
    assert row == {
        "source": "padchest",
        "study_id": "s0",
        "subject_id": None,
        "image_id": "i0",
        "view": "PA",
        "pixels": stored.pixels,
        "width": 64,
        "height": 80,
        "original_width": 160,
        "original_height": 200,
        "perceptual_hash": stored.perceptual_hash,
        "raw_digest": xxhash.xxh3_128_hexdigest(FILES["a.jpg"]),
    }
    assert len(row["perceptual_hash"]) == HASH_BYTES
    decoded = cv2.imdecode(np.frombuffer(row["pixels"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape == (80, 64)


def test_equal_files_within_a_source_are_all_kept(root: Path) -> None:
    images, _ = ingest_piece(root, asked(("a.jpg", "again.jpg", "a.jpg")), SETTINGS)
    assert len(set(images["raw_digest"].to_pylist())) == 1
    assert images["image_id"].to_pylist() == ["i0", "i1", "i2"]


def test_no_rows_and_no_survivors(root: Path) -> None:
    images, rejected = ingest_piece(root, asked(()), SETTINGS)
    assert (images.num_rows, rejected.num_rows) == (0, 0)
    images, rejected = ingest_piece(root, asked(("gone.jpg",)), SETTINGS)
    assert (images.num_rows, rejected.num_rows) == (0, 1)
    assert images.schema.equals(IMAGE_ROW_SCHEMA)


def test_extra_columns_and_their_order_do_not_matter(root: Path) -> None:
    plain = ingest_piece(root, asked(), SETTINGS)
    rows = asked().select(list(reversed(ASKED_SCHEMA.names)))
    rows = rows.append_column("note", pa.array(["x"] * rows.num_rows))
    assert ingest_piece(root, rows, SETTINGS) == plain


def test_another_process_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    here = ingest_piece(root, asked(), SETTINGS)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        there = pool.submit(ingest_piece, root, asked(), SETTINGS).result()
    digests = [
        write_table(tmp_path / f"{number}.parquet", images).digest
        for number, (images, _) in enumerate((here, there))
    ]
    assert digests[0] == digests[1]
    assert here[1].equals(there[1])


def test_no_word_of_a_header_reaches_the_rows(root: Path, tmp_path: Path) -> None:
    images, _ = ingest_piece(root, asked(("noname",)), SETTINGS)
    path = tmp_path / "out.parquet"
    write_table(path, images)
    assert PATIENT_NAME.split("^")[0].encode() not in path.read_bytes()
    assert b"4711" not in path.read_bytes()


@pytest.mark.public_data
def test_all_real_nih_films_are_kept(public_data: Path) -> None:
    root = public_data / "nih_cxr14"
    uris = tuple(sorted(f"images/{path.name}" for path in (root / "images").iterdir()))
    images, rejected = ingest_piece(root, asked(uris), ImageSettings(short_side_px=112))
    assert (images.num_rows, rejected.num_rows) == (96, 0)
    assert set(images["original_width"].to_pylist()) == {1024}
    assert len(set(images["perceptual_hash"].to_pylist())) == 96

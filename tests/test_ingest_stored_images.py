"""Pixels are stored piece by piece beside the studies, and only where a file or study changed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from raw_world import copy_raw, edit_report, look, payload, write_raw

from infra.artifact import Artifact
from infra.errors import ArtifactError
from infra.pieces import Count
from infra.workers import Workers
from sources.piece import piece_key, piece_number
from sources.pixels import IMAGE_ROW_SCHEMA
from sources.record import REJECTED_SCHEMA
from tasks.ingest.stored_images import IMAGES_FILE, image_rows, ingest_images
from tasks.ingest.studies import REJECTED_FILE, STUDIES_FILE, ingest_studies


@dataclass(frozen=True)
class World:
    """One source's studies and images."""

    raw: Path
    data: Path
    images: Artifact


def ingest(data: Path, raw: Path, *overrides: str) -> Artifact:
    context = look(data, {"chexpert": raw}, "images.short_side_px=64", *overrides)
    ingest_studies(context, "chexpert")
    return ingest_images(context, "chexpert")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("images")
    raw = write_raw("chexpert", folder / "raw", 12)
    return World(raw, folder / "data", ingest(folder / "data", raw))


@pytest.fixture
def own(world: World, tmp_path: Path) -> Iterator[World]:
    """Copies that a test may edit."""
    raw = copy_raw(world.raw, tmp_path / "raw")
    shutil.copytree(world.data, tmp_path / "data")
    images = ingest(tmp_path / "data", raw)
    assert images.cached
    yield World(raw, tmp_path / "data", images)


def rows(artifact: Artifact, name: str = IMAGES_FILE) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(name)])


def victim(raw: Path) -> tuple[Path, str]:
    """One picture of the training part, and its study's id."""
    path = sorted(raw.glob("CheXpert-v1.0-small/train/*/*/view1_frontal.jpg"))[0]
    return path, "/".join(path.parts[-3:-1])


def test_every_listed_image_is_stored_or_rejected(world: World) -> None:
    stored, rejected = rows(world.images), rows(world.images, REJECTED_FILE)
    assert stored.schema.equals(IMAGE_ROW_SCHEMA)
    assert rejected.schema.equals(REJECTED_SCHEMA)
    (count,) = world.images.counts
    assert (count.unit, count.kept) == ("images", stored.num_rows)
    assert count.rows_in == stored.num_rows + rejected.num_rows
    studies = look(world.data, {"chexpert": world.raw}).artifact("studies/chexpert")
    listed = sum(image_rows(path).num_rows for path in studies.files(STUDIES_FILE))
    assert count.rows_in == listed


def test_pixels_have_the_recipes_size(world: World) -> None:
    for row in rows(world.images).to_pylist():
        with Image.open(BytesIO(row["pixels"])) as picture:
            assert picture.mode == "L"
            assert picture.size == (row["width"], row["height"])
        assert min(row["width"], row["height"]) == 64


def test_image_rows_keep_the_order_and_owner_of_every_image(tmp_path: Path) -> None:
    image = {"view": "PA", "width": None, "height": None}
    table = pa.table(
        {
            "source": ["s", "s", "s"],
            "study_id": ["a", "b", "c"],
            "subject_id": ["x", None, "z"],
            "images": [
                [{**image, "image_id": "2", "uri": "u2"}, {**image, "image_id": "1", "uri": "u1"}],
                [],
                [{**image, "image_id": "3", "uri": "u3"}],
            ],
        }
    )
    pq.write_table(table, tmp_path / "studies.parquet")
    made = image_rows(tmp_path / "studies.parquet")
    assert made.column_names == ["source", "study_id", "subject_id", "image_id", "view", "uri"]
    assert [tuple(row.values()) for row in made.to_pylist()] == [
        ("s", "a", "x", "2", "PA", "u2"),
        ("s", "a", "x", "1", "PA", "u1"),
        ("s", "c", "z", "3", "PA", "u3"),
    ]


def test_a_touched_image_rewrites_exactly_its_piece(own: World) -> None:
    path, study = victim(own.raw)
    os.utime(path, (1, 1))
    after = ingest(own.data, own.raw)
    assert after.built == (piece_key(piece_number(study, 4)),)
    moved = [
        new.key
        for old, new in zip(own.images.pieces, after.pieces, strict=True)
        if old.folder != new.folder
    ]
    assert moved == list(after.built)
    assert [piece.files for piece in after.pieces] == [piece.files for piece in own.images.pieces]


def test_a_damaged_image_is_a_rejected_row_and_the_rest_stays(own: World) -> None:
    path, _ = victim(own.raw)
    path.write_bytes(path.read_bytes()[:100])
    after = ingest(own.data, own.raw)
    (before_count,), (count,) = own.images.counts, after.counts
    assert (count.rows_in, count.kept) == (before_count.rows_in, before_count.kept - 1)
    new = [
        row
        for row in rows(after, REJECTED_FILE).to_pylist()
        if row not in rows(own.images, REJECTED_FILE).to_pylist()
    ]
    assert [(row["level"], row["source"]) for row in new] == [("image", "chexpert")]
    assert sum(count.rejected.values()) == sum(before_count.rejected.values()) + 1


def test_an_edited_report_rewrites_no_image(tmp_path: Path) -> None:
    raw = write_raw("mimic_cxr", tmp_path / "raw", 12)
    context = look(tmp_path / "data", {"mimic_cxr": raw}, "images.short_side_px=64")
    ingest_studies(context, "mimic_cxr")
    before = ingest_images(context, "mimic_cxr")
    study = edit_report(raw)
    context = look(tmp_path / "data", {"mimic_cxr": raw}, "images.short_side_px=64")
    studies = ingest_studies(context, "mimic_cxr")
    after = ingest_images(context, "mimic_cxr")
    assert studies.built == (piece_key(piece_number(study, 4)),)
    assert after.built == ("manifest.json",)
    assert after.pieces == before.pieces


def test_another_size_shares_nothing(own: World) -> None:
    after = ingest(own.data, own.raw, "images.short_side_px=48")
    assert set(after.built) == {piece.key for piece in after.pieces}
    assert after.reason == "short_side_px 64 became 48"


def test_another_report_setting_shares_everything(own: World) -> None:
    assert ingest(own.data, own.raw, "reports.temperature=0.5").cached


def test_images_need_their_studies(world: World, tmp_path: Path) -> None:
    context = look(tmp_path / "data", {"chexpert": world.raw})
    with pytest.raises(ArtifactError) as caught:
        ingest_images(context, "chexpert")
    folder = context.graph["studies/chexpert"].folder
    assert str(caught.value) == (
        f"{folder} is not there; run the step that makes studies/chexpert first"
    )


def test_threads_store_the_same_bytes(world: World, tmp_path: Path) -> None:
    context = look(tmp_path / "data", {"chexpert": world.raw}, "images.short_side_px=64")
    ingest_studies(context, "chexpert")
    told: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as pool:
        ingest_images(context, "chexpert", pool, lambda *at: told.append(at))
    folder = context.graph["images/chexpert"].folder
    made = {k: v for k, v in payload(tmp_path / "data" / folder).items() if k.endswith("parquet")}
    ours = {k: v for k, v in payload(world.data / folder).items() if k.endswith("parquet")}
    assert made == ours
    assert told == [(number, 4) for number in range(5)]


def test_a_pool_without_work_starts_no_process(world: World) -> None:
    before = multiprocessing.active_children()
    context = look(world.data, {"chexpert": world.raw}, "images.short_side_px=64")
    again = ingest_images(context, "chexpert", Workers("processes", 3))
    assert again.cached
    assert multiprocessing.active_children() == before


def test_counts_are_summed_over_pieces(world: World) -> None:
    total = sum(count.rows_in for piece in world.images.pieces for count in piece.counts)
    assert world.images.counts == (
        Count("images", total, world.images.counts[0].kept, world.images.counts[0].rejected),
    )

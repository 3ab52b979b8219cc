"""The sources of questions and of several views, through the steps that ingest them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_world import look, write_raw

from infra.artifact import Artifact
from infra.pieces import Count
from sources.record import Study, study_from_row
from tasks.context import Context
from tasks.ingest.stored_images import IMAGES_FILE, ingest_images
from tasks.ingest.studies import REJECTED_FILE, STUDIES_FILE, ingest_studies

NAMES = ("mimic_cxr_vqa", "medical_diff_vqa", "rrg24")


@dataclass(frozen=True)
class World:
    """One source's raw tree, its studies and its images."""

    context: Context
    studies: Artifact
    images: Artifact


def ingest(data: Path, name: str, raw: Path) -> World:
    context = look(
        data,
        {name: raw},
        "images.short_side_px=64",
        f'sources.routes={{{name}=["keep"]}}',
    )
    return World(context, ingest_studies(context, name), ingest_images(context, name))


@pytest.fixture(scope="module", params=NAMES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp(request.param)
    return ingest(folder / "data", request.param, write_raw(request.param, folder / "raw", 24))


def read(artifact: Artifact, name: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(name)])


def studies(world: World) -> list[Study]:
    return [study_from_row(row) for row in read(world.studies, STUDIES_FILE).to_pylist()]


def test_questions_are_counted_beside_studies_and_images(world: World) -> None:
    counts = {count.unit: count for count in world.studies.counts}
    asked = sum(len(study.dialogues) for study in studies(world))
    lost = Counter(
        row["reason"]
        for row in read(world.studies, REJECTED_FILE).to_pylist()
        if row["level"] == "dialogue"
    )
    expected = {"studies", "images listed"} | ({"dialogues"} if asked else set())
    assert set(counts) == expected
    if asked:
        assert counts["dialogues"] == Count("dialogues", asked + lost.total(), asked, dict(lost))


def test_pictures_are_stored_wherever_the_publisher_put_them(world: World) -> None:
    listed = [image for study in studies(world) for image in study.images]
    stored = read(world.images, IMAGES_FILE)
    lost = read(world.images, REJECTED_FILE).to_pylist()
    assert stored.num_rows + len(lost) == len(listed)
    assert set(stored["image_id"].to_pylist()) <= {image.image_id for image in listed}
    assert {row["reason"] for row in lost} <= {"file-missing", "truncated", "member-missing"}
    assert len(lost) <= 4


def test_splits_survive_the_recipes_own_shares(world: World) -> None:
    """A publisher's split is kept, that of each question too."""
    for study in studies(world):
        assert study.split is not None
        assert all(one.split is not None for one in study.dialogues)


def test_a_second_look_builds_nothing(world: World) -> None:
    name = world.context.source_names[0]
    assert ingest_studies(world.context, name).cached
    assert ingest_images(world.context, name).cached


def test_the_real_chest_subset_is_ingested_whole(public_data: Path, tmp_path: Path) -> None:
    world = ingest(tmp_path / "data", "vqa_rad", public_data / "vqa_rad")
    assert world.studies.counts == (
        Count("studies", 107, 107),
        Count("images listed", 107, 107),
        Count("dialogues", 794, 794),
    )
    assert world.images.counts == (Count("images", 107, 107),)

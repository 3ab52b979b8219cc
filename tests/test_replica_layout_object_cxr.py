"""The object-CXR replica, opened without our reader: zips, both tables, shapes and reading."""

from __future__ import annotations

import re
from collections import Counter
from zipfile import ZIP_STORED, ZipFile

import pytest
from replica_world import World, header_of, labels_of, make_world, picture_of, rows_of

from sources.replicas.object_cxr import TRAPS
from sources.replicas.truth import ReplicaSpec

SPLITS = {"train": "train", "dev": "validate"}
SHAPE = re.compile(r"[01]( -?\d+){4}|2( -?\d+ -?\d+){3,}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world("object_cxr", tmp_path_factory.mktemp("object"), ReplicaSpec(60, 2, 112))


@pytest.fixture(scope="module")
def cells(world: World) -> dict[str, str]:
    """Annotation by ``part/name``."""
    keys = {"train": "image_name", "dev": "image_path"}
    return {
        f"{part}/{row[key]}": row["annotation"]
        for part, key in keys.items()
        for row in rows_of(world.root / f"{part}.csv")
    }


def clamped_box(shape: str) -> tuple[float, float, float, float]:
    """What torchxrayvision's loader makes of a shape: extremes of the corners, not below 0."""
    numbers = [max(int(word), 0) for word in shape.split(" ")[1:]]
    x, y = numbers[::2], numbers[1::2]
    return float(min(x)), float(min(y)), float(max(x)), float(max(y))


def test_the_root_holds_two_zips_and_two_tables(world: World) -> None:
    names = {path.name for path in world.root.iterdir() if not path.name.startswith(".")}
    assert names == {"train.zip", "dev.zip", "train.csv", "dev.csv"}


def test_each_table_has_its_own_header(world: World) -> None:
    assert header_of(world.root / "train.csv") == ["image_name", "annotation"]
    assert header_of(world.root / "dev.csv") == ["image_path", "annotation"]


def test_members_lie_below_their_part(world: World, cells: dict[str, str]) -> None:
    damaged = []
    for part in SPLITS:
        with ZipFile(world.root / f"{part}.zip") as archive:
            assert archive.testzip() is None
            for member in archive.infolist():
                assert member.filename in cells
                assert member.compress_type == ZIP_STORED
                picture = picture_of(archive.read(member))
                if picture is None:
                    damaged.append(member.filename)
                else:
                    assert (picture.format, picture.mode) == ("JPEG", "L")
    assert len(damaged) == 1


def test_annotations_follow_the_grammar(cells: dict[str, str]) -> None:
    shapes = [shape for cell in cells.values() for shape in cell.split(";") if shape]
    assert all(SHAPE.fullmatch(shape) for shape in shapes), shapes
    assert {shape[0] for shape in shapes} == {"0", "1", "2"}
    for shape in shapes:
        if shape[0] in "01":
            left, top, right, bottom = map(int, shape.split(" ")[1:])
            assert left < right
            assert top < bottom


def test_about_half_of_the_images_are_blank(cells: dict[str, str]) -> None:
    blank = sum(not cell for cell in cells.values())
    assert 0.3 < blank / len(cells) < 0.7


def test_one_polygon_leaves_the_image(cells: dict[str, str]) -> None:
    negative = [cell for cell in cells.values() if "-" in cell]
    assert len(negative) == 1
    assert negative[0].startswith("2 -4 ")


def test_the_reader_yields_every_image_or_says_why(world: World, cells: dict[str, str]) -> None:
    with ZipFile(world.root / "train.zip") as train, ZipFile(world.root / "dev.zip") as dev:
        members = {*train.namelist(), *dev.namelist()}
    found = {image.image_id: study for study in world.studies.values() for image in study.images}
    assert set(found) == members
    (missing,) = set(cells) - members
    assert world.rejected[missing] == "file-missing"
    for image_id, study in found.items():
        part = image_id.split("/")[0]
        (image,) = study.images
        assert study.study_id == image_id.removesuffix(".jpg")
        assert study.split == SPLITS[part]
        assert (str(image.view), image.uri) == ("PA", f"{part}.zip!{image_id}")
        assert study.subject_id is None


def test_the_reader_boxes_every_shape(world: World, cells: dict[str, str]) -> None:
    for study in world.studies.values():
        cell = cells[f"{study.study_id}.jpg"]
        shapes = {clamped_box(shape) for shape in cell.split(";") if shape}
        assert {(b.x_min, b.y_min, b.x_max, b.y_max) for b in study.boxes} == shapes
        assert labels_of(study) == {}
        (label,) = study.source_labels
        assert label.name == "Foreign object"
        assert str(label.value) == ("positive" if cell else "negative")


def test_boxes_are_the_true_places(world: World) -> None:
    for study_id, study in world.studies.items():
        line = world.truth[study_id]
        true = [box for box in line["boxes"] if box["name"] == "foreign object"]
        named = any(finding["name"] == "foreign object" for finding in line["findings"])
        assert bool(study.boxes) == named == bool(true)
        for box, other in zip(study.boxes, true, strict=True):
            if line["trap"] != "negative-vertex":
                assert abs(box.x_min - other["x_min"]) <= 1
            assert abs(box.y_min - other["y_min"]) <= 1
            assert abs(box.x_max - other["x_max"]) <= 1
            assert abs(box.y_max - other["y_max"]) <= 1


@pytest.mark.parametrize("seed", range(10))
def test_every_trap_is_kept_in_the_smallest_replicas(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    small = make_world("object_cxr", tmp_path_factory.mktemp("small"), ReplicaSpec(5, seed, 64))
    traps = Counter(line["trap"] for line in small.truth.values() if line["trap"])
    has_object = any(
        finding["name"] == "foreign object"
        for line in small.truth.values()
        for finding in line["findings"]
    )
    expected = set(TRAPS) if has_object else set(TRAPS) - {"negative-vertex"}
    assert traps == Counter(expected)
    for line in small.truth.values():
        if line["trap"] == "negative-vertex":
            assert "foreign object" in {finding["name"] for finding in line["findings"]}

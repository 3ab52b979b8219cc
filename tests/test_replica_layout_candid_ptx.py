"""The CANDID-PTX replica, opened without our reader: files, tables, masks and reading."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset
from replica_world import Row, World, header_of, labels_of, make_world, rows_of

from sources.replicas.truth import ReplicaSpec

REPORTS, TUBES, RIBS = "Pneumothorax_reports.csv", "chest_tube.csv", "Rib_fracture_mask_rle.csv"
SHOWN = {"Pneumothorax": "pneumothorax", "Chest tube": "support device",
         "Rib fracture": "rib fracture"}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world("candid_ptx", tmp_path_factory.mktemp("candid"), ReplicaSpec(36, 12, 112))


@pytest.fixture(scope="module")
def files(world: World) -> dict[str, FileDataset]:
    return {path.name: dcmread(path) for path in sorted((world.root / "dataset").iterdir())}


@pytest.fixture(scope="module")
def rows(world: World) -> list[Row]:
    return rows_of(world.root / REPORTS)


def fill(text: str, height: int, width: int) -> NDArray[np.bool_]:
    """The published loader's steps: fill flat, shape as width x height, transpose."""
    flat = np.zeros(height * width, bool)
    numbers = [int(word) for word in text.split(" ")]
    place = 0
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        place += gap
        flat[place : place + length] = True
        place += length
    return flat.reshape(width, height).T


def box_of(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    y, x = np.nonzero(mask)
    return float(x.min()), float(y.min()), float(x.max()) + 1, float(y.max()) + 1


def masks_of(world: World) -> list[tuple[str, str, str]]:
    """(image, what, text) of every cell with runs in it."""
    tables = ((REPORTS, "SOPInstanceUID", "EncodedPixels", "Pneumothorax"),
              (TUBES, "anon_SOPUID", "mask_rle", "Chest tube"),
              (RIBS, "anon_SOPUID", "mask_rle", "Rib fracture"))  # fmt: skip
    return [
        (row[key], what, row[cell])
        for table, key, cell, what in tables
        for row in rows_of(world.root / table)
        if row[cell] not in ("", "-1")
    ]


def test_the_headers_are_the_publishers(world: World) -> None:
    header = header_of(world.root / REPORTS)
    assert header[0] == "\ufeffSOPInstanceUID"
    assert header[1:] == ["StudyInstanceUID", "filename", "EncodedPixels", "Report"]
    for table in (TUBES, RIBS):
        first, _, third = header_of(world.root / table)
        assert (first, third) == ("anon_SOPUID", "mask_rle")


def test_files_are_dicom_without_a_suffix(files: dict[str, FileDataset]) -> None:
    for name, header in files.items():
        assert name == header.SOPInstanceUID == header.file_meta.MediaStorageSOPInstanceUID
        assert re.fullmatch(r"[0-9.]{10,64}", name)
        assert header.Rows == header.Columns == 112
        assert header.BitsAllocated == 8
        assert header.pixel_array.shape == (112, 112)


def test_rows_name_their_file_and_their_subject(
    rows: list[Row], files: dict[str, FileDataset]
) -> None:
    for row in rows:
        assert row["SOPInstanceUID"] in files
        assert files[row["SOPInstanceUID"]].StudyInstanceUID == row["StudyInstanceUID"]
        assert re.fullmatch(rf"P\d+_{row['SOPInstanceUID']}", row["filename"])
        assert row["Report"]
        assert "\n" not in row["Report"]


def test_each_trap_is_there(world: World, rows: list[Row], files: dict[str, FileDataset]) -> None:
    masks = {row["EncodedPixels"] for row in rows}
    assert {"-1", ""} <= masks
    subjects: dict[str, set[str]] = defaultdict(set)
    regions: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        subjects[row["SOPInstanceUID"]].add(row["filename"].split("_")[0])
        regions[row["SOPInstanceUID"]].add(row["EncodedPixels"])
    assert sorted(map(len, subjects.values()))[-2:] == [1, 2]
    assert max(map(len, regions.values())) > 1
    tubes = rows_of(world.root / TUBES)
    assert "-1" in {row["mask_rle"] for row in tubes}
    assert {row["anon_SOPUID"] for row in tubes} - set(files) != set()
    assert sorted({str(header.ViewPosition) for header in files.values()}) == ["", "AP"]


def test_masks_lie_on_the_film_and_do_not_touch(world: World) -> None:
    merged: dict[tuple[str, str], NDArray[np.bool_]] = {}
    for image_id, what, text in masks_of(world):
        mask = fill(text, 112, 112)
        runs = [int(word) for word in text.split(" ")]
        assert sum(runs) <= 112 * 112
        assert min(runs[1::2]) > 0
        assert min(runs[2::2], default=1) > 0  # a gap of none would be one run
        before = merged.get((image_id, what), np.zeros_like(mask))
        assert not (before & mask).any()
        merged[image_id, what] = before | mask
    assert {what for _, what in merged} >= {"Pneumothorax", "Rib fracture"}


def test_masks_are_the_true_places(world: World) -> None:
    """Merged over its rows, a pneumothorax has the box of the truth file."""
    compared = 0
    for study_id, line in world.truth.items():
        image_id = study_id.replace(".9999.2.", ".9999.1.")
        parts = [
            fill(text, 112, 112)
            for image, what, text in masks_of(world)
            if (image, what) == (image_id, "Pneumothorax")
        ]
        for true in (box for box in line["boxes"] if box["name"] == "pneumothorax"):
            if line["trap"] == "mask-blank":
                assert parts == []
                continue
            found = box_of(np.logical_or.reduce(parts))
            wanted = (true["x_min"], true["y_min"], true["x_max"], true["y_max"])
            assert np.allclose(found, wanted, atol=3), line["trap"]  # specks are not drawn
            compared += 1
    assert compared > 2


def test_the_reader_boxes_every_region(world: World, files: dict[str, FileDataset]) -> None:
    published = {
        (image_id, what, *box_of(fill(text, 112, 112)))
        for image_id, what, text in masks_of(world)
        if image_id in files
    }
    gone = {name for name, header in files.items() if header.StudyInstanceUID not in world.studies}
    found = {
        (box.image_id, box.name, box.x_min, box.y_min, box.x_max, box.y_max)
        for study in world.studies.values()
        for box in study.boxes
    }
    assert found == {item for item in published if item[0] not in gone}
    assert len(gone) == 1


def test_the_reader_refuses_two_subjects_and_a_lone_tube(world: World) -> None:
    reasons = world.reading.rejected.column("reason").to_pylist()
    assert sorted(reasons) == [
        "duplicate-id", "report-row-missing", "subject-conflict", "subject-conflict",
    ]  # fmt: skip


def test_headers_give_person_and_view(world: World, files: dict[str, FileDataset]) -> None:
    for name, header in files.items():
        study = world.studies.get(header.StudyInstanceUID)
        if study is None:
            continue
        (image,) = study.images
        assert image.image_id == name
        assert image.uri == f"dataset/{name}"
        assert image.view == (header.ViewPosition or "UNKNOWN")
        assert study.subject_age == float(header.PatientAge[:3])
        assert study.subject_sex == header.PatientSex


def test_labels_are_what_the_tables_say(world: World, rows: list[Row]) -> None:
    drawn = {(image_id, what) for image_id, what, _ in masks_of(world)}
    cells = defaultdict(set)
    for row in rows:
        cells[row["SOPInstanceUID"]].add(row["EncodedPixels"])
    for study in world.studies.values():
        (image,) = study.images
        expected: dict[str, float] = {}
        if (image.image_id, "Pneumothorax") in drawn:
            expected["Pneumothorax"] = 1.0
        elif "-1" in cells[image.image_id]:
            expected["Pneumothorax"] = 0.0
        if (image.image_id, "Chest tube") in drawn:
            expected["Support Devices"] = 1.0
        if (image.image_id, "Rib fracture") in drawn:
            expected["Fracture"] = 1.0
        assert labels_of(study) == expected


def test_labels_are_true(world: World) -> None:
    for study_id, study in world.studies.items():
        line = world.truth[study_id]
        names = {finding["name"] for finding in line["findings"]}
        for label in study.source_labels:
            if str(label.value) == "positive":
                assert SHOWN[label.name] in names
            elif label.name == "Pneumothorax":
                assert "pneumothorax" not in names
        if "pneumothorax" in names and line["trap"] != "mask-blank":
            assert labels_of(study)["Pneumothorax"] == 1.0


def test_reports_stay_raw_and_whole(world: World, rows: list[Row]) -> None:
    texts = {row["StudyInstanceUID"]: row["Report"] for row in rows}
    for study_id, study in world.studies.items():
        assert study.raw_report == texts[study_id]
        assert study.texts == ()
        assert study.subject_id is not None
        assert re.fullmatch(r"P\d+", study.subject_id)

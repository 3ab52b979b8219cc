"""The BRAX replica, opened without our reader: layout, traps and reading."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from pathlib import PurePosixPath

import pytest
from pydicom import dcmread
from replica_world import (
    Row,
    World,
    cells_stated,
    header_of,
    labels_of,
    make_world,
    picture_of,
    rows_of,
    stated,
)

from sources.replicas.truth import ReplicaSpec

HEADER = (
    ",DicomPath,PngPath,PatientID,PatientSex,PatientAge,AccessionNumber,StudyDate,No Finding,"
    "Enlarged Cardiomediastinum,Cardiomegaly,Lung Lesion,Lung Opacity,Edema,Consolidation,"
    "Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices,"
    "ViewPosition,Rows,Columns,Manufacturer"
)
HEX, DOTS = r"[0-9a-f]{8}(-[0-9a-f]{8}){4}", r"\d{8}(\.\d{8}){4}"
PNG = re.compile(rf"images/id_{HEX}/Study_{DOTS}/Series_{DOTS}/image-\d{{8}}(-\d{{8}}){{4}}\.png")
VIEWS = {"PA": "PA", "AP": "AP", "L": "LATERAL", "RL": "LATERAL"}
UNREADABLE = "image-22690942-78813103-68555148-48389446-07160114.png"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world("brax", tmp_path_factory.mktemp("brax"), ReplicaSpec(30, 5, 96))


@pytest.fixture(scope="module")
def rows(world: World) -> list[Row]:
    return rows_of(world.root / "master_spreadsheet_update.csv")


def study_of(row: Row) -> str:
    return f"{row['PatientID']}/{row['AccessionNumber']}"


def test_the_header_has_26_fields_and_the_labels_at_8_to_21(world: World) -> None:
    header = header_of(world.root / "master_spreadsheet_update.csv")
    assert header == HEADER.split(",")
    assert (len(header), header[8], header[21]) == (26, "No Finding", "Support Devices")
    assert header.index("Lung Lesion") < header.index("Lung Opacity")


def test_paths_have_the_publishers_shape(rows: list[Row]) -> None:
    for number, row in enumerate(rows):
        assert row[""] == str(number)
        assert PNG.fullmatch(row["PngPath"]), row["PngPath"]
        folders = PurePosixPath(row["PngPath"]).parts
        assert folders[1] == row["PatientID"]
        assert folders[2] == f"Study_{row['AccessionNumber']}"
        assert row["DicomPath"].endswith(".dcm")


def test_cells_hold_the_publishers_words(rows: list[Row]) -> None:
    labels = HEADER.split(",")[8:22]
    assert {row[name] for row in rows for name in labels} == {"1", "0", "-1", ""}
    assert {row["PatientSex"] for row in rows} == {"M", "F", "O"}
    ages = {row["PatientAge"] for row in rows}
    assert "85 or more" in ages
    assert all(int(age) % 5 == 0 and int(age) < 85 for age in ages - {"85 or more"})
    assert all(re.fullmatch(r"20\d\d(0[1-9]|1[0-2])[0-2]\d", row["StudyDate"]) for row in rows)
    assert all(row["Manufacturer"].isdigit() for row in rows)


def test_odd_views_occur_once_each(rows: list[Row]) -> None:
    found = Counter(row["ViewPosition"] for row in rows)
    assert set(found) == {"PA", "AP", "L", "AP LLD", "RL", "LT-DECUB", "RLO", ""}
    assert {found[name] for name in ("AP LLD", "RL", "LT-DECUB", "RLO", "")} == {1}


def test_files_are_grey_pngs_but_for_three(world: World, rows: list[Row]) -> None:
    damaged = {}
    for row in rows:
        path = world.root / row["PngPath"]
        if not path.is_file():
            damaged[path.name] = "missing"
            continue
        picture = picture_of(path.read_bytes())
        if picture is None:
            damaged[path.name] = "broken"
        else:
            size = (str(picture.width), str(picture.height))
            assert (picture.mode, *size) == ("L", row["Columns"], row["Rows"])
    assert sorted(damaged.values()) == ["broken", "broken", "missing"]
    assert damaged[UNREADABLE] == "broken"


def test_the_unreadable_png_is_there_as_dicom(world: World, rows: list[Row]) -> None:
    (row,) = (row for row in rows if row["PngPath"].endswith(UNREADABLE))
    header = dcmread(world.root / row["DicomPath"])
    assert header.pixel_array.shape == (int(row["Rows"]), int(row["Columns"]))
    images = world.studies[study_of(row)].images
    (image,) = (image for image in images if image.image_id == row["PngPath"])
    assert (image.uri, image.width) == (row["DicomPath"], int(row["Columns"]))


def test_the_reader_yields_what_the_rows_say(world: World, rows: list[Row]) -> None:
    assert set(world.studies) == {study_of(row) for row in rows} == set(world.truth)
    assert world.rejected == {}
    images = {image.image_id: image for study in world.studies.values() for image in study.images}
    for row in rows:
        study = world.studies[study_of(row)]
        assert images[row["PngPath"]].view == VIEWS.get(row["ViewPosition"], "UNKNOWN")
        assert study.subject_id == row["PatientID"]
        assert study.subject_age == float(row["PatientAge"].split(" ")[0])
        assert study.subject_sex == row["PatientSex"]
        text = row["StudyDate"]
        assert study.acquired_on == date(int(text[:4]), int(text[4:6]), int(text[6:]))
        assert study.manufacturer == row["Manufacturer"]


def test_labels_are_the_rows_and_the_truths(world: World, rows: list[Row]) -> None:
    for row in rows:
        found = labels_of(world.studies[study_of(row)])
        assert found == cells_stated(row) == stated(world.truth[study_of(row)]["labels"])


def test_no_finding_means_nothing_but_devices(rows: list[Row]) -> None:
    others = HEADER.split(",")[9:21]
    for row in rows:
        is_clear = not any(row[name] in ("1", "-1") for name in others)
        assert (row["No Finding"] == "1") == is_clear


def test_views_are_the_truths_where_they_are_known(world: World) -> None:
    for study_id, study in world.studies.items():
        for image, view in zip(study.images, world.truth[study_id]["views"], strict=True):
            assert str(image.view) in (view, "UNKNOWN")


def test_a_subject_stays_in_one_split(world: World) -> None:
    splits: dict[str | None, set[str]] = {}
    for study in world.studies.values():
        splits.setdefault(study.subject_id, set()).add(str(study.split))
    assert {len(found) for found in splits.values()} == {1}

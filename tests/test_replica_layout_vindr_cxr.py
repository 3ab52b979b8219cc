"""The VinDr-CXR replica, opened without our reader: tables, files, votes and boxes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from replica_world import Row, World, header_of, labels_of, make_world, rows_of

from sources.replicas.truth import ReplicaSpec

LOCAL = (  # noqa: SIM905
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,"
    "Edema,Emphysema,Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,"
    "Mediastinal shift,Nodule/Mass,Pleural effusion,Pleural thickening,Pneumothorax,"
    "Pulmonary fibrosis,Rib fracture,Other lesion"
).split(",")
GLOBAL = ["COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding"]
KEPT_TAGS = {
    0x00100040, 0x00101010, 0x00101020, 0x00101030, 0x00280002, 0x00280004, 0x00280008, 0x00280010,
    0x00280011, 0x00280030, 0x00280034, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280106,
    0x00280107, 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00282110, 0x00282112, 0x00282114,
    0x7FE00010,
}  # fmt: skip
"""What the publisher's de-identification leaves in a file."""
CORNERS = ("x_min", "y_min", "x_max", "y_max")
OBSERVED = {
    "cardiomegaly": "Cardiomegaly",
    "pleural effusion": "Pleural Effusion",
    "pneumothorax": "Pneumothorax",
    "consolidation": "Consolidation",
    "lung opacity": "Lung Opacity",
    "nodule": "Lung Lesion",
    "edema": "Edema",
    "atelectasis": "Atelectasis",
    "pleural thickening": "Pleural Other",
    "rib fracture": "Fracture",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world("vindr_cxr", tmp_path_factory.mktemp("vindr"), ReplicaSpec(36, 4, 96))


@pytest.fixture(scope="module")
def files(world: World) -> dict[str, FileDataset]:
    return {path.stem: dcmread(path) for path in sorted(world.root.glob("*/*.dicom"))}


@pytest.fixture(scope="module")
def votes(world: World) -> list[Row]:
    return rows_of(world.root / "annotations/image_labels_train.csv")


@pytest.fixture(scope="module")
def consensus(world: World) -> list[Row]:
    return rows_of(world.root / "annotations/image_labels_test.csv")


@pytest.fixture(scope="module")
def boxes(world: World) -> list[Row]:
    parts = ("train", "test")
    return [
        r for part in parts for r in rows_of(world.root / f"annotations/annotations_{part}.csv")
    ]


def test_the_headers_are_the_publishers(world: World) -> None:
    folder = world.root / "annotations"
    singular = ["Other disease" if name == "Other diseases" else name for name in GLOBAL]
    box = ["class_name", *CORNERS]
    assert header_of(folder / "image_labels_train.csv") == ["image_id", "rad_id", *LOCAL, *GLOBAL]
    assert header_of(folder / "image_labels_test.csv") == ["image_id", *LOCAL, *singular]
    assert header_of(folder / "annotations_train.csv") == ["image_id", "rad_id", *box]
    assert header_of(folder / "annotations_test.csv") == ["image_id", *box]


def test_each_image_is_a_file_of_its_own_name(world: World, votes: list[Row]) -> None:
    train = {path.stem for path in (world.root / "train").iterdir()}
    assert {row["image_id"] for row in votes} == train
    assert all(re.fullmatch(r"[0-9a-f]{32}\.dicom", p.name) for p in world.root.glob("t*/*"))
    assert set(world.truth) == {path.stem for path in world.root.glob("t*/*.dicom")}


def test_files_hold_the_kept_elements_alone(files: dict[str, FileDataset]) -> None:
    for image_id, header in files.items():
        assert {int(element.tag) for element in header} <= KEPT_TAGS
        with pytest.warns(UserWarning, match="Invalid value for VR UI"):
            assert str(header.file_meta.MediaStorageSOPInstanceUID) == image_id
        assert header.file_meta.ImplementationClassUID == "1.2.3.4"


def test_grey_scales_and_depths(files: dict[str, FileDataset]) -> None:
    assert {h.PhotometricInterpretation for h in files.values()} == {"MONOCHROME1", "MONOCHROME2"}
    false_twelve = [
        image_id
        for image_id, header in files.items()
        if header.BitsStored == 12 and int(np.max(header.pixel_array)) < 256
    ]
    assert len(false_twelve) == 1
    assert {header.BitsStored for header in files.values()} == {10, 12, 14, 16}


def test_ages_of_zero_and_none_are_not_given(world: World, files: dict[str, FileDataset]) -> None:
    ages = Counter(str(header.get("PatientAge") or "") for header in files.values())
    assert ages["000Y"] == ages[""] == 1
    for image_id, header in files.items():
        years = int((header.get("PatientAge") or "000Y")[:3])
        assert world.studies[image_id].subject_age == (float(years) or None)
        assert world.studies[image_id].subject_sex == header.PatientSex


def test_three_radiologists_of_seventeen_vote_on_each_image(votes: list[Row]) -> None:
    readers = defaultdict(list)
    for row in votes:
        readers[row["image_id"]].append(row["rad_id"])
        assert {row[name] for name in (*LOCAL, *GLOBAL)} == {"0", "1"}
    for found in readers.values():
        assert len(set(found)) == len(found) == 3
        assert all(re.fullmatch(r"R([1-9]|1[0-7])", reader) for reader in found)


def test_radiologists_disagree_somewhere(votes: list[Row]) -> None:
    counts = tally(votes)
    assert any(0 < count < 3 for found in counts.values() for count in found.values())


def tally(votes: list[Row]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in votes:
        counts[row["image_id"]].update({n: int(row[n]) for n in (*LOCAL, *GLOBAL)})
    return counts


def test_the_reader_counts_the_votes(world: World, votes: list[Row]) -> None:
    for image_id, counts in tally(votes).items():
        found = {label.name: label.votes for label in world.studies[image_id].source_labels}
        assert found == {name: count for name, count in counts.items() if count}
        labels = labels_of(world.studies[image_id])
        for name, observation in (("Cardiomegaly", "Cardiomegaly"), ("Edema", "Edema")):
            expected = 1.0 if counts[name] >= 2 else -1.0 if counts[name] else 0.0
            assert labels[observation] == expected
        assert {"Enlarged Cardiomediastinum", "Support Devices"}.isdisjoint(labels)


def test_no_finding_excludes_all_else(votes: list[Row], consensus: list[Row]) -> None:
    for row in (*votes, *consensus):
        others = [name for name in row if name not in ("image_id", "rad_id", "No finding")]
        assert (row["No finding"] == "1") == all(row[name] == "0" for name in others)


def test_the_consensus_is_the_truth(world: World, consensus: list[Row]) -> None:
    assert len(consensus) == 6
    for row in consensus:
        line = world.truth[row["image_id"]]
        named = {OBSERVED[f["name"]] for f in line["findings"] if f["name"] in OBSERVED}
        named |= {"Pneumonia" for f in line["findings"] if f["kind"] == "pneumonia"}
        labels = labels_of(world.studies[row["image_id"]])
        positive = {name for name, value in labels.items() if value == 1.0} - {"No Finding"}
        assert positive - {"Pneumonia"} == named - {"Pneumonia"}
        assert "Pneumonia" not in named or "Pneumonia" in positive


def test_boxes_lie_on_their_image(files: dict[str, FileDataset], boxes: list[Row]) -> None:
    blank = 0
    for row in boxes:
        if row["class_name"] == "No finding":
            blank += 1
            assert {row[name] for name in CORNERS} == {""}
            continue
        assert row["class_name"] in LOCAL
        left, top, right, bottom = (float(row[name]) for name in CORNERS)
        assert 0 <= left < right
        assert 0 <= top < bottom
        header = files[row["image_id"]]
        assert right <= 1.04 * header.Columns  # a radiologist's hand may slip by 4 %
        assert bottom <= 1.04 * header.Rows
        assert re.fullmatch(r"\d+\.\d", row["x_min"])
    assert blank > 3


def test_exact_duplicates_of_no_finding_rows_are_normal(boxes: list[Row]) -> None:
    rows = Counter(row["image_id"] for row in boxes if row["class_name"] == "No finding")
    assert 3 in rows.values()


def test_the_reader_yields_every_box(world: World, boxes: list[Row]) -> None:
    published = Counter(
        (row["image_id"], row["class_name"], row.get("rad_id"), *(float(row[n]) for n in CORNERS))
        for row in boxes
        if row["x_min"]
    )
    found = Counter(
        (study.study_id, box.name, box.reader, box.x_min, box.y_min, box.x_max, box.y_max)
        for study in world.studies.values()
        for box in study.boxes
    )
    assert found == published


def test_consensus_boxes_are_the_true_ones(world: World, consensus: list[Row]) -> None:
    for row in consensus:
        line = world.truth[row["image_id"]]
        true = {tuple(float(b[n]) for n in CORNERS) for b in line["boxes"] if b["name"] in OBSERVED}
        found = world.studies[row["image_id"]].boxes
        assert {
            (b.x_min, b.y_min, b.x_max, b.y_max) for b in found if b.name != "Other lesion"
        } == true


def test_splits_and_views(world: World) -> None:
    for study_id, study in world.studies.items():
        folder = "test" if (world.root / "test" / f"{study_id}.dicom").is_file() else "train"
        assert str(study.split) == folder
        assert [(str(i.view), i.uri) for i in study.images] == [
            ("PA", f"{folder}/{study_id}.dicom")
        ]
        assert world.truth[study_id]["views"] == ["PA"]

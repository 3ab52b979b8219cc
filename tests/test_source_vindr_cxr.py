"""VinDr-CXR: votes, counterparts, boxes, headers, the replica's traps, and damage."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from infra.egress import Egress
from infra.errors import SourceError
from sources.record import OBSERVATIONS, LabelValue, Reading, Split, Study, View, study_from_row
from sources.replicas.truth import ReplicaSpec
from sources.replicas.vindr_cxr import write
from sources.vindr_cxr import CARD, COUNTERPARTS, read

NAMES = tuple(COUNTERPARTS)
ONE = "0a" * 16
TWO = "0b" * 16


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vindr")
    write(root, ReplicaSpec(studies=48, seed=3, side_px=128))
    return root


@pytest.fixture(scope="module")
def header_bytes(replica: Path) -> bytes:
    return next((replica / "train").glob("*.dicom")).read_bytes()


class Tree:
    """The four tables and some files, to be damaged before they are written."""

    def __init__(self, root: Path, data: bytes) -> None:
        self.root, self.data = root, data
        self.train: list[list[str]] = []
        self.test: list[list[str]] = []
        self.train_boxes: list[list[str]] = []
        self.test_boxes: list[list[str]] = []
        self.other = "Other disease"
        self.files: list[str] = []

    def vote(self, image: str, reader: str, *names: str, cell: str = "1") -> None:
        self.train.append([image, reader, *(cell if name in names else "0" for name in NAMES)])

    def consensus(self, image: str, *names: str) -> None:
        self.test.append([image, *("1" if name in names else "0" for name in NAMES)])

    def write(self) -> Path:
        folder = self.root / "annotations"
        folder.mkdir(exist_ok=True)
        test_names = [self.other if name == "Other diseases" else name for name in NAMES]
        corners = ["x_min", "y_min", "x_max", "y_max"]
        save(folder / "image_labels_train.csv", ["image_id", "rad_id", *NAMES], self.train)
        save(folder / "image_labels_test.csv", ["image_id", *test_names], self.test)
        boxes = ["image_id", "rad_id", "class_name", *corners]
        save(folder / "annotations_train.csv", boxes, self.train_boxes)
        save(folder / "annotations_test.csv", ["image_id", "class_name", *corners], self.test_boxes)
        for split in ("train", "test"):
            (self.root / split).mkdir(exist_ok=True)
        for path in self.files:
            (self.root / path).write_bytes(self.data)
        return self.root


@pytest.fixture
def tree(tmp_path: Path, header_bytes: bytes) -> Tree:
    """One train image that three radiologists call normal, and one normal test image."""
    made = Tree(tmp_path, header_bytes)
    made.files = [f"train/{ONE}.dicom", f"test/{TWO}.dicom"]
    made.consensus(TWO, "No finding")
    return made


def save(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


def normal(tree: Tree) -> Tree:
    for reader in ("R1", "R2", "R3"):
        tree.vote(ONE, reader, "No finding")
    return tree


def studies(root: Path) -> dict[str, Study]:
    return {row["study_id"]: study_from_row(row) for row in read(root).studies.to_pylist()}


def labels(study: Study) -> dict[str, LabelValue]:
    return {label.observation: label.value for label in study.labels}


def rejected(reading: Reading) -> set[tuple[str, str, str, str]]:
    rows = reading.rejected.to_pylist()
    return {(row["level"], row["row_id"], row["reason"], row["detail"]) for row in rows}


def message(root: Path) -> str:
    with pytest.raises(SourceError) as caught:
        read(root)
    return str(caught.value).replace(str(root), "ROOT")


def test_the_card() -> None:
    assert (CARD.llm_egress, CARD.official_split, CARD.has_reports) == (
        Egress.ZERO_RETENTION, True, False,
    )  # fmt: skip
    assert CARD.expected.images == 18_000


def test_every_name_has_a_written_counterpart_or_none() -> None:
    assert len(COUNTERPARTS) == 28
    assert set(COUNTERPARTS.values()) - {None} <= set(OBSERVATIONS)
    reached = set(COUNTERPARTS.values())
    assert set(OBSERVATIONS) - reached == {"Enlarged Cardiomediastinum", "Support Devices"}


def test_a_normal_image_denies_all_that_was_looked_for(tree: Tree) -> None:
    study = studies(normal(tree).write())[ONE]
    values = labels(study)
    assert values.pop("No Finding") is LabelValue.POSITIVE
    assert set(values.values()) == {LabelValue.NEGATIVE}
    assert len(values) == 11
    assert [image.view for image in study.images] == [View.PA]
    assert (study.subject_id, study.split) == (None, Split.TRAIN)


@pytest.mark.parametrize(
    ("votes", "value"),
    [(1, LabelValue.UNCERTAIN), (2, LabelValue.POSITIVE), (3, LabelValue.POSITIVE)],
)
def test_a_majority_decides_and_a_minority_leaves_doubt(
    tree: Tree, votes: int, value: LabelValue
) -> None:
    for reader in range(3):
        tree.vote(ONE, f"R{reader}", "Pneumothorax" if reader < votes else "No finding")
    study = studies(tree.write())[ONE]
    assert labels(study)["Pneumothorax"] is value
    (source,) = [item for item in study.source_labels if item.name == "Pneumothorax"]
    assert (source.value, source.votes, source.readers) == (value, votes, 3)


def test_several_names_of_one_observation_do_not_add_up(tree: Tree) -> None:
    tree.vote(ONE, "R1", "Lung Opacity")
    tree.vote(ONE, "R2", "Infiltration")
    tree.vote(ONE, "R3", "No finding")
    study = studies(tree.write())[ONE]
    assert labels(study)["Lung Opacity"] is LabelValue.UNCERTAIN
    assert [item.name for item in study.source_labels] == [
        "Infiltration", "Lung Opacity", "No finding",
    ]  # fmt: skip


def test_names_without_a_counterpart_stay_source_labels(tree: Tree) -> None:
    for reader in ("R1", "R2", "R3"):
        tree.vote(ONE, reader, "Aortic enlargement", "Tuberculosis")
    study = studies(tree.write())[ONE]
    assert LabelValue.POSITIVE not in labels(study).values()
    assert [item.name for item in study.source_labels] == ["Aortic enlargement", "Tuberculosis"]


@pytest.mark.parametrize("spelling", ["Other disease", "Other diseases"])
def test_the_test_table_may_spell_its_last_disease_either_way(tree: Tree, spelling: str) -> None:
    tree.other = spelling
    tree.test.clear()
    tree.consensus(TWO, "Other diseases")
    study = studies(normal(tree).write())[TWO]
    (source,) = study.source_labels
    assert (source.name, source.votes, source.readers) == ("Other diseases", None, 5)
    assert study.split is Split.TEST


def test_boxes_keep_their_radiologist(tree: Tree) -> None:
    normal(tree).train_boxes = [
        [ONE, "R2", "Nodule/Mass", "10.5", "20", "30", "44.25"],
        [ONE, "R1", "No finding", "", "", "", ""],
        [ONE, "R1", "No finding", "", "", "", ""],
    ]
    (box,) = studies(tree.write())[ONE].boxes
    assert (box.image_id, box.name, box.reader) == (f"{ONE}.dicom", "Nodule/Mass", "R2")
    assert (box.x_min, box.y_min, box.x_max, box.y_max) == (10.5, 20.0, 30.0, 44.25)


def test_pixels_are_never_opened(tree: Tree, header_bytes: bytes) -> None:
    tree.data = header_bytes[:1000]
    assert len(studies(normal(tree).write())) == 2


def test_a_missing_table(tree: Tree) -> None:
    root = normal(tree).write()
    (root / "annotations" / "annotations_test.csv").unlink()
    assert message(root) == (
        "found nothing that matches annotations/annotations_test.csv under ROOT; expected the "
        "files of VinDr-CXR v1.0.0; check that the path is its root; see 'cxr sources vindr_cxr'"
    )


def test_a_missing_label_column(tree: Tree) -> None:
    path = normal(tree).write() / "annotations" / "image_labels_train.csv"
    path.write_text(path.read_text().replace("Lung cyst", "Lung_cyst"))
    assert message(tree.root).startswith(
        "found no column 'Lung cyst' in ROOT/annotations/image_labels_train.csv; expected the "
        "columns image_id, rad_id, Aortic enlargement, "
    )


def test_no_spelling_of_the_last_disease(tree: Tree) -> None:
    tree.other = "Another disease"
    assert message(normal(tree).write()) == (
        "found no column 'Other diseases' or 'Other disease' in "
        "ROOT/annotations/image_labels_test.csv; expected one of them with 0 or 1 in it; "
        "check that this is the publisher's file and release"
    )


def test_another_delimiter(tree: Tree) -> None:
    path = normal(tree).write() / "annotations" / "image_labels_test.csv"
    path.write_text(path.read_text().replace(",", ";"))
    assert message(tree.root) == (
        "found a header separated by semicolons in ROOT/annotations/image_labels_test.csv; "
        "expected one separated by commas; download the file again, or save it with the "
        "publisher's delimiter"
    )


def test_an_empty_label_table(tree: Tree) -> None:
    assert message(tree.write()) == (
        "found no rows below the header of ROOT/annotations/image_labels_train.csv; expected at "
        "least one row; download the file again and compare its checksum with the publisher's"
    )


def test_a_table_that_is_not_utf8(tree: Tree) -> None:
    path = normal(tree).write() / "annotations" / "annotations_train.csv"
    path.write_bytes(path.read_bytes() + b"\xff\xfe,R1,Edema,1,2,3,4\n")
    size = len(path.read_bytes()) - len(b"\xff\xfe,R1,Edema,1,2,3,4\n")
    assert message(tree.root) == (
        f"found bytes that are not UTF-8 at offset {size} of "
        "ROOT/annotations/annotations_train.csv; expected UTF-8 text; download the file again, "
        "or convert it to UTF-8"
    )


def test_a_missing_file_rejects_its_image(tree: Tree) -> None:
    root = normal(tree).write()
    (root / "train" / f"{ONE}.dicom").unlink()
    assert rejected(read(root)) == {
        ("study", ONE, "no-image-left", "every image was rejected and there is no report"),
        ("image", f"{ONE}.dicom", "file-missing", f"no file at train/{ONE}.dicom"),
    }


@pytest.mark.parametrize(
    ("data", "error"), [(b"", "InvalidDicomError"), (b"x" * 300, "InvalidDicomError")]
)
def test_a_file_that_is_no_dicom(tree: Tree, data: bytes, error: str) -> None:
    root = normal(tree).write()
    (root / "train" / f"{ONE}.dicom").write_bytes(data)
    wanted = ("image", f"{ONE}.dicom", "dicom-unreadable", f"header of train/{ONE}.dicom: {error}")
    assert wanted in rejected(read(root))


@pytest.mark.parametrize("cell", ["2", "yes", "", "-1"])
def test_a_vote_that_is_none(tree: Tree, cell: str) -> None:
    for reader in ("R1", "R2", "R3"):
        tree.vote(ONE, reader, "Edema", cell=cell if reader == "R2" else "1")
    reading = read(tree.write())
    assert ("study", ONE, "label-value-unknown", "a vote that is neither 0 nor 1") in rejected(
        reading
    )
    assert (reading.studies_in, reading.studies.num_rows) == (2, 1)


def test_a_radiologist_who_votes_twice(tree: Tree) -> None:
    normal(tree).vote(ONE, "R1", "Edema")
    assert ("study", ONE, "reader-repeated", "2 rows of one radiologist; expected one") in rejected(
        read(tree.write())
    )


def test_a_test_image_listed_twice(tree: Tree) -> None:
    normal(tree).consensus(TWO, "Edema")
    reading = read(tree.write())
    assert rejected(reading) == {
        ("image", f"{TWO}.dicom", "duplicate-id", "listed again in row 3; the first row is kept")
    }
    assert (reading.studies_in, reading.images_in) == (2, 3)


def test_an_image_in_both_splits(tree: Tree) -> None:
    normal(tree).consensus(ONE, "No finding")
    tree.files.append(f"test/{ONE}.dicom")
    reasons = {(level, reason) for level, _, reason, _ in rejected(read(tree.write()))}
    assert ("study", "split-conflict") in reasons


def test_a_row_without_an_image_id(tree: Tree) -> None:
    normal(tree).vote("", "R1", "Edema")
    assert (
        "image", "row 2", "id-missing", "a row of the label table without image_id",
    ) in rejected(read(tree.write()))  # fmt: skip


def test_boxes_of_an_image_without_labels(tree: Tree) -> None:
    normal(tree).train_boxes = [["0c" * 16, "R1", "Edema", "1", "2", "3", "4"]]
    detail = "listed with boxes and not in the label table"
    assert ("study", "0c" * 16, "label-row-missing", detail) in rejected(read(tree.write()))


@pytest.mark.parametrize(
    "corners",
    [
        ("1", "2", "", "4"),
        ("9", "2", "3", "4"),
        ("1", "2", "1", "4"),
        ("-5", "2", "3", "4"),
        ("a", "2", "3", "4"),
        ("1", "2", "inf", "4"),
    ],
)
def test_a_box_that_is_none(tree: Tree, corners: tuple[str, ...]) -> None:
    normal(tree).train_boxes = [[ONE, "R1", "Edema", *corners]]
    detail = "a box without four numbers or without a size above zero"
    assert ("image", f"{ONE}.dicom", "box-unreadable", detail) in rejected(read(tree.write()))


def test_a_box_of_an_unknown_name(tree: Tree) -> None:
    normal(tree).train_boxes = [[ONE, "R1", "Oedema", "1", "2", "3", "4"]]
    detail = "a class_name that is not one of VinDr's 28"
    assert ("image", f"{ONE}.dicom", "box-name-unknown", detail) in rejected(read(tree.write()))

"""CANDID-PTX: reports, masks, headers, the replica's traps, and damage."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from infra.egress import Egress
from infra.errors import SourceError
from sources.candid_ptx import CARD, read
from sources.record import LabelValue, Reading, Study, View, study_from_row
from sources.replicas.candid_ptx import REPORT_COLUMNS, TUBE_COLUMNS, write
from sources.replicas.truth import ReplicaSpec
from sources.run_length import decode_mask, encode_mask
from sources.split import hash_split

POSITIVE, NEGATIVE = LabelValue.POSITIVE, LabelValue.NEGATIVE
ONE, TWO = "1.2.3.1", "1.2.3.2"
STUDY = "1.2.9.1"
TEXT = "There is a small left pneumothorax."


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("candid")
    write(root, ReplicaSpec(studies=60, seed=2, side_px=128))
    return root


@pytest.fixture(scope="module")
def film(replica: Path) -> bytes:
    """A 128 x 128 DICOM file."""
    return next((replica / "dataset").iterdir()).read_bytes()


class Tree:
    """The tables and files, to be damaged before they are written."""

    def __init__(self, root: Path, data: bytes) -> None:
        self.root, self.data = root, data
        self.reports: list[list[str]] = []
        self.tubes: list[list[str]] = []
        self.fractures: list[list[str]] = []
        self.files = [ONE, TWO]
        self.folder = "dataset"
        self.fracture_table = "Rib_fracture_mask_rle.csv"
        self.columns: tuple[str, ...] = REPORT_COLUMNS

    def report(
        self, image: str = ONE, rle: str = "-1", *, study: str = STUDY, person: str = "P17",
        text: str = TEXT,
    ) -> Tree:  # fmt: skip
        self.reports.append([image, study, f"{person}_{image}", rle, text])
        return self

    def write(self) -> Path:
        (self.root / self.folder).mkdir(exist_ok=True)
        for name in self.files:
            (self.root / self.folder / name).write_bytes(self.data)
        order = [REPORT_COLUMNS.index(name) for name in self.columns]
        rows = [[row[place] for place in order] for row in self.reports]
        save(self.root / "Pneumothorax_reports.csv", self.columns, rows, "utf-8-sig")
        if self.tubes:
            save(self.root / "chest_tube.csv", TUBE_COLUMNS, self.tubes)
        if self.fractures:
            save(self.root / self.fracture_table, TUBE_COLUMNS, self.fractures)
        return self.root


def save(
    path: Path, header: tuple[str, ...], rows: list[list[str]], encoding: str = "utf-8"
) -> None:
    with path.open("w", newline="", encoding=encoding) as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


@pytest.fixture
def tree(tmp_path: Path, film: bytes) -> Tree:
    return Tree(tmp_path, film)


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


def square(x: int, y: int, side: int) -> str:
    mask = np.zeros((128, 128), bool)
    mask[y : y + side, x : x + side] = True
    return encode_mask(mask)


def test_the_card() -> None:
    assert (CARD.llm_egress, CARD.official_split, CARD.has_reports, CARD.language) == (
        Egress.NEVER, False, True, "en",
    )  # fmt: skip


def test_one_row_becomes_one_study(tree: Tree) -> None:
    (study,) = studies(tree.report().write()).values()
    assert (study.study_id, study.subject_id) == (STUDY, "P17")
    assert study.split is hash_split("P17")
    assert study.raw_report == TEXT
    (image,) = study.images
    assert (image.image_id, image.uri, image.view) == (ONE, f"dataset/{ONE}", View.AP)
    assert (image.width, image.height) == (128, 128)


def test_minus_one_denies_a_pneumothorax(tree: Tree) -> None:
    (study,) = studies(tree.report(rle="-1").write()).values()
    assert labels(study) == {"Pneumothorax": NEGATIVE}
    assert study.boxes == ()


def test_a_blank_mask_says_nothing(tree: Tree) -> None:
    (study,) = studies(tree.report(rle="").write()).values()
    assert labels(study) == {}
    assert study.source_labels == ()


def test_each_region_becomes_a_box(tree: Tree) -> None:
    tree.report(rle=square(10, 20, 5)).report(rle=square(70, 40, 8))
    (study,) = studies(tree.write()).values()
    assert labels(study) == {"Pneumothorax": POSITIVE}
    corners = [(box.x_min, box.y_min, box.x_max, box.y_max) for box in study.boxes]
    assert corners == [(10, 20, 15, 25), (70, 40, 78, 48)]
    assert {(box.image_id, box.name) for box in study.boxes} == {(ONE, "Pneumothorax")}


def test_masks_count_down_the_columns(tree: Tree) -> None:
    """Pixels 256 to 265 of a film 128 high are the top ten of its third column."""
    (study,) = studies(tree.report(rle="256 10").write()).values()
    (box,) = study.boxes
    assert (box.x_min, box.y_min, box.x_max, box.y_max) == (2, 0, 3, 10)


def test_tubes_and_fractures_are_further_labels(tree: Tree) -> None:
    tree.report().tubes = [[ONE, "a1", square(30, 30, 4)]]
    tree.fractures = [[ONE, "a2", square(90, 60, 6)]]
    (study,) = studies(tree.write()).values()
    assert labels(study) == {
        "Pneumothorax": NEGATIVE, "Fracture": POSITIVE, "Support Devices": POSITIVE,
    }  # fmt: skip
    assert sorted(box.name for box in study.boxes) == ["Chest tube", "Rib fracture"]


def test_a_denied_tube_does_not_deny_all_devices(tree: Tree) -> None:
    tree.report().tubes = [[ONE, "a1", "-1"]]
    (study,) = studies(tree.write()).values()
    assert labels(study) == {"Pneumothorax": NEGATIVE}
    assert {(item.name, item.value) for item in study.source_labels} == {
        ("Pneumothorax", NEGATIVE), ("Chest tube", NEGATIVE),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["Rib_fracture_mask_rle.csv", "acute_rib_fracture.csv"])
def test_the_fracture_table_has_two_names(tree: Tree, name: str) -> None:
    tree.report().fractures = [[ONE, "a2", square(90, 60, 6)]]
    tree.fracture_table = name
    (study,) = studies(tree.write()).values()
    assert labels(study)["Fracture"] is POSITIVE


@pytest.mark.parametrize("folder", ["dataset", "chest_radiographs"])
def test_the_folder_has_two_names(tree: Tree, folder: str) -> None:
    tree.folder = folder
    (study,) = studies(tree.report().write()).values()
    assert study.images[0].uri == f"{folder}/{ONE}"


def test_the_order_of_columns_does_not_count(tree: Tree) -> None:
    tree.columns = tuple(reversed(REPORT_COLUMNS))
    (study,) = studies(tree.report().write()).values()
    assert (study.subject_id, study.raw_report) == ("P17", TEXT)


def test_two_images_of_one_study(tree: Tree) -> None:
    tree.report(ONE, square(1, 1, 3)).report(TWO)
    (study,) = studies(tree.write()).values()
    assert [image.image_id for image in study.images] == [ONE, TWO]
    assert labels(study) == {"Pneumothorax": POSITIVE}


def test_no_reports_table(tree: Tree) -> None:
    root = tree.report().write()
    (root / "Pneumothorax_reports.csv").unlink()
    assert message(root) == (
        "found nothing that matches Pneumothorax_reports.csv under ROOT; expected the files of "
        "CANDID-PTX; check that the path is its root; see 'cxr sources candid_ptx'"
    )


def test_no_folder_of_images(tree: Tree) -> None:
    tree.folder = "pictures"
    assert message(tree.report().write()) == (
        "found nothing that matches dataset or chest_radiographs under ROOT; expected the files "
        "of CANDID-PTX; check that the path is its root; see 'cxr sources candid_ptx'"
    )


def test_a_missing_column(tree: Tree) -> None:
    path = tree.report().write() / "Pneumothorax_reports.csv"
    path.write_text(path.read_text().replace("EncodedPixels", "Pixels"))
    assert message(tree.root) == (
        "found no column 'EncodedPixels' in ROOT/Pneumothorax_reports.csv; expected the columns "
        "SOPInstanceUID, StudyInstanceUID, filename, EncodedPixels, Report; check that this is "
        "the publisher's file and release"
    )


def test_a_tube_table_without_masks(tree: Tree) -> None:
    root = tree.report().write()
    save(root / "chest_tube.csv", ("anon_SOPUID", "annotation_id"), [[ONE, "a1"]])
    assert message(root).startswith(
        "found no column 'mask_rle' in ROOT/chest_tube.csv; expected the columns anon_SOPUID, "
    )


def test_no_rows(tree: Tree) -> None:
    assert message(tree.write()) == (
        "found no rows below the header of ROOT/Pneumothorax_reports.csv; expected at least one "
        "row; download the file again and compare its checksum with the publisher's"
    )


def test_reports_in_another_encoding(tree: Tree) -> None:
    path = tree.report().write() / "Pneumothorax_reports.csv"
    path.write_bytes(path.read_bytes().replace(b"small", b"sm\xe4ll"))
    assert " is not " not in message(tree.root)
    assert message(tree.root).startswith("found bytes that are not UTF-8 at offset ")


def test_an_unclosed_quote(tree: Tree) -> None:
    path = tree.report().write() / "Pneumothorax_reports.csv"
    path.write_text(path.read_text().replace("There is", '"There is'))
    text = message(tree.root)
    assert text.startswith("found a quote that never ends on ")
    assert "pneumothorax." not in text


def test_a_missing_file(tree: Tree) -> None:
    tree.files = [TWO]
    reading = read(tree.report().report(TWO).write())
    assert rejected(reading) == {("image", ONE, "file-missing", f"no file at dataset/{ONE}")}
    assert (reading.studies_in, reading.images_in, reading.studies.num_rows) == (1, 2, 1)


def test_a_study_keeps_its_report_when_its_only_file_is_missing(tree: Tree) -> None:
    tree.files = []
    (study,) = studies(tree.report().write()).values()
    assert (study.images, study.raw_report) == ((), TEXT)


def test_a_file_that_is_no_dicom(tree: Tree) -> None:
    root = tree.report().write()
    (root / "dataset" / ONE).write_bytes(b"no film")
    detail = f"header of dataset/{ONE}: InvalidDicomError"
    assert ("image", ONE, "dicom-unreadable", detail) in rejected(read(root))


@pytest.mark.parametrize(
    ("rle", "fault"),
    [
        ("5 6 7", "3 numbers; expected pairs"),
        ("5 x", "a word that is not a number"),
        ("5 0", "a negative gap or an empty run"),
        ("-3 4", "a negative gap or an empty run"),
        ("16380 9", "pixel 16389 of an image of 16384"),
    ],
)
def test_a_mask_that_is_none(tree: Tree, rle: str, fault: str) -> None:
    reading = read(tree.report(rle=rle).write())
    assert rejected(reading) == {
        ("image", ONE, "mask-unreadable", f"mask of Pneumothorax: {fault}")
    }


def test_an_image_of_two_subjects(tree: Tree) -> None:
    reading = read(tree.report().report(person="P18").write())
    detail = "2 subjects over its images; expected one"
    assert ("study", STUDY, "subject-conflict", detail) in rejected(reading)
    assert reading.studies.num_rows == 0


def test_a_file_name_without_a_subject(tree: Tree) -> None:
    reading = read(tree.report(person="X9").write())
    detail = "filename without a leading P<number>_"
    assert ("study", STUDY, "subject-unknown", detail) in rejected(reading)


def test_a_row_without_identifiers(tree: Tree) -> None:
    reading = read(tree.report().report("").write())
    detail = "row 2: no SOPInstanceUID or no StudyInstanceUID"
    assert ("image", "row 2", "id-missing", detail) in rejected(reading)


def test_a_tube_of_an_image_without_a_report(tree: Tree) -> None:
    tree.report().tubes = [[TWO, "a1", "5 6"]]
    reading = read(tree.write())
    detail = "annotated, but not in Pneumothorax_reports.csv"
    assert rejected(reading) == {("image", TWO, "report-row-missing", detail)}
    assert reading.images_in == 2


def test_two_reports_of_one_study(tree: Tree) -> None:
    reading = read(tree.report(ONE).report(TWO, text="Another text.").write())
    detail = "2 different reports over its images; the first is kept"
    assert rejected(reading) == {("text", STUDY, "report-differs", detail)}


def test_no_detail_holds_report_text(tree: Tree) -> None:
    tree.files = []
    tree.report(rle="5 x").report(TWO, text="Another text.").report(person="P9")
    details = " ".join(detail for *_, detail in rejected(read(tree.write())))
    assert "pneumothorax." not in details
    assert "Another" not in details


def test_masks_survive_encoding() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        height, width = rng.integers(2, 40, 2)
        mask = rng.random((height, width)) < rng.uniform(0.05, 0.95)
        mask[0, 0] = True
        assert np.array_equal(decode_mask(encode_mask(mask), int(height), int(width)), mask)


def test_a_mask_reads_as_documented() -> None:
    mask = decode_mask("1 2 1 1", 3, 2)
    assert mask.tolist() == [[False, False], [True, True], [True, False]]
    assert encode_mask(mask) == "1 2 1 1"

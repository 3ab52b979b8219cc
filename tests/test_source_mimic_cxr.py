"""MIMIC-CXR: what becomes of tables, file layouts and reports."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sources.mimic_cxr import read
from sources.mimic_cxr_tables import VIEWS
from sources.replicas.files import DicomStyle, encode_dicom
from sources.split import hash_split
from tests.mimic_tree import REPORT, STUDY, MimicTree, image_row

JPEG = "files/p10/p10000001/s50000001/aa-01.jpg"
DICOM = "files/p10/p10000001/s50000001/aa-01.dcm"
RECORD = ["10000001", STUDY, "aa-01", DICOM]


def rows_of(tree: MimicTree) -> dict[str, dict[str, Any]]:
    """The studies by id, once nothing was rejected."""
    reading = read(tree.write())
    assert reading.rejected.to_pylist() == []
    return {row["study_id"]: row for row in reading.studies.to_pylist()}


def touch(root: Path, name: str, data: bytes = b"x") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_a_study_of_the_jpeg_release(tmp_path: Path) -> None:
    row = rows_of(MimicTree(tmp_path))[STUDY]
    assert row["images"] == [
        {"image_id": "aa-01", "view": "PA", "uri": JPEG, "width": 2544, "height": 3056},
        {
            "image_id": "aa-02",
            "view": "LATERAL",
            "uri": "files/p10/p10000001/s50000001/aa-02.jpg",
            "width": 2544,
            "height": 3056,
        },
    ]
    assert (row["subject_id"], row["split"]) == ("10000001", "train")
    assert row["acquired_on"] == date(2155, 1, 31)
    assert row["labels"] == [
        {"observation": "Edema", "value": "positive"},
        {"observation": "Pneumonia", "value": "uncertain"},
        {"observation": "Fracture", "value": "negative"},
    ]
    assert row["source_labels"] == []
    assert row["raw_report"] == REPORT
    [text] = row["texts"]
    assert (text["origin"], text["sectioned_by"]) == ("radiologist", "rules")
    assert (text["findings"], text["impression"]) == ("Clear lungs.", "Normal.")


def test_a_study_without_report_is_kept(tmp_path: Path) -> None:
    row = rows_of(MimicTree(tmp_path))["50000002"]
    assert (row["raw_report"], row["texts"], row["split"]) == (None, [], "test")


@pytest.mark.parametrize(("position", "view"), VIEWS.items())
def test_every_published_view_position(tmp_path: Path, position: str, view: str) -> None:
    tree = MimicTree(tmp_path, metadata=[image_row("aa-01", "10000001", STUDY, position)])
    assert rows_of(tree)[STUDY]["images"][0]["view"] == view


def test_only_ap_and_pa_are_frontal() -> None:
    assert {position for position, view in VIEWS.items() if view.is_frontal} == {"AP", "PA"}


def test_an_ap_film_under_a_pa_procedure_is_ap(tmp_path: Path) -> None:
    cells = {"PerformedProcedureStepDescription": "CHEST (PA AND LAT)"}
    tree = MimicTree(tmp_path, metadata=[image_row("aa-01", "10000001", STUDY, "AP", **cells)])
    assert rows_of(tree)[STUDY]["images"][0]["view"] == "AP"


@pytest.mark.parametrize("text", ["", "2155", "21551340"])
def test_a_date_that_is_none_is_left_out(tmp_path: Path, text: str) -> None:
    row = image_row("aa-01", "10000001", STUDY, StudyDate=text)
    assert rows_of(MimicTree(tmp_path, metadata=[row]))[STUDY]["acquired_on"] is None


def test_no_label_table_and_no_row_mean_no_labels(tmp_path: Path) -> None:
    assert rows_of(MimicTree(tmp_path / "a", labels=None))[STUDY]["labels"] == []
    assert rows_of(MimicTree(tmp_path / "b", labels={"50000002": {}}))[STUDY]["labels"] == []


def test_the_radiologists_labels_of_the_test_set_win(tmp_path: Path) -> None:
    tree = MimicTree(
        tmp_path,
        labels={"50000002": {"Edema": "1.0"}},
        expert={"50000002": {"Airspace Opacity": "1.0", "Edema": "0.0"}},
    )
    row = rows_of(tree)["50000002"]
    assert row["labels"] == [
        {"observation": "Lung Opacity", "value": "positive"},
        {"observation": "Edema", "value": "negative"},
    ]
    [own] = row["source_labels"]
    assert (own["name"], own["value"]) == ("Airspace Opacity", "positive")


def test_a_listed_dicom_is_read_where_no_jpeg_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, DICOM)
    images = rows_of(MimicTree(tmp_path, records=[RECORD]))[STUDY]["images"]
    assert [image["uri"] for image in images] == [DICOM, JPEG.replace("aa-01", "aa-02")]


def test_a_listed_jpeg_goes_before_the_dicom(tmp_path: Path) -> None:
    touch(tmp_path, DICOM)
    touch(tmp_path, JPEG)
    tree = MimicTree(tmp_path, records=[RECORD], jpeg_names=[JPEG])
    assert rows_of(tree)[STUDY]["images"][0]["uri"] == JPEG


def test_a_list_of_files_that_are_not_here_is_ignored(tmp_path: Path) -> None:
    touch(tmp_path, DICOM)
    tree = MimicTree(tmp_path, records=[RECORD], jpeg_names=[JPEG])
    assert rows_of(tree)[STUDY]["images"][0]["uri"] == DICOM


def test_a_record_list_without_its_files_is_ignored(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path, records=[RECORD])
    assert rows_of(tree)[STUDY]["images"][0]["uri"] == JPEG


def test_the_dicom_release_alone_is_read_from_headers(tmp_path: Path) -> None:
    style = DicomStyle(
        tags={"ViewPosition": "AP", "StudyDate": "21600229", "Manufacturer": "Maker"}
    )
    touch(tmp_path, DICOM, encode_dicom(np.zeros((6, 4), np.float32), style))
    tree = MimicTree(tmp_path, metadata=None, splits=None, labels=None, records=[RECORD])
    row = rows_of(tree)[STUDY]
    assert row["images"] == [
        {"image_id": "aa-01", "view": "AP", "uri": DICOM, "width": 4, "height": 6}
    ]
    assert (row["acquired_on"], row["manufacturer"]) == (date(2160, 2, 29), "Maker")
    assert row["split"] == hash_split("10000001")
    assert row["texts"][0]["findings"] == "Clear lungs."


@pytest.mark.parametrize("data", [b"", b"no DICOM at all", b"\0" * 128 + b"DICM" + b"\2\0"])
def test_an_unreadable_header_leaves_the_view_unknown(tmp_path: Path, data: bytes) -> None:
    touch(tmp_path, DICOM, data)
    tree = MimicTree(tmp_path, metadata=None, splits=None, labels=None, records=[RECORD])
    [image] = rows_of(tree)[STUDY]["images"]
    assert (image["view"], image["width"]) == ("UNKNOWN", None)


def test_an_image_that_only_the_record_list_has_is_added(tmp_path: Path) -> None:
    path = DICOM.replace("aa-01", "aa-09")
    touch(tmp_path, path)
    tree = MimicTree(tmp_path, records=[["10000001", STUDY, "aa-09", path]])
    images = rows_of(tree)[STUDY]["images"]
    assert [image["image_id"] for image in images] == ["aa-01", "aa-02", "aa-09"]
    assert images[2]["uri"] == path


def test_a_study_without_images_is_kept_as_text(tmp_path: Path) -> None:
    listed = [
        ["10000001", STUDY, "x"],
        ["10000002", "50000003", "x"],
        ["10000009", "50000009", "x"],
    ]
    reports = {"50000003": REPORT.encode()}
    rows = rows_of(MimicTree(tmp_path, studies=listed, reports=reports))
    assert sorted(rows) == [STUDY, "50000002", "50000003", "50000009"]
    assert rows["50000003"]["images"] == []
    assert rows["50000003"]["texts"][0]["impression"] == "Normal."
    assert rows["50000003"]["split"] == "test", "that of the subject's other study"
    assert rows["50000009"]["split"] == hash_split("10000009")


def test_reports_are_read_from_files_too(tmp_path: Path) -> None:
    touch(tmp_path, f"files/p10/p10000001/s{STUDY}.txt", b" IMPRESSION: From a file.\n")
    tree = MimicTree(tmp_path, reports={})
    root = tree.write()
    (root / "mimic-cxr-reports.zip").unlink()
    [first, _] = read(root).studies.to_pylist()
    assert first["texts"][0]["impression"] == "From a file."


def test_the_archive_goes_before_the_file_and_the_file_fills_its_gaps(tmp_path: Path) -> None:
    touch(tmp_path, f"files/p10/p10000001/s{STUDY}.txt", b" IMPRESSION: Unused.\n")
    touch(tmp_path, "files/p10/p10000002/s50000002.txt", b" IMPRESSION: From a file.\n")
    rows = rows_of(MimicTree(tmp_path))
    assert rows[STUDY]["texts"][0]["impression"] == "Normal."
    assert rows["50000002"]["texts"][0]["impression"] == "From a file."


def test_a_report_without_any_section_keeps_its_raw_text(tmp_path: Path) -> None:
    row = rows_of(MimicTree(tmp_path, reports={STUDY: b" WET READ: nothing.\n"}))[STUDY]
    assert (row["raw_report"], row["texts"]) == (" WET READ: nothing.\n", [])

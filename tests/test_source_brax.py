"""BRAX's master spreadsheet: columns by place and by name, views, ages, and damage."""

from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path

import pytest

from infra.egress import Egress
from infra.errors import SourceError
from sources.brax import CARD, UNREADABLE, read
from sources.record import Reading, Study, View, study_from_row
from sources.replicas.brax import COLUMNS
from sources.split import hash_split

SUBJECT = "id_00000000-11111111-22222222-33333333-44444444"
STUDY = "Study_00000000.11111111.22222222.33333333.44444444"
ACCESSION = "00000000.11111111.22222222.33333333.44444444"


def png_path(name: str = "a") -> str:
    return f"images/{SUBJECT}/{STUDY}/Series_1/image-{name}.png"


def row(name: str = "a", **cells: str) -> dict[str, str]:
    return {
        **dict.fromkeys(COLUMNS, ""),
        "DicomPath": png_path(name).replace("images", "Anonymized_DICOMs").replace("png", "dcm"),
        "PngPath": png_path(name),
        "PatientID": SUBJECT,
        "PatientSex": "F",
        "PatientAge": "60",
        "AccessionNumber": ACCESSION,
        "StudyDate": "20150102",
        "No Finding": "1",
        "ViewPosition": "PA",
        "Rows": "2500",
        "Columns": "2048",
        "Manufacturer": "1",
        **cells,
    }


def write(
    root: Path,
    *rows: dict[str, str],
    table: str = "master_spreadsheet_update.csv",
    names: dict[str, str] | None = None,
    has_png: bool = True,
    has_dicom: bool = True,
) -> Path:
    """The table, its header renamed by ``names``, and a PNG file so that the folder is seen."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([(names or {}).get(name, name) for name in COLUMNS])
    writer.writerows([[item[name] for name in COLUMNS] for item in rows])
    (root / table).write_text(stream.getvalue())
    if has_png:
        (root / png_path()).parent.mkdir(parents=True)
        (root / png_path()).write_bytes(b"png")
    if has_dicom:
        (root / "Anonymized_DICOMs").mkdir()
    return root


def studies(root: Path) -> list[Study]:
    return [study_from_row(item) for item in read(root).studies.to_pylist()]


def reasons(reading: Reading) -> list[tuple[str, str, str, str]]:
    rows = reading.rejected.to_pylist()
    return [(item["level"], item["row_id"], item["reason"], item["detail"]) for item in rows]


def test_one_row_becomes_one_study(tmp_path: Path) -> None:
    (study,) = studies(write(tmp_path, row()))
    assert (study.study_id, study.subject_id) == (f"{SUBJECT}/{ACCESSION}", SUBJECT)
    assert (study.images[0].image_id, study.images[0].uri) == (png_path(), png_path())
    assert (study.images[0].width, study.images[0].height) == (None, None)
    assert (study.subject_age, study.subject_sex) == (60.0, "F")
    assert (study.acquired_on, study.manufacturer) == (date(2015, 1, 2), "1")
    assert (study.split, study.raw_report) == (hash_split(SUBJECT), None)
    assert [(item.observation, item.value) for item in study.labels] == [("No Finding", "positive")]


def test_the_card(tmp_path: Path) -> None:
    assert (CARD.llm_egress, CARD.has_reports, CARD.language) == (
        Egress.ZERO_RETENTION,
        False,
        None,
    )
    assert (CARD.expected.studies, CARD.expected.images) == (24_959, 40_967)


def test_labels_go_by_name(tmp_path: Path) -> None:
    """Lung Lesion stands before Lung Opacity here, and after it in CheXpert."""
    assert COLUMNS.index("Lung Lesion") < COLUMNS.index("Lung Opacity")
    cells = {"No Finding": "", "Lung Lesion": "1", "Lung Opacity": "0", "Edema": "-1.0"}
    (study,) = studies(write(tmp_path, row(**cells)))
    assert {item.observation: str(item.value) for item in study.labels} == {
        "Lung Opacity": "negative",
        "Lung Lesion": "positive",
        "Edema": "uncertain",
    }


@pytest.mark.parametrize(
    ("position", "view"),
    [
        ("PA", View.PA),
        ("AP", View.AP),
        ("L", View.LATERAL),
        ("LL", View.LATERAL),
        ("RL", View.LATERAL),
        ("AP LLD", View.UNKNOWN),
        ("LT-DECUB", View.UNKNOWN),
        ("RLO", View.UNKNOWN),
        ("", View.UNKNOWN),
    ],
)
def test_views(tmp_path: Path, position: str, view: View) -> None:
    assert studies(write(tmp_path, row(ViewPosition=position)))[0].images[0].view is view


@pytest.mark.parametrize(
    ("text", "age"), [("85 or more", 85.0), ("0", 0.0), ("", None), ("unknown", None)]
)
def test_ages(tmp_path: Path, text: str, age: float | None) -> None:
    assert studies(write(tmp_path, row(PatientAge=text)))[0].subject_age == age


def test_other_sex_and_no_date(tmp_path: Path) -> None:
    (study,) = studies(write(tmp_path, row(PatientSex="O", StudyDate="")))
    assert (study.subject_sex, study.acquired_on) == ("O", None)


def test_the_dicom_column_goes_by_its_place(tmp_path: Path) -> None:
    root = write(tmp_path, row(), names={"DicomPath": "SomethingElse"}, has_png=False)
    image = studies(root)[0].images[0]
    assert image.uri == row()["DicomPath"]
    assert (image.image_id, image.width, image.height) == (png_path(), 2048, 2500)


@pytest.mark.parametrize(("path", "has_dicom"), [("", True), ("Anonymized_DICOMs/a.dcm", False)])
def test_without_dicom_files_the_png_path_stands(
    tmp_path: Path, path: str, has_dicom: bool
) -> None:
    root = write(tmp_path, row(DicomPath=path), has_png=False, has_dicom=has_dicom)
    assert studies(root)[0].images[0].uri == png_path()


def test_paths_may_begin_above_the_root(tmp_path: Path) -> None:
    root = write(tmp_path, row(PngPath="physionet.org/files/brax/1.1.0/" + png_path()))
    assert studies(root)[0].images[0].uri == png_path()


def test_the_first_release_has_another_name(tmp_path: Path) -> None:
    assert len(studies(write(tmp_path, row(), table="master_spreadsheet.csv"))) == 1


def test_accession_numbers_may_repeat_over_patients(tmp_path: Path) -> None:
    root = write(tmp_path, row(), row("b", PatientID="id_2"), row("c"))
    assert [len(study.images) for study in studies(root)] == [2, 1]


def test_an_unreadable_png_is_read_as_dicom(tmp_path: Path) -> None:
    cells = {"PngPath": png_path().replace("image-a.png", UNREADABLE[0])}
    image = studies(write(tmp_path, row(**cells)))[0].images[0]
    assert (image.image_id, image.uri) == (cells["PngPath"], row()["DicomPath"])


def test_an_unreadable_png_without_dicom_is_rejected(tmp_path: Path) -> None:
    path = png_path().replace("image-a.png", UNREADABLE[1])
    reading = read(write(tmp_path, row("b"), row(PngPath=path), has_dicom=False))
    assert reasons(reading) == [
        (
            "image",
            path,
            "known-bad-file",
            "the publisher's PNG cannot be read; expected its DICOM path",
        )
    ]


def test_rows_without_ids_or_paths(tmp_path: Path) -> None:
    reading = read(
        write(
            tmp_path,
            row(),
            row("b", PatientID=""),
            row("c", AccessionNumber=""),
            row("d", PngPath="", DicomPath=""),
        )
    )
    assert reasons(reading) == [
        ("image", png_path("b"), "id-missing", "row 2: no PatientID or no AccessionNumber"),
        ("image", png_path("c"), "id-missing", "row 3: no PatientID or no AccessionNumber"),
        ("image", "row 4", "path-missing", "row 4: no PngPath"),
    ]
    assert (reading.studies_in, reading.images_in) == (1, 4)


def test_an_unknown_label_value(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(Fracture="yes")))
    detail = "found text in column 'Fracture'; expected 1.0, 0.0, -1.0 or blank"
    assert [item[2:] for item in reasons(reading)] == [("label-value-unknown", detail)] * 2


def test_an_image_listed_twice(tmp_path: Path) -> None:
    assert [item[2] for item in reasons(read(write(tmp_path, row(), row())))] == ["duplicate-id"]


def error_of(root: Path) -> str:
    with pytest.raises(SourceError) as caught:
        read(root)
    return str(caught.value)


def test_no_table(tmp_path: Path) -> None:
    assert error_of(tmp_path) == (
        "found nothing that matches master_spreadsheet_update.csv or master_spreadsheet.csv under "
        f"{tmp_path}; expected the files of BRAX v1.1.0; check that the path is its root; "
        "see 'cxr sources brax'"
    )


def test_no_folder(tmp_path: Path) -> None:
    assert error_of(tmp_path / "brax") == (
        f"found no folder at {tmp_path}/brax; expected the root of BRAX v1.1.0; "
        "set CXR_SOURCE_BRAX or --source brax=PATH"
    )


def test_a_missing_column(tmp_path: Path) -> None:
    root = write(tmp_path, row(), names={"ViewPosition": "View"})
    assert error_of(root).startswith(f"found no column 'ViewPosition' in {root}/master_spreadsheet")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "master_spreadsheet_update.csv").write_bytes(b"")
    assert error_of(tmp_path).startswith(
        f"found an empty file at {tmp_path}/master_spreadsheet_update.csv; expected a header and "
    )

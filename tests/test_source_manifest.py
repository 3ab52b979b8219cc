"""A hospital's manifest.csv: every column's words, the view of a DICOM header, and damage."""

from __future__ import annotations

import csv
import io
import warnings
from datetime import date
from pathlib import Path
from zipfile import ZipFile

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from infra.egress import Egress
from infra.errors import SourceError
from sources.manifest import CARD, read
from sources.record import Reading, SectionedBy, Split, Study, View, study_from_row


def write(root: Path, *rows: dict[str, str], files: bool = True) -> Path:
    """``manifest.csv`` with the columns that any row has, and a file at each image_path."""
    names = list(dict.fromkeys(name for item in rows for name in item))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names)
    writer.writeheader()
    writer.writerows(rows)
    (root / "manifest.csv").write_text(stream.getvalue())
    for item in rows if files else ():
        path = root / item["image_path"]
        if item["image_path"] and not path.exists() and ".." not in path.parts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"picture")
    return root


def row(image_path: str = "images/1.png", study_id: str = "S1", **cells: str) -> dict[str, str]:
    return {"image_path": image_path, "study_id": study_id, **cells}


def write_dicom(path: Path, **values: str) -> None:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    header.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["test"])
    header.PatientName = "Doe^Jane"
    header.Rows, header.Columns = 8, 8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that the standard forbids are wanted here
        for name, value in values.items():
            setattr(header, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)


def only(root: Path, *rows: dict[str, str]) -> Study:
    (study,) = studies(read(write(root, *rows)))
    return study


def studies(reading: Reading) -> list[Study]:
    return [study_from_row(item) for item in reading.studies.to_pylist()]


def reasons(reading: Reading) -> list[tuple[str, str, str, str]]:
    rows = reading.rejected.to_pylist()
    return [(item["level"], item["row_id"], item["reason"], item["detail"]) for item in rows]


def test_two_columns_are_enough(tmp_path: Path) -> None:
    study = only(tmp_path, row())
    assert (study.study_id, study.subject_id, study.split) == ("S1", None, None)
    assert (study.images[0].image_id, study.images[0].uri) == ("images/1.png", "images/1.png")
    assert study.images[0].view is View.UNKNOWN
    assert (study.texts, study.labels, study.raw_report) == ((), (), None)


def test_all_columns(tmp_path: Path) -> None:
    cells = {
        "subject_id": "P1",
        "view": "pa",
        "split": "test",
        "indication": "Cough.",
        "technique": "PA view.",
        "comparison": "None.",
        "findings": "Enlarged heart.",
        "impression": "Cardiomegaly.",
        "language": "EN",
        "age": "045Y",
        "sex": "female",
        "date": "2024-02-29",
        "manufacturer": "Acme",
        "site": "North",
        "Cardiomegaly": "1",
        "Edema": "negative",
        "Pneumonia": "-1.0",
        "Fracture": "unmentioned",
    }
    study = only(tmp_path, row(**cells))
    assert (study.subject_id, study.split) == ("P1", Split.TEST)
    assert (study.subject_age, study.subject_sex) == (45.0, "F")
    assert (study.acquired_on, study.manufacturer, study.site) == (
        date(2024, 2, 29),
        "Acme",
        "North",
    )
    (text,) = study.texts
    assert (text.sectioned_by, text.language) == (SectionedBy.PUBLISHER, "en")
    assert (text.indication, text.findings) == ("Cough.", "Enlarged heart.")
    assert (text.technique, text.comparison, text.impression) == (
        "PA view.",
        "None.",
        "Cardiomegaly.",
    )
    assert {item.observation: str(item.value) for item in study.labels} == {
        "Cardiomegaly": "positive",
        "Edema": "negative",
        "Pneumonia": "uncertain",
    }


def test_the_card_keeps_text_at_home() -> None:
    assert CARD.llm_egress is Egress.NEVER


def test_a_report_is_cut_by_rules(tmp_path: Path) -> None:
    report = "FINDINGS: The lungs are clear.\nIMPRESSION: Normal."
    study = only(tmp_path, row(report=report))
    assert study.raw_report == report
    assert study.texts[0].sectioned_by is SectionedBy.RULES
    assert (study.texts[0].findings, study.texts[0].impression) == (
        "The lungs are clear.",
        "Normal.",
    )


def test_sections_win_over_the_report(tmp_path: Path) -> None:
    study = only(tmp_path, row(report="FINDINGS: One.", findings="Two."))
    assert (study.raw_report, study.texts[0].findings) == ("FINDINGS: One.", "Two.")


def test_values_may_stand_on_the_first_row_alone(tmp_path: Path) -> None:
    study = only(
        tmp_path,
        row(subject_id="P1", split="val", findings="Clear.", age="7"),
        row("images/2.png", subject_id="", split="", findings="", age=""),
    )
    assert (study.split, study.subject_age, len(study.images)) == (Split.VALIDATE, 7.0, 2)
    assert study.texts[0].findings == "Clear."


@pytest.mark.parametrize(
    ("word", "view"),
    [("AP", View.AP), ("Lateral", View.LATERAL), ("LL", View.LATERAL), ("unknown", View.UNKNOWN)],
)
def test_view_words(tmp_path: Path, word: str, view: View) -> None:
    assert only(tmp_path, row(view=word)).images[0].view is view


@pytest.mark.parametrize(
    ("position", "view"),
    [("PA", View.PA), ("AP", View.AP), ("LL", View.LATERAL), ("LLD", View.UNKNOWN)],
)
@pytest.mark.parametrize("name", ["1.dcm", "no-suffix"])
def test_the_view_of_a_dicom_header(tmp_path: Path, name: str, position: str, view: View) -> None:
    write_dicom(tmp_path / name, ViewPosition=position)
    assert only(tmp_path, row(name)).images[0].view is view


def test_the_column_wins_over_the_header(tmp_path: Path) -> None:
    write_dicom(tmp_path / "1.dcm", ViewPosition="PA")
    assert only(tmp_path, row("1.dcm", view="AP")).images[0].view is View.AP


def test_no_other_header_text_gets_out(tmp_path: Path) -> None:
    write_dicom(
        tmp_path / "1.dcm", ViewPosition="Jane Doe", PatientID="secret", InstitutionName="secret"
    )
    reading = read(write(tmp_path, row("1.dcm")))
    everything = repr(reading.studies.to_pylist()) + repr(reading.rejected.to_pylist())
    assert "Doe" not in everything
    assert "secret" not in everything
    assert reading.studies["images"].to_pylist()[0][0]["view"] == "UNKNOWN"


def test_a_damaged_dicom_header_is_left_to_the_pixels(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    assert only(tmp_path, row("1.dcm")).images[0].view is View.UNKNOWN


def test_images_in_a_zip_and_windows_paths(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.png", b"picture")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "2.png").write_bytes(b"picture")
    write(tmp_path, row("a.zip!1.png"), row(".\\x\\2.png", "S2"), files=False)
    uris = [study.images[0].uri for study in studies(read(tmp_path))]
    assert uris == ["a.zip!1.png", "x/2.png"]


def test_columns_of_other_names_are_not_read(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(patient_name="Jane Doe", study_date="1999")))
    assert "Jane" not in repr(reading.studies.to_pylist())


@pytest.mark.parametrize("path", ["../1.png", "/etc/passwd", "images/../../1.png"])
def test_paths_that_leave_the_root(tmp_path: Path, path: str) -> None:
    reading = read(write(tmp_path, row(), row(path, "S2"), files=False))
    assert (
        "image",
        path,
        "path-outside-root",
        "an absolute path or one with '..'; expected one relative to manifest.csv",
    ) in reasons(reading)


def test_a_missing_file(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(findings="Clear."), files=False))
    assert reasons(reading) == [
        ("image", "images/1.png", "file-missing", "no such file below the root")
    ]
    assert reading.studies.num_rows == 1


def test_rows_without_path_or_id(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(), row("", "S2"), row("images/3.png", "")))
    assert reasons(reading)[1:] == [
        ("image", "images/3.png", "id-missing", "row 3: no study_id"),
        ("image", "row 2", "path-missing", "row 2: no image_path"),
    ]


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("age", "old", "years from 0 to 120"),
        ("age", "121", "years from 0 to 120"),
        ("age", "-1", "years from 0 to 120"),
        ("sex", "girl", "F, M, O or unknown"),
        ("date", "29.02.2024", "YYYY-MM-DD"),
        ("split", "holdout", "train, validate or test"),
        ("Edema", "maybe", "1, 0, -1 or blank"),
    ],
)
def test_cells_that_cannot_be_understood(
    tmp_path: Path, column: str, cell: str, expected: str
) -> None:
    reading = read(write(tmp_path, row(), row("images/2.png", "S2", **{column: cell})))
    detail = f"row 2, column '{column}': expected {expected}"
    assert reasons(reading) == [
        ("study", "S2", "value-unknown", detail),
        ("image", "images/2.png", "value-unknown", detail),
    ]
    assert cell not in detail


def test_an_unknown_view_rejects_the_image_alone(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(), row("images/2.png", view="OBLIQUE")))
    assert reasons(reading) == [
        (
            "image",
            "images/2.png",
            "view-unknown",
            "row 2, column 'view': expected PA, AP, LATERAL, UNKNOWN or blank",
        )
    ]


def test_splits_that_differ_within_a_study(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(split="train"), row("images/2.png", split="test")))
    assert {item[2] for item in reasons(reading)} == {"split-conflict"}


def error_of(root: Path) -> str:
    with pytest.raises(SourceError) as caught:
        read(root)
    return str(caught.value)


def test_no_manifest(tmp_path: Path) -> None:
    assert error_of(tmp_path) == (
        f"found nothing that matches manifest.csv under {tmp_path}; expected the files of "
        "your own data (manifest.csv); check that the path is its root; see 'cxr sources manifest'"
    )


@pytest.mark.parametrize("name", ["finding", "Findings", "subjectid", "Pleural effusion"])
def test_a_column_that_seems_misspelt(tmp_path: Path, name: str) -> None:
    meant = {"finding": "findings", "Findings": "findings", "subjectid": "subject_id"}
    assert error_of(write(tmp_path, row(**{name: "1"}))) == (
        f"found column '{name}' in {tmp_path}/manifest.csv; expected "
        f"'{meant.get(name, 'Pleural Effusion')}', or a name that resembles no column of a "
        "manifest; rename the column; see 'Your own data' in docs/sources.md"
    )


def test_no_study_column(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("image_path\n1.png\n")
    assert error_of(tmp_path) == (
        f"found no column 'study_id' in {tmp_path}/manifest.csv; expected the columns image_path, "
        "study_id; check that this is the publisher's file and release"
    )


def test_a_spreadsheet_saved_with_semicolons(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("image_path;study_id\n1.png;S1\n")
    assert error_of(tmp_path).startswith(
        f"found a header separated by semicolons in {tmp_path}/manifest.csv; expected one "
        "separated by commas;"
    )


def test_a_manifest_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(
        "image_path,study_id\nK\xf6ln.png,S1\n".encode("latin-1")
    )
    assert error_of(tmp_path) == (
        f"found bytes that are not UTF-8 at offset 21 of {tmp_path}/manifest.csv; expected UTF-8 "
        "text; download the file again, or convert it to UTF-8"
    )


@pytest.mark.parametrize("blank", ["\n", " \t ", "\u00a0", "\u200b", "\ufeff\r\n"])
def test_a_section_of_nothing_that_shows_is_no_section(tmp_path: Path, blank: str) -> None:
    study = only(tmp_path, row(findings=blank, report="FINDINGS: Lungs clear."))
    (text,) = study.texts
    assert (text.sectioned_by, text.findings) == (SectionedBy.RULES, "Lungs clear.")


def test_line_breaks_inside_a_section_stay(tmp_path: Path) -> None:
    (text,) = only(tmp_path, row(findings="\n Lungs\nclear. \n")).texts
    assert text.findings == "Lungs\nclear."


@pytest.mark.parametrize("never", ["0000-01-01", "00000101"])
def test_year_zero_is_no_date(tmp_path: Path, never: str) -> None:
    reading = read(write(tmp_path, row(date=never)))
    assert reasons(reading)[0][2:] == (
        "value-unknown",
        "row 1, column 'date': expected YYYY-MM-DD",
    )

"""CheXpert's label tables: layouts, views, labels, splits, and what is done with damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.egress import Egress
from infra.errors import SourceError
from sources.chexpert import CARD, read
from sources.record import LabelValue, Reading, Split, Study, View, study_from_row

LABELS = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,"
    "Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,"
    "Support Devices"
)
HEADER = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{LABELS}"
SMALL = "CheXpert-v1.0-small"
BLANK = "," * 13


def row(path: str, person: str = "Female,68", view: str = "Frontal,AP", labels: str = BLANK) -> str:
    return f"{path},{person},{view},{labels}"


def path_of(patient: int, study: int = 1, view: str = "view1_frontal", split: str = "train") -> str:
    return f"{SMALL}/{split}/patient{patient:05d}/study{study}/{view}.jpg"


def write(root: Path, *rows: str, table: str = "train.csv", header: str = HEADER) -> Path:
    """A table at the root, and the folder of each patient that it names in the small layout."""
    root.mkdir(exist_ok=True)
    (root / table).write_text("\n".join([header, *rows]) + "\n")
    for line in rows:
        folder = Path(line.split(",")[0]).parent
        if folder.parts and folder.parts[0] == SMALL:
            (root / folder).mkdir(parents=True, exist_ok=True)
    return root


def studies(reading: Reading) -> list[Study]:
    return [study_from_row(item) for item in reading.studies.to_pylist()]


def reasons(reading: Reading) -> list[tuple[str, str, str, str]]:
    rows = reading.rejected.to_pylist()
    return [(item["level"], item["row_id"], item["reason"], item["detail"]) for item in rows]


def test_one_row_becomes_one_study(tmp_path: Path) -> None:
    labels = "1.0,,,,,,,,,0.0,,,,-1.0"
    study = studies(read(write(tmp_path, row(path_of(99999), labels=labels))))[0]
    assert (study.source, study.study_id) == ("chexpert", "patient99999/study1")
    assert (study.subject_id, study.split) == ("patient99999", Split.TRAIN)
    assert (study.subject_age, study.subject_sex) == (68.0, "F")
    image = study.images[0]
    assert image.image_id == "train/patient99999/study1/view1_frontal.jpg"
    assert image.uri == path_of(99999)
    assert {label.observation: label.value for label in study.labels} == {
        "No Finding": LabelValue.POSITIVE,
        "Pneumothorax": LabelValue.NEGATIVE,
        "Support Devices": LabelValue.UNCERTAIN,
    }
    assert (study.raw_report, study.texts, study.manufacturer) == (None, (), None)


def test_study_numbers_start_anew_with_each_patient(tmp_path: Path) -> None:
    rows = [
        row(path_of(1)),
        row(path_of(2)),
        row(path_of(1, view="view2_lateral"), view="Lateral,"),
    ]
    reading = read(write(tmp_path, *rows))
    assert [len(study.images) for study in studies(reading)] == [2, 1]


@pytest.mark.parametrize(
    ("cells", "name", "view"),
    [
        ("Frontal,PA", "view1_frontal", View.PA),
        ("Frontal,AP", "view1_frontal", View.AP),
        ("Frontal,LL", "view1_frontal", View.UNKNOWN),
        ("Frontal,RL", "view1_frontal", View.UNKNOWN),
        ("Frontal,", "view1_frontal", View.UNKNOWN),
        ("Lateral,", "view1_lateral", View.LATERAL),
    ],
)
def test_views(tmp_path: Path, cells: str, name: str, view: View) -> None:
    reading = read(write(tmp_path, row(path_of(1, view=name), view=cells)))
    assert studies(reading)[0].images[0].view is view


@pytest.mark.parametrize(
    ("person", "age", "sex"),
    [
        ("Male,90", 90.0, "M"),
        ("Female,0", None, "F"),
        ("Unknown,45", 45.0, None),
        (",", None, None),
    ],
)
def test_age_and_sex(tmp_path: Path, person: str, age: float | None, sex: str | None) -> None:
    study = studies(read(write(tmp_path, row(path_of(1), person=person))))[0]
    assert (study.subject_age, study.subject_sex) == (age, sex)


def test_tables_are_the_official_split(tmp_path: Path) -> None:
    write(tmp_path, row(path_of(1)))
    write(tmp_path, row(path_of(2, split="valid")), table="valid.csv")
    header = f"Path,{LABELS}"
    line = f"{path_of(3, split='test')},{BLANK}"
    write(tmp_path, line, table="test_labels.csv", header=header)
    write(
        tmp_path,
        f"{path_of(4, view='view2_lateral', split='test')}",
        table="test.csv",
        header="Path",
    )
    found = {study.subject_id: study for study in studies(read(tmp_path))}
    assert {name: study.split for name, study in found.items()} == {
        "patient00001": Split.TRAIN,
        "patient00002": Split.VALIDATE,
        "patient00003": Split.TEST,
        "patient00004": Split.TEST,
    }
    assert found["patient00003"].images[0].view is View.UNKNOWN
    assert found["patient00004"].images[0].view is View.LATERAL


@pytest.mark.parametrize(
    ("folder", "uri"),
    [
        ("train/patient00001", "train/patient00001/study1/view1_frontal.jpg"),
        (f"{SMALL}/train/patient00001", path_of(1)),
        ("CheXpert-v1.0/train/patient00001", path_of(1).replace("-small", "")),
        (
            "CheXpert-v1.0 batch 2 (train 1)/patient00001",
            "CheXpert-v1.0 batch 2 (train 1)/patient00001/study1/view1_frontal.jpg",
        ),
        ("PNG/PNG/train/patient00001", "PNG/PNG/train/patient00001/study1/view1_frontal.png"),
        ("PNG/train/patient00001", "PNG/train/patient00001/study1/view1_frontal.png"),
        ("DICOM/train/patient00001", "DICOM/train/patient00001/study1/view1_frontal.dcm"),
    ],
)
def test_image_folders(tmp_path: Path, folder: str, uri: str) -> None:
    prefix = "CheXpert-v1.0"  # the other published prefix, which is no folder in this test
    write(tmp_path, row(path_of(1).replace(SMALL, prefix)))
    (tmp_path / folder).mkdir(parents=True)
    assert studies(read(tmp_path))[0].images[0].uri == uri


def test_full_size_goes_before_small(tmp_path: Path) -> None:
    write(tmp_path, row(path_of(1)))
    (tmp_path / "CheXpert-v1.0/train/patient00001").mkdir(parents=True)
    assert studies(read(tmp_path))[0].images[0].uri.startswith("CheXpert-v1.0/train")


def test_tables_may_lie_in_the_folder_of_the_release(tmp_path: Path) -> None:
    root = write(tmp_path, row(path_of(1)))
    (root / "train.csv").rename(root / SMALL / "train.csv")
    assert read(root).images_in == 1


def test_the_card_keeps_text_at_home() -> None:
    assert (CARD.llm_egress, CARD.official_split, CARD.redistributable) == (
        Egress.NEVER,
        True,
        False,
    )
    assert (CARD.expected.studies, CARD.expected.images) == (187_841, 223_648)


def test_a_path_of_another_pattern_is_rejected(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(path_of(1)), row("somewhere/else.jpg")))
    assert reasons(reading) == [
        (
            "image",
            "somewhere/else.jpg",
            "path-unknown",
            "row 2 of train.csv: expected train|valid|test/patientN/studyN/"
            "viewN_frontal|lateral.jpg",
        )
    ]
    assert (reading.studies_in, reading.images_in) == (1, 2)


def test_a_blank_path_is_rejected(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(path_of(1)), row("")))
    assert reasons(reading)[0][:3] == ("image", "row 2", "path-unknown")


def test_a_patient_without_folder_is_rejected(tmp_path: Path) -> None:
    write(tmp_path, row(path_of(1)))
    (tmp_path / path_of(1)).parent.rmdir()
    (tmp_path / path_of(1)).parent.parent.rmdir()
    assert reasons(read(tmp_path)) == [
        (
            "study",
            "patient00001/study1",
            "no-image-left",
            "every image was rejected and there is no report",
        ),
        (
            "image",
            "train/patient00001/study1/view1_frontal.jpg",
            "folder-missing",
            "no folder patient00001 below any image folder",
        ),
    ]


def test_an_unknown_label_value_rejects_the_study(tmp_path: Path) -> None:
    rows = [row(path_of(1), labels="2.0" + BLANK), row(path_of(1, view="view2_frontal"))]
    reading = read(write(tmp_path, *rows))
    detail = "found the number 2.0 in column 'No Finding'; expected 1.0, 0.0, -1.0 or blank"
    assert [item[1:] for item in reasons(reading)] == [
        ("patient00001/study1", "label-value-unknown", detail),
        ("train/patient00001/study1/view1_frontal.jpg", "label-value-unknown", detail),
        ("train/patient00001/study1/view2_frontal.jpg", "label-value-unknown", detail),
    ]


def test_a_path_listed_twice_is_rejected_once(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(path_of(1)), row(path_of(1))))
    assert [item[2] for item in reasons(reading)] == ["duplicate-id"]


def error_of(root: Path) -> str:
    with pytest.raises(SourceError) as caught:
        read(root)
    return str(caught.value)


def test_no_table(tmp_path: Path) -> None:
    assert error_of(tmp_path) == (
        "found nothing that matches train.csv or */train.csv or df_chexpert_plus_*.csv or "
        f"*/df_chexpert_plus_*.csv under {tmp_path}; expected the files of CheXpert v1.0 and "
        "CheXpert Plus; check that the path is its root; see 'cxr sources chexpert'"
    )


def test_a_missing_column(tmp_path: Path) -> None:
    root = write(tmp_path, row(path_of(1)), header=HEADER.replace("Fracture", "Broken"))
    assert error_of(root) == (
        f"found no column 'Fracture' in {root}/train.csv; expected the columns Path, Sex, Age, "
        "Frontal/Lateral, AP/PA, Enlarged Cardiomediastinum, Cardiomegaly, Lung Opacity and 11 "
        "more; check that this is the publisher's file and release"
    )


def test_another_delimiter(tmp_path: Path) -> None:
    root = write(tmp_path, row(path_of(1)).replace(",", ";"), header=HEADER.replace(",", ";"))
    assert error_of(root).startswith(
        f"found a header separated by semicolons in {root}/train.csv; expected one separated by "
        "commas;"
    )


def test_a_header_without_rows(tmp_path: Path) -> None:
    assert error_of(write(tmp_path)).startswith(
        f"found no rows below the header of {tmp_path}/train.csv; expected at least one row;"
    )


def test_a_row_of_another_length(tmp_path: Path) -> None:
    root = write(tmp_path, row(path_of(1)), row(path_of(2)) + ",1,1")
    assert error_of(root).startswith(
        f"found 20 cells on line 3 of {root}/train.csv; expected 19 as in the header;"
    )


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    root = write(tmp_path, row(path_of(1)))
    (root / "train.csv").write_bytes(b"P\xe4th")
    assert error_of(root).startswith(
        f"found bytes that are not UTF-8 at offset 1 of {root}/train.csv; expected UTF-8 text;"
    )

"""CheXpert Plus: reports beside or instead of the label tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from infra.errors import SourceError
from sources.chexpert import read
from sources.record import Origin, SectionedBy, Split, Study, View, study_from_row
from sources.replicas.chexpert_plus import COLUMNS

PATH = "train/patient00001/study1/view1_frontal.jpg"


def plus_row(path: str = PATH, **cells: str) -> dict[str, str]:
    folder = path.split("/")
    return {
        **dict.fromkeys(COLUMNS, ""),
        "path_to_image": path,
        "frontal_lateral": "Frontal",
        "ap_pa": "AP",
        "deid_patient_id": folder[1] if len(folder) > 1 else "",
        "report": r"NARRATIVE:\nCHEST\nFINDINGS:\nNO EDEMA.",
        "section_findings": r"NO EDEMA. \n NO EFFUSION.",
        "age": "55.0",
        "sex": "Female",
        "split": folder[0],
        **cells,
    }


def write(root: Path, *rows: dict[str, str], index: bool = False) -> Path:
    with (root / "df_chexpert_plus_240401.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["", *COLUMNS] if index else COLUMNS)
        for number, row in enumerate(rows):
            cells = [row[name] for name in COLUMNS]
            writer.writerow([str(number), *cells] if index else cells)
    for row in rows:
        (root / "PNG" / Path(row["path_to_image"]).parent).mkdir(parents=True, exist_ok=True)
    return root


def write_labels(root: Path, name: str, lines: list[dict[str, object]]) -> None:
    (root / "chexbert_labels").mkdir(exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (root / "chexbert_labels" / name).write_text(text)


def write_plain(root: Path, *paths: str) -> None:
    labels = (
        "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,"
        "Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,"
        "Support Devices"
    )
    rows = [f"CheXpert-v1.0/{path},Male,70,Frontal,PA,,,,,,1.0,,,,,,,," for path in paths]
    header = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{labels}"
    (root / "train.csv").write_text("\n".join([header, *rows]) + "\n")


def studies(root: Path) -> list[Study]:
    return [study_from_row(row) for row in read(root).studies.to_pylist()]


def labels_of(study: Study) -> dict[str, str]:
    return {label.observation: str(label.value) for label in study.labels}


@pytest.mark.parametrize("index", [False, True], ids=["published", "re-saved with an index"])
def test_one_row(tmp_path: Path, index: bool) -> None:
    study = studies(write(tmp_path, plus_row(), index=index))[0]
    assert (study.study_id, study.split) == ("patient00001/study1", Split.TRAIN)
    assert (study.subject_age, study.subject_sex) == (55.0, "F")
    assert study.images[0].uri == "PNG/train/patient00001/study1/view1_frontal.png"
    assert study.images[0].view is View.AP
    assert study.raw_report == "NARRATIVE:\nCHEST\nFINDINGS:\nNO EDEMA."
    text = study.texts[0]
    assert (text.origin, text.sectioned_by) == (Origin.RADIOLOGIST, SectionedBy.PUBLISHER)
    assert (text.language, text.findings) == ("en", "NO EDEMA. NO EFFUSION.")
    assert (text.indication, text.impression, study.labels) == (None, None, ())


def test_sections_by_name(tmp_path: Path) -> None:
    cells = {
        "section_history": "OLD",
        "section_clinical_history": "COUGH",
        "section_comparison": "NONE",
        "section_technique": "PORTABLE",
        "section_impression": "1. CLEAR\\n2. NO CHANGE",
        "section_summary": "1-NORMAL",
    }
    text = studies(write(tmp_path, plus_row(**cells)))[0].texts[0]
    assert (text.indication, text.technique, text.comparison) == ("COUGH", "PORTABLE", "NONE")
    assert text.impression == "1. CLEAR 2. NO CHANGE"


def test_history_stands_in_for_clinical_history(tmp_path: Path) -> None:
    text = studies(write(tmp_path, plus_row(section_history="OLD")))[0].texts[0]
    assert text.indication == "OLD"


def test_a_report_without_sections_has_no_text_version(tmp_path: Path) -> None:
    study = studies(write(tmp_path, plus_row(section_findings="\\n ")))[0]
    assert (study.texts, study.raw_report is None) == ((), False)


def test_valid_rows_are_validate(tmp_path: Path) -> None:
    root = write(tmp_path, plus_row(PATH.replace("train", "valid")))
    assert studies(root)[0].split is Split.VALIDATE


def test_reports_join_the_label_tables(tmp_path: Path) -> None:
    write(tmp_path, plus_row())
    write_plain(tmp_path, PATH)
    study = studies(tmp_path)[0]
    assert labels_of(study) == {"Edema": "positive"}
    assert study.raw_report is not None
    assert (study.images[0].view, study.subject_sex) == (View.PA, "M")
    assert read(tmp_path).images_in == 1


def test_either_table_may_list_more(tmp_path: Path) -> None:
    other, third = PATH.replace("00001", "00002"), PATH.replace("00001", "00003")
    write(tmp_path, plus_row(), plus_row(other))
    write_plain(tmp_path, PATH, third)
    (tmp_path / "PNG" / Path(third).parent).mkdir(parents=True)
    found = {study.subject_id: study for study in studies(tmp_path)}
    assert sorted(found) == ["patient00001", "patient00002", "patient00003"]
    assert found["patient00003"].raw_report is None
    assert (labels_of(found["patient00002"]), found["patient00002"].texts != ()) == ({}, True)


def test_label_files_are_json_lines(tmp_path: Path) -> None:
    write(tmp_path, plus_row())
    lines = [{"path_to_image": PATH, "Edema": -1.0, "No Finding": None, "Fracture": 0}]
    write_labels(tmp_path, "report_fixed.json", lines)
    write_labels(tmp_path, "impression_fixed.json", [{"path_to_image": PATH, "Edema": 1.0}])
    assert labels_of(studies(tmp_path)[0]) == {"Edema": "uncertain", "Fracture": "negative"}


def test_labels_of_the_impression_stand_in(tmp_path: Path) -> None:
    write(tmp_path, plus_row())
    write_labels(tmp_path, "impression_fixed.json", [{"path_to_image": PATH, "Edema": 1.0}])
    assert labels_of(studies(tmp_path)[0]) == {"Edema": "positive"}


def test_a_label_file_that_is_one_json_list(tmp_path: Path) -> None:
    write(tmp_path, plus_row())
    write_labels(tmp_path, "report_fixed.json", [])
    path = tmp_path / "chexbert_labels" / "report_fixed.json"
    path.write_text(json.dumps([{"path_to_image": PATH, "Edema": 1.0}]))
    with pytest.raises(SourceError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"found text in {path} that is not JSON Lines; expected one object per line with "
        "path_to_image and the 14 observations as numbers; unpack chexbert_labels.zip again"
    )


def test_reports_that_differ_within_a_study(tmp_path: Path) -> None:
    second = PATH.replace("view1", "view2")
    root = write(tmp_path, plus_row(), plus_row(second, report="OTHER"))
    rows = read(root).rejected.to_pylist()
    assert [(row["level"], row["row_id"], row["reason"]) for row in rows] == [
        ("text", "patient00001/study1", "report-differs")
    ]


def test_a_path_of_another_pattern(tmp_path: Path) -> None:
    root = write(tmp_path, plus_row(), plus_row("patient00002.jpg"))
    rows = read(root).rejected.to_pylist()
    assert rows[0]["detail"] == (
        "row 2 of the report table: expected train|valid|test/patientN/studyN/"
        "viewN_frontal|lateral.jpg"
    )


def test_a_missing_column(tmp_path: Path) -> None:
    root = write(tmp_path, plus_row())
    path = root / "df_chexpert_plus_240401.csv"
    path.write_text(path.read_text().replace("section_findings", "findings", 1))
    with pytest.raises(SourceError, match=r"^found no column 'section_findings' in "):
        read(root)

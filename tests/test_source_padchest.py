"""PadChest's table and zips: ids, views, labels with places, reports, and damage."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import date
from pathlib import Path
from zipfile import ZipFile

import pytest

from infra.egress import Egress
from infra.errors import SourceError
from sources.padchest import CARD, read
from sources.padchest_files import BROKEN, MISSING
from sources.record import Reading, SourceLabel, Study, View, study_from_row
from sources.replicas.padchest_table import COLUMNS
from sources.split import hash_split

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
SUBJECT = "9" * 39
STUDY = "8" * 39


def row(image_id: str = "a.png", **cells: str) -> dict[str, str]:
    return {
        **dict.fromkeys(COLUMNS, ""),
        "ImageID": image_id,
        "ImageDir": "0",
        "StudyDate_DICOM": "20110304",
        "StudyID": STUDY,
        "PatientID": SUBJECT,
        "PatientBirth": "1948.0",
        "PatientSex_DICOM": "F",
        "Projection": "PA",
        "Manufacturer_DICOM": "ImagingDynamicsCompanyLtd",
        "Report": " sin hallazg signific .",
        "Labels": "['normal']",
        "LabelsLocalizationsBySentence": "[['normal'], ['normal']]",
        "labelCUIS": "['C0205307' '']",
        **cells,
    }


def write(root: Path, *rows: dict[str, str], archive: str | None = "0.zip") -> Path:
    """The table, and a zip with a member for each row's image."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    (root / TABLE).write_text(stream.getvalue())
    if archive:
        with ZipFile(root / archive, "w") as members:
            for name in {item["ImageID"] for item in rows if item["ImageID"]}:
                members.writestr(name, b"png")
    return root


def studies(root: Path) -> list[Study]:
    return [study_from_row(item) for item in read(root).studies.to_pylist()]


def only(root: Path, *rows: dict[str, str]) -> Study:
    (study,) = studies(write(root, *rows))
    return study


def labels_of(study: Study) -> dict[str, str]:
    return {label.observation: str(label.value) for label in study.labels}


def reasons(reading: Reading) -> list[tuple[str, str, str, str]]:
    rows = reading.rejected.to_pylist()
    return [(item["level"], item["row_id"], item["reason"], item["detail"]) for item in rows]


def test_one_row_becomes_one_study(tmp_path: Path) -> None:
    study = only(tmp_path, row())
    assert (study.study_id, study.subject_id) == (STUDY, SUBJECT)
    assert (study.images[0].image_id, study.images[0].uri) == ("a.png", "0.zip!a.png")
    assert study.raw_report == "sin hallazg signific ."
    assert (study.subject_age, study.subject_sex) == (63.0, "F")
    assert (study.acquired_on, study.manufacturer) == (
        date(2011, 3, 4),
        "ImagingDynamicsCompanyLtd",
    )
    assert study.split is hash_split(SUBJECT)
    assert labels_of(study) == {"No Finding": "positive"}
    assert (study.texts, study.site) == ((), None)


def test_the_card_keeps_text_at_home() -> None:
    assert (CARD.llm_egress, CARD.language, CARD.official_split) == (Egress.NEVER, "es", False)


@pytest.mark.parametrize(
    ("projection", "view"),
    [
        ("PA", View.PA),
        ("AP", View.AP),
        ("AP_horizontal", View.AP),
        ("L", View.LATERAL),
        ("", View.UNKNOWN),
        ("OBLICUA", View.UNKNOWN),
    ],
)
def test_views(tmp_path: Path, projection: str, view: View) -> None:
    assert only(tmp_path, row(Projection=projection)).images[0].view is view


@pytest.mark.parametrize("projection", ["COSTAL", "EXCLUDE"])
def test_views_that_are_no_chest_film(tmp_path: Path, projection: str) -> None:
    reading = read(write(tmp_path, row(), row("b.png", Projection=projection)))
    assert reasons(reading) == [
        ("image", "b.png", "view-rejected", f"Projection {projection}; expected PA, AP or L")
    ]


@pytest.mark.parametrize(
    ("birth", "day", "age"),
    [
        ("1948.0", "20110304", 63.0),
        ("", "20110304", None),
        ("None", "20110304", None),
        ("2012.0", "20110304", None),
        ("1948.0", "None", None),
        ("1948.0", "20111341", None),
    ],
)
def test_ages(tmp_path: Path, birth: str, day: str, age: float | None) -> None:
    assert only(tmp_path, row(PatientBirth=birth, StudyDate_DICOM=day)).subject_age == age


def test_words_for_nothing_are_nulls(tmp_path: Path) -> None:
    study = only(tmp_path, row(Manufacturer_DICOM="None", PatientSex_DICOM="nan"))
    assert (study.manufacturer, study.subject_sex) == (None, None)


def test_labels_with_spaces_blanks_and_places(tmp_path: Path) -> None:
    study = only(
        tmp_path,
        row(
            Labels="['pleural effusion', ' alveolar pattern', '', 'normal', 'nipple shadow']",
            LabelsLocalizationsBySentence=(
                "[['pleural effusion', 'loc left', 'loc  costophrenic angle'], ['normal'],"
                " ['loc basal', 'alveolar pattern', 'loc left, lower lobe']]"
            ),
        ),
    )
    assert labels_of(study) == {"Lung Opacity": "positive", "Pleural Effusion": "positive"}
    places = {label.name: label.location for label in study.source_labels}
    assert places == {
        "alveolar pattern": "left, lower lobe",
        "nipple shadow": None,
        "pleural effusion": "left, costophrenic angle",
    }


def test_a_label_in_two_sentences_is_two_source_labels(tmp_path: Path) -> None:
    sentences = "[['nodule', 'loc right'], ['nodule', 'loc left'], ['nodule', 'loc left']]"
    study = only(tmp_path, row(Labels="['nodule']", LabelsLocalizationsBySentence=sentences))
    assert [(item.name, item.location) for item in study.source_labels] == [
        ("nodule", "left"),
        ("nodule", "right"),
    ]


def test_unknown_strings_stay_in_source_labels_alone(tmp_path: Path) -> None:
    study = only(tmp_path, row(Labels='["o\'brien sign"]', LabelsLocalizationsBySentence=""))
    assert labels_of(study) == {}
    assert [item.name for item in study.source_labels] == ["o'brien sign"]


def test_devices_leave_no_finding_beside_normal(tmp_path: Path) -> None:
    assert labels_of(only(tmp_path, row(Labels="['normal', 'pacemaker']"))) == {
        "Support Devices": "positive",
        "No Finding": "positive",
    }


def test_a_device_alone_is_not_no_finding(tmp_path: Path) -> None:
    assert labels_of(only(tmp_path, row(Labels="['pacemaker']"))) == {"Support Devices": "positive"}


def test_labels_of_all_rows_of_a_study_count(tmp_path: Path) -> None:
    study = only(tmp_path, row(Labels=""), row("b.png", Labels="['cardiomegaly']", Projection="L"))
    assert labels_of(study) == {"Cardiomegaly": "positive"}
    assert [image.view for image in study.images] == [View.PA, View.LATERAL]


def test_exclude_goes_where_other_labels_exist(tmp_path: Path) -> None:
    study = only(tmp_path, row(Labels="['exclude', 'suboptimal study', 'nodule']"))
    assert study.source_labels == (
        SourceLabel("nodule", study.source_labels[0].value, location=None),
    )


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ("['exclude']", "label-exclude"),
        ("['suboptimal study', 'exclude']", "label-exclude"),
        ("['suboptimal study', '']", "label-suboptimal"),
    ],
)
def test_studies_with_nothing_to_learn(tmp_path: Path, labels: str, reason: str) -> None:
    reading = read(write(tmp_path, row(Labels=labels)))
    assert reasons(reading) == [
        ("study", STUDY, reason, "no other label beside it"),
        ("image", "a.png", reason, "no other label beside it"),
    ]


@pytest.mark.parametrize("report", [" . . . .", " torax .", " 12 34 ."])
def test_a_degenerate_report_goes_and_the_study_stays(tmp_path: Path, report: str) -> None:
    reading = read(write(tmp_path, row(Report=report)))
    assert reading.studies["raw_report"].to_pylist() == [None]
    ((level, row_id, reason, detail),) = reasons(reading)
    words = 1 if "torax" in report else 0
    assert (level, row_id, reason) == ("text", STUDY, "report-degenerate")
    assert detail == f"{words} words; expected at least 2"


@pytest.mark.parametrize("report", ["", " nan", "None"])
def test_no_report_is_no_rejection(tmp_path: Path, report: str) -> None:
    reading = read(write(tmp_path, row(Report=report)))
    assert reading.studies["raw_report"].to_pylist() == [None]
    assert reasons(reading) == []


@pytest.mark.parametrize("place", ["images/a.png", "0/a.png", "images/0/a.png", "a.png"])
def test_unpacked_images(tmp_path: Path, place: str) -> None:
    write(tmp_path, row(), archive=None)
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(b"png")
    assert studies(tmp_path)[0].images[0].uri == place


def test_an_image_in_another_archive_than_the_table_says(tmp_path: Path) -> None:
    write(tmp_path, row(), archive="54.zip")
    assert studies(tmp_path)[0].images[0].uri == "54.zip!a.png"


def test_the_archive_that_the_table_names_goes_first(tmp_path: Path) -> None:
    write(tmp_path, row(), archive="54.zip")
    write(tmp_path, row(), archive="0.zip")
    assert studies(tmp_path)[0].images[0].uri == "0.zip!a.png"


def test_a_missing_file(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(), archive=None))
    assert reasons(reading) == [
        ("image", "a.png", "file-missing", "not in 0.zip, folder 0, images or the root")
    ]
    assert reading.studies.num_rows == 1  # its report goes on


def test_a_file_that_the_publisher_never_had(tmp_path: Path) -> None:
    name = sorted(MISSING)[0]
    reading = read(write(tmp_path, row(name), archive=None))
    assert reasons(reading)[0][2:] == (
        "file-missing",
        "one of the 11 images that no archive of the publisher holds",
    )


def test_a_file_that_is_published_broken(tmp_path: Path) -> None:
    name = sorted(BROKEN)[0]
    assert reasons(read(write(tmp_path, row(name)))) == [
        (
            "image",
            name,
            "known-bad-file",
            "the publisher's file is truncated or has a bad chunk",
        )
    ]
    assert (len(BROKEN), len(MISSING)) == (10, 11)


def test_a_broken_archive(tmp_path: Path) -> None:
    root = write(tmp_path, row())
    whole = (root / "0.zip").read_bytes()
    (root / "0.zip").write_bytes(whole[:-30])
    assert reasons(read(root)) == [
        ("image", "a.png", "archive-unreadable", "not a readable zip: 0.zip; expected a whole zip")
    ]


def test_rows_without_ids(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(), row(""), row("c.png", StudyID="None")))
    assert reasons(reading) == [
        ("image", "c.png", "id-missing", "row 3: no ImageID or no StudyID"),
        ("image", "row 2", "id-missing", "row 2: no ImageID or no StudyID"),
    ]
    assert (reading.studies_in, reading.images_in) == (1, 3)


def test_a_study_of_two_persons(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(), row("b.png", PatientID="7")))
    assert {item[2] for item in reasons(reading)} == {"subject-conflict"}


def test_an_image_listed_twice(tmp_path: Path) -> None:
    reading = read(write(tmp_path, row(), row()))
    assert [item[2] for item in reasons(reading)] == ["duplicate-id"]


def test_the_table_may_be_gzipped(tmp_path: Path) -> None:
    root = write(tmp_path, row())
    (root / f"{TABLE}.gz").write_bytes(gzip.compress((root / TABLE).read_bytes()))
    (root / TABLE).unlink()
    assert read(root).studies.num_rows == 1


def test_broken_gzip(tmp_path: Path) -> None:
    root = write(tmp_path, row())
    path = root / f"{TABLE}.gz"
    path.write_bytes(gzip.compress((root / TABLE).read_bytes())[:-20])
    (root / TABLE).unlink()
    with pytest.raises(SourceError) as caught:
        read(root)
    assert str(caught.value) == (
        f"found broken gzip data in {path} (EOFError); expected a whole gzip file; download the "
        "file again and compare its checksum with the publisher's"
    )


def test_a_quote_that_never_ends(tmp_path: Path) -> None:
    root = write(tmp_path, row(), archive=None)
    with (root / TABLE).open("a") as stream:
        stream.write('1,"b.png,0\n')
    with pytest.raises(SourceError, match=r"^found a quote that never ends on line 3 of "):
        read(root)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        "found nothing that matches PADCHEST_chest_x_ray_images_labels_160K*.csv or "
        f"PADCHEST_chest_x_ray_images_labels_160K*.csv.gz under {tmp_path}; expected the files of "
        "PadChest 160K (01.02.19); check that the path is its root; see 'cxr sources padchest'"
    )

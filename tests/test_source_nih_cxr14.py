"""NIH ChestX-ray14: odd headers, boxes, splits, the written mapping, damage, the real subset."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from infra.errors import SourceError
from sources.nih_cxr14 import COUNTERPARTS, read
from sources.record import OBSERVATIONS, Split
from sources.split import hash_split

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
SIZES = "2500,2048,0.14300000000000002,0.143"
FIRST = "00000001_000.png"
SECOND = "00000002_005.png"
AGAIN = "download the file again and compare its checksum with the publisher's"


def write(root: Path, *rows: str, header: str = HEADER, files: bool = True) -> Path:
    """A label table of the rows, by default two good ones, and an empty file for each image."""
    rows = rows or (
        f"{FIRST},Cardiomegaly|Hernia,0,1,50,F,PA,{SIZES}",
        f"{SECOND},No Finding,5,2,61,M,AP,{SIZES}",
    )
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join([header, *rows]) + "\n")
    for row in rows if files else ():
        (root / "images" / row.split(",")[0]).touch()
    return root


def rows_of(root: Path) -> list[dict[str, Any]]:
    reading = read(root)
    assert reading.rejected.to_pylist() == []
    rows: list[dict[str, Any]] = reading.studies.to_pylist()
    return rows


def rejected(root: Path) -> list[tuple[str, str, str, str]]:
    rows = read(root).rejected.to_pylist()
    return [(row["level"], row["row_id"], row["reason"], row["detail"]) for row in rows]


def test_a_study(tmp_path: Path) -> None:
    row = rows_of(write(tmp_path))[0]
    assert (row["study_id"], row["subject_id"], row["subject_age"], row["subject_sex"]) == (
        "00000001_000",
        "1",
        50.0,
        "F",
    )
    assert row["images"] == [
        {"image_id": FIRST, "view": "PA", "uri": f"images/{FIRST}", "width": None, "height": None}
    ]
    assert row["labels"] == [{"observation": "Cardiomegaly", "value": "positive"}]
    assert [label["name"] for label in row["source_labels"]] == ["Cardiomegaly", "Hernia"]
    assert (row["texts"], row["raw_report"]) == ([], None)
    assert row["split"] == hash_split("1")


@pytest.mark.parametrize(("name", "observation"), COUNTERPARTS.items())
def test_every_name_has_its_counterpart_or_none(
    tmp_path: Path, name: str, observation: str | None
) -> None:
    row = rows_of(write(tmp_path, f"{FIRST},{name},0,1,50,F,PA,{SIZES}"))[0]
    assert [label["observation"] for label in row["labels"]] == [observation] * bool(observation)
    assert [label["name"] for label in row["source_labels"]] == [name]


def test_the_mapping_is_written_for_all_fifteen_names() -> None:
    assert len(COUNTERPARTS) == 15
    assert {name for name, found in COUNTERPARTS.items() if found is None} == {
        "Emphysema",
        "Fibrosis",
        "Hernia",
    }
    assert {found for found in COUNTERPARTS.values() if found} <= set(OBSERVATIONS)


def test_mass_and_nodule_are_one_lung_lesion(tmp_path: Path) -> None:
    row = rows_of(write(tmp_path, f"{FIRST},Mass|Nodule,0,1,50,F,PA,{SIZES}"))[0]
    assert row["labels"] == [{"observation": "Lung Lesion", "value": "positive"}]


@pytest.mark.parametrize(
    ("text", "years"),
    [("058Y", 58.0), ("006M", 0.5), ("073D", 0.2), ("0", 0.0), ("95", 95.0), ("414", None)],
)
def test_ages_of_both_releases(tmp_path: Path, text: str, years: float | None) -> None:
    row = rows_of(write(tmp_path, f"{FIRST},Mass,0,1,{text},F,PA,{SIZES}"))[0]
    assert row["subject_age"] == (None if years is None else pytest.approx(years, abs=0.001))


def test_the_header_with_patient_sex(tmp_path: Path) -> None:
    header = HEADER.replace("Patient Gender", "Patient Sex")
    assert rows_of(write(tmp_path, header=header))[0]["subject_sex"] == "F"


def test_the_older_table(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "Data_Entry_2017_v2020.csv").rename(tmp_path / "Data_Entry_2017.csv")
    assert len(rows_of(tmp_path)) == 2


@pytest.mark.parametrize("folder", ["images_001/images", "images_012", "images_012/images"])
def test_images_in_the_twelve_folders(tmp_path: Path, folder: str) -> None:
    write(tmp_path)
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "images" / FIRST).rename(tmp_path / folder / FIRST)
    uris = [row["images"][0]["uri"] for row in rows_of(tmp_path)]
    assert uris == [f"{folder}/{FIRST}", f"images/{SECOND}"]


def test_boxes_in_pixels_with_the_label_tables_spelling(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "BBox_List_2017.csv").write_text(
        f"{BOX_HEADER}\n{FIRST},Infiltrate,10.5,20,30,40\n{FIRST},Atelectasis,1,2,3,4\n"
        "00009999_000.png,Mass,1,2,3,4\n"
    )
    first, second = rows_of(tmp_path)
    assert first["boxes"] == [
        {
            "image_id": FIRST,
            "name": "Atelectasis",
            "x_min": 1.0,
            "y_min": 2.0,
            "x_max": 4.0,
            "y_max": 6.0,
            "reader": None,
        },
        {
            "image_id": FIRST,
            "name": "Infiltration",
            "x_min": 10.5,
            "y_min": 20.0,
            "x_max": 40.5,
            "y_max": 60.0,
            "reader": None,
        },
    ]
    assert second["boxes"] == []


def test_official_lists_part_train_and_test(tmp_path: Path) -> None:
    names = [f"{number:08d}_000.png" for number in range(1, 200)]
    write(tmp_path, *(f"{name},Mass,0,{int(name[:8])},50,F,PA,{SIZES}" for name in names))
    (tmp_path / "test_list.txt").write_text("\n".join(names[:40]))
    (tmp_path / "train_val_list.txt").write_text("\n".join(names[40:]))
    splits = {row["images"][0]["image_id"]: row["split"] for row in rows_of(tmp_path)}
    assert {splits[name] for name in names[:40]} == {Split.TEST}
    rest = Counter(splits[name] for name in names[40:])
    assert set(rest) == {Split.TRAIN, Split.VALIDATE}
    assert rest[Split.TRAIN] > 5 * rest[Split.VALIDATE]


def test_one_list_without_the_other_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "test_list.txt").write_text(FIRST)
    with pytest.raises(SourceError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"found test_list.txt without train_val_list.txt in {tmp_path}; expected both lists of "
        "the official split, or neither; download train_val_list.txt too, or move the other one "
        "away"
    )


def test_an_image_in_neither_list(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "test_list.txt").write_text(FIRST)
    (tmp_path / "train_val_list.txt").write_text("00000003_000.png")
    detail = "in neither train_val_list.txt nor test_list.txt"
    assert rejected(tmp_path) == [
        ("study", "00000002_005", "split-missing", detail),
        ("image", SECOND, "split-missing", detail),
    ]


def without_image(reason: str, detail: str) -> list[tuple[str, str, str, str]]:
    """The first image is rejected, and its study, which has no report, with it."""
    return [
        (
            "study",
            "00000001_000",
            "no-image-left",
            "every image was rejected and there is no report",
        ),
        ("image", FIRST, reason, detail),
    ]


def test_a_missing_image(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "images" / FIRST).unlink()
    assert rejected(tmp_path) == without_image(
        "file-missing", "no such file in images or images_001 to images_012"
    )


def test_an_unknown_view(tmp_path: Path) -> None:
    write(tmp_path, f"{FIRST},Mass,0,1,50,F,LL,{SIZES}")
    assert rejected(tmp_path) == without_image(
        "view-unknown", "View Position 'LL'; expected PA or AP"
    )


@pytest.mark.parametrize("box", ["Mass,1,2,0,4", "Mass,x,2,3,4", ",1,2,3,4", "Mass,1,2,3,-4"])
def test_an_unreadable_box(tmp_path: Path, box: str) -> None:
    write(tmp_path)
    (tmp_path / "BBox_List_2017.csv").write_text(f"{BOX_HEADER}\n{FIRST},{box}\n")
    assert rejected(tmp_path) == without_image(
        "box-unreadable", "a row of the box table lacks its name, numbers or a size above zero"
    )


@pytest.mark.parametrize("labels", ["Cardiomegaly|Cough", "", "cardiomegaly", "Mass|"])
def test_an_unknown_label_name(tmp_path: Path, labels: str) -> None:
    write(tmp_path, f"{FIRST},{labels},0,1,50,F,PA,{SIZES}")
    detail = "Finding Labels has a name that is not one of NIH's 15"
    assert rejected(tmp_path) == [
        ("study", "00000001_000", "label-name-unknown", detail),
        ("image", FIRST, "label-name-unknown", detail),
    ]


def test_an_image_listed_twice(tmp_path: Path) -> None:
    row = f"{FIRST},Mass,0,1,50,F,PA,{SIZES}"
    write(tmp_path, row, row)
    assert rejected(tmp_path) == [
        ("image", FIRST, "duplicate-id", "listed again in row 2; the first row is kept")
    ]


def test_a_row_without_a_patient(tmp_path: Path) -> None:
    write(tmp_path, f"{FIRST},Mass,0,,50,F,PA,{SIZES}")
    assert rejected(tmp_path) == without_image(
        "id-missing", "row 1 lacks Image Index or Patient ID"
    )


def test_a_missing_column(tmp_path: Path) -> None:
    write(tmp_path, header=HEADER.replace("View Position", "View"))
    with pytest.raises(SourceError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"found no column 'View Position' in {tmp_path / 'Data_Entry_2017_v2020.csv'}; expected "
        "the columns Image Index, Finding Labels, Patient ID, Patient Age, View Position; check "
        "that this is the publisher's file and release"
    )


def test_an_empty_table(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "Data_Entry_2017_v2020.csv"
    path.write_text("")
    with pytest.raises(SourceError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"found an empty file at {path}; expected a header and rows; {AGAIN}"
    )


def test_no_image_folder(tmp_path: Path) -> None:
    write(tmp_path, files=False)
    (tmp_path / "images").rmdir()
    with pytest.raises(SourceError, match=r"found nothing that matches images or images_0\* under"):
        read(tmp_path)


@pytest.mark.public_data
def test_the_real_subset(public_data: Path) -> None:
    reading = read(public_data / "nih_cxr14")
    rows = reading.studies.to_pylist()
    assert (len(rows), reading.images_in, reading.rejected.num_rows) == (96, 96, 0)
    assert len({row["subject_id"] for row in rows}) == 94
    assert {image["view"] for row in rows for image in row["images"]} == {"PA", "AP"}
    assert all(row["source_labels"] and row["subject_age"] is not None for row in rows)
    boxes = [box for row in rows for box in row["boxes"]]
    assert boxes and all(0 <= box["x_min"] < box["x_max"] <= 1024 for box in boxes)
    assert {box["name"] for box in boxes} <= set(COUNTERPARTS)

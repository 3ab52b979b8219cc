"""The CheXpert and CheXpert Plus replicas, opened without our reader."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from replica_world import (
    OBSERVATIONS,
    Row,
    World,
    cells_stated,
    header_of,
    labels_of,
    make_world,
    picture_of,
    rows_of,
    stated,
    world_of,
)

from sources.replicas.chexpert_plus import write_plus
from sources.replicas.truth import ReplicaSpec

SMALL = "CheXpert-v1.0-small"
LABELS = (  # noqa: SIM905
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,"
    "Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,"
    "Support Devices"
).split(",")
PATH = re.compile(
    r"CheXpert-v1\.0(?:-small)?/"
    r"((train|valid)/(patient\d{5}/study\d+)/view([123])_(frontal|lateral)\.jpg)"
)
PLUS_COLUMNS = (
    "path_to_image,path_to_dcm,frontal_lateral,ap_pa,deid_patient_id,patient_report_date_order,"
    "report,section_narrative,section_clinical_history,section_history,section_comparison,"
    "section_technique,section_procedure_comments,section_findings,section_impression,"
    "section_end_of_impression,section_summary,section_accession_number,age,sex,race,ethnicity,"
    "interpreter_needed,insurance_type,recent_bmi,deceased,split"
)
SPLITS = {"train": "train", "valid": "validate"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world("chexpert", tmp_path_factory.mktemp("chexpert"), ReplicaSpec(30, 3, 96))


@pytest.fixture(scope="module")
def rows(world: World) -> list[Row]:
    tables = [world.root / SMALL / f"{split}.csv" for split in SPLITS]
    return [row for table in tables for row in rows_of(table)]


@pytest.fixture(scope="module")
def plus(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("plus")
    write_plus(root, ReplicaSpec(30, 3, 96))
    return world_of("chexpert", root)


@pytest.fixture(scope="module")
def plus_rows(plus: World) -> list[Row]:
    return rows_of(plus.root / "df_chexpert_plus_240401.csv")


def parts_of(row: Row) -> tuple[str, str, str]:
    """Place below the image folder, split folder and study of one row."""
    match = PATH.fullmatch(row["Path"])
    assert match, row["Path"]
    return match[1], match[2], match[3]


def test_the_header_is_the_publishers(world: World) -> None:
    for split in SPLITS:
        header = header_of(world.root / SMALL / f"{split}.csv")
        assert header == ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS]


def test_tables_are_plain_ascii_without_a_mark(world: World) -> None:
    for split in SPLITS:
        data = (world.root / SMALL / f"{split}.csv").read_bytes()
        assert data.isascii()
        assert data.endswith(b"\n")


def test_both_prefixes_occur_and_the_folder_is_the_split(rows: list[Row]) -> None:
    assert {row["Path"].split("/")[0] for row in rows} == {"CheXpert-v1.0", SMALL}
    patients: dict[str, set[str]] = {}
    for row in rows:
        _, split, study = parts_of(row)
        patients.setdefault(study.split("/")[0], set()).add(split)
    assert {len(found) for found in patients.values()} == {1}
    assert set.union(*patients.values()) == {"train", "valid"}


def test_study_numbers_start_anew_with_each_patient(rows: list[Row]) -> None:
    studies = {parts_of(row)[2] for row in rows}
    numbers: dict[str, list[int]] = {}
    for study in studies:
        patient, number = study.split("/study")
        numbers.setdefault(patient, []).append(int(number))
    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in numbers.values())
    assert max(map(len, numbers.values())) > 1


def test_cells_hold_the_publishers_words(rows: list[Row]) -> None:
    assert {row["Sex"] for row in rows} == {"Male", "Female", "Unknown"}
    assert all(re.fullmatch(r"\d{1,2}", row["Age"]) and int(row["Age"]) <= 90 for row in rows)
    assert {"0", "90"} <= {row["Age"] for row in rows}
    assert {row[name] for row in rows for name in LABELS} <= {"1.0", "0.0", "-1.0", ""}
    assert {row["No Finding"] for row in rows} == {"1.0", ""}


def test_planes_and_projections(rows: list[Row]) -> None:
    found = Counter((row["Frontal/Lateral"], row["AP/PA"]) for row in rows)
    assert set(found) == {
        ("Frontal", "AP"), ("Frontal", "PA"), ("Frontal", "LL"), ("Frontal", "RL"), ("Lateral", ""),
    }  # fmt: skip
    assert found["Frontal", "LL"] == found["Frontal", "RL"] == 1
    for row in rows:
        assert row["Path"].endswith(f"_{row['Frontal/Lateral'].lower()}.jpg")


def test_no_finding_stands_beside_devices_alone(rows: list[Row]) -> None:
    for row in rows:
        if row["No Finding"] == "1.0":
            others = {name for name in LABELS[1:-1] if row[name] in ("1.0", "-1.0")}
            assert others == set()


def test_labels_are_the_same_on_all_images_of_a_study(rows: list[Row]) -> None:
    by_study: dict[str, set[tuple[str, ...]]] = {}
    for row in rows:
        by_study.setdefault(parts_of(row)[2], set()).add(tuple(row[name] for name in LABELS))
    assert {len(found) for found in by_study.values()} == {1}
    assert sum(not any(*found) for found in by_study.values()) == 1  # one row without any label


def test_files_are_grey_jpegs_but_for_three(world: World, rows: list[Row]) -> None:
    state = Counter()
    for row in rows:
        path = world.root / SMALL / parts_of(row)[0]
        data = path.read_bytes() if path.is_file() else None
        if data:
            picture = picture_of(data)
            assert picture is None or (picture.format, picture.mode) == ("JPEG", "L")
            state["whole" if picture else "truncated"] += 1
        else:
            state["missing" if data is None else "empty"] += 1
    assert (state["missing"], state["empty"], state["truncated"]) == (1, 1, 1)
    on_disk = {path.relative_to(world.root / SMALL) for path in world.root.rglob("*.jpg")}
    assert on_disk <= {Path(parts_of(row)[0]) for row in rows}


def test_the_reader_yields_what_the_rows_say(world: World, rows: list[Row]) -> None:
    images = {image.image_id: image for study in world.studies.values() for image in study.images}
    assert set(world.studies) == {parts_of(row)[2] for row in rows} == set(world.truth)
    for row in rows:
        place, split, study_id = parts_of(row)
        study, image = world.studies[study_id], images[place]
        assert study.split == SPLITS[split]
        assert study.subject_id == study_id.split("/")[0]
        lateral = row["Frontal/Lateral"] == "Lateral"
        known = row["AP/PA"] if row["AP/PA"] in ("AP", "PA") else "UNKNOWN"
        assert image.view == ("LATERAL" if lateral else known)
        assert image.uri == f"{SMALL}/{place}"
        assert study.subject_age == (float(row["Age"]) or None)
        assert study.subject_sex == {"Male": "M", "Female": "F"}.get(row["Sex"])


def test_labels_are_the_rows_and_the_truths(world: World, rows: list[Row]) -> None:
    for row in rows:
        study_id = parts_of(row)[2]
        found = labels_of(world.studies[study_id])
        assert found == cells_stated(row) == stated(world.truth[study_id]["labels"])


def test_views_are_the_truths(world: World) -> None:
    for study_id, study in world.studies.items():
        line = world.truth[study_id]
        if line["trap"] not in ("frontal-ll", "frontal-rl"):
            assert [str(image.view) for image in study.images] == line["views"]


def test_the_plus_table_is_the_publishers(plus: World, plus_rows: list[Row]) -> None:
    table = plus.root / "df_chexpert_plus_240401.csv"
    assert header_of(table) == PLUS_COLUMNS.split(",")
    assert len({row["path_to_image"] for row in plus_rows}) == len(plus_rows)
    for row in plus_rows:
        assert re.fullmatch(r"(train|valid)/patient\d{5}/study\d+/.*\.jpg", row["path_to_image"])
        assert row["split"] == row["path_to_image"].split("/")[0]
        assert row["deid_patient_id"] == row["path_to_image"].split("/")[1]
        assert re.fullmatch(r"\d+\.0", row["age"])
        assert re.fullmatch(r"\d+\.\d", row["recent_bmi"])
        assert (row["ap_pa"] == "") == (row["frontal_lateral"] == "Lateral")


def test_plus_ships_png_files_under_jpg_names(plus: World, plus_rows: list[Row]) -> None:
    for row in plus_rows:
        path = plus.root / "PNG" / row["path_to_image"].replace(".jpg", ".png")
        picture = picture_of(path.read_bytes())
        assert picture is not None
        assert (picture.format, picture.mode) == ("PNG", "L")
    assert not list(plus.root.rglob("*.jpg"))


def test_plus_labels_are_json_lines_under_the_name_of_json(
    plus: World, plus_rows: list[Row]
) -> None:
    for name in ("findings", "impression", "report"):
        text = (plus.root / "chexbert_labels" / f"{name}_fixed.json").read_text()
        with pytest.raises(json.JSONDecodeError, match="Extra data"):
            json.loads(text)
        lines = [json.loads(line) for line in text.splitlines()]
        assert [line["path_to_image"] for line in lines] == [
            row["path_to_image"] for row in plus_rows
        ]
        assert list(lines[0]) == ["path_to_image", *OBSERVATIONS]
        for line in lines:
            study = "/".join(line.pop("path_to_image").split("/")[1:3])
            found = {key: value for key, value in line.items() if value is not None}
            assert found == labels_of(plus.studies[study])


def test_plus_reports_repeat_shout_and_hold_backslashes(plus_rows: list[Row]) -> None:
    by_study: dict[str, set[str]] = {}
    for row in plus_rows:
        study = "/".join(row["path_to_image"].split("/")[1:3])
        by_study.setdefault(study, set()).add(row["report"])
        assert "\n" not in row["report"]
        assert r"\n" in row["report"]
    assert {len(found) for found in by_study.values()} == {1}
    shouted = [row["report"].replace(r"\n", "").isupper() for row in plus_rows]
    assert 0.4 < sum(shouted) / len(shouted) < 0.95
    assert any(r"\n2. " in row["section_impression"] for row in plus_rows)


def test_plus_sections_are_read_on_one_line(plus: World, plus_rows: list[Row]) -> None:
    for row in plus_rows:
        study = plus.studies["/".join(row["path_to_image"].split("/")[1:3])]
        (text,) = study.texts
        assert text.impression == row["section_impression"].replace(r"\n", " ")
        assert text.findings == (row["section_findings"] or None)
        assert text.comparison == row["section_comparison"]
        assert text.technique == row["section_technique"]
        history = row["section_clinical_history"] or row["section_history"]
        assert text.indication == (history or None)
        assert study.raw_report == row["report"].replace(r"\n", "\n")
        assert study.subject_age == float(row["age"])

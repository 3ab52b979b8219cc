"""The PadChest replica, opened without our reader: zips, the 36 fields, traps and reading."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from datetime import date
from zipfile import ZipFile

import pytest
from replica_world import (
    Picture,
    Row,
    World,
    header_of,
    labels_of,
    make_world,
    picture_of,
    rows_of,
    stated,
)

from sources.replicas.truth import ReplicaSpec

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
DICOM = (
    "StudyDate_DICOM StudyID PatientID PatientBirth PatientSex_DICOM ViewPosition_DICOM Projection "
    "MethodProjection Pediatric Modality_DICOM Manufacturer_DICOM PhotometricInterpretation_DICOM "
    "PixelRepresentation_DICOM PixelAspectRatio_DICOM SpatialResolution_DICOM BitsStored_DICOM "
    "WindowCenter_DICOM WindowWidth_DICOM Rows_DICOM Columns_DICOM XRayTubeCurrent_DICOM "
    "Exposure_DICOM ExposureInuAs_DICOM ExposureTime RelativeXRayExposure_DICOM"
)
REPORT = (
    "ReportID Report MethodLabel Labels Localizations LabelsLocalizationsBySentence labelCUIS "
    "LocalizationsCUIS"
)
NAME = re.compile(r"(\d{30,45})_([0-9a-z]{6}|\d\d-\d{3}-\d{3})\.png")
VIEWS = {"PA": "PA", "AP": "AP", "AP_horizontal": "AP", "L": "LATERAL"}
POSITIONS = {"", "POSTEROANTERIOR", "PA", "ANTEROPOSTERIOR", "AP", "LATERAL", "LL", "RL"}
USELESS = {"exclude", "suboptimal study"}
PLACES = {
    "cardiac", "mediastinum", "pleural", "perihilar", "basal", "apical", "rib", "tracheal",
    "superior cave vein", "extracorporal", "cervical", "retrocardiac", "costophrenic angle",
    "upper lung field", "middle lung field", "lower lung field", "left", "right", "bilateral",
}  # fmt: skip
"""Those of the published tree that a replica may use."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world("padchest", tmp_path_factory.mktemp("padchest"), ReplicaSpec(36, 6, 96))


@pytest.fixture(scope="module")
def rows(world: World) -> list[Row]:
    return rows_of(world.root / TABLE)


@pytest.fixture(scope="module")
def members(world: World) -> dict[str, tuple[str, bytes]]:
    """Zip and bytes by ImageID."""
    found = {}
    for path in sorted(world.root.glob("*.zip")):
        with ZipFile(path) as archive:
            for name in archive.namelist():
                found[name] = (path.name, archive.read(name))
    return found


def items(cell: str) -> list[str]:
    """The trimmed items of a Python list cell, as CheXagent's code reads it; blanks dropped."""
    return [item.strip() for item in (ast.literal_eval(cell) if cell else []) if item.strip()]


def by_study(rows: list[Row]) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[row["StudyID"]].append(row)
    return found


def trapped(world: World, trap: str) -> str:
    (study_id,) = (key for key, line in world.truth.items() if line["trap"] == trap)
    return study_id


def test_the_header_has_36_fields_and_a_nameless_first(world: World) -> None:
    header = header_of(world.root / TABLE)
    assert header == ["", "ImageID", "ImageDir", *DICOM.split(), *REPORT.split()]
    assert len(header) == 36


def test_rows_are_numbered_and_identifiers_are_huge(rows: list[Row]) -> None:
    assert [row[""] for row in rows] == [str(number) for number in range(len(rows))]
    for row in rows:
        assert NAME.fullmatch(row["ImageID"]), row["ImageID"]
        assert re.fullmatch(r"[1-9]\d{38}", row["StudyID"])
        assert re.fullmatch(r"[1-9]\d{38}", row["PatientID"])
        assert int(row["StudyID"]) > 2**64
    styles = {len(NAME.fullmatch(row["ImageID"])[2]) for row in rows}  # type: ignore[index]
    assert styles == {6, 10}


def test_cells_hold_the_publishers_words(rows: list[Row]) -> None:
    for row in rows:
        assert re.fullmatch(r"(\d{4}\.0)?", row["PatientBirth"])
        assert row["ViewPosition_DICOM"] in POSITIONS
        assert row["Projection"] in {*VIEWS, "COSTAL", "EXCLUDE"}
        assert row["MethodProjection"] in {"Manual review of DICOM fields", "resnet-50.t7"}
        assert row["Manufacturer_DICOM"] in {"PhilipsMedicalSystems", "ImagingDynamicsCompanyLtd"}
        assert row["PhotometricInterpretation_DICOM"] == "MONOCHROME2"
        assert row["BitsStored_DICOM"] in {"10", "12"}
        assert row["MethodLabel"] in {"Physician", "RNN_model"}
        assert row["ReportID"].isdigit()
    assert "None" in {row["WindowWidth_DICOM"] for row in rows}
    assert any(re.fullmatch(r"\d\.\d{6}e\+0[23]", row["WindowCenter_DICOM"]) for row in rows)


def test_list_cells_are_python_and_concepts_are_numpy(rows: list[Row]) -> None:
    for row in rows:
        for name in ("Labels", "Localizations"):
            assert row[name] == "" or isinstance(ast.literal_eval(row[name]), list)
        groups = ast.literal_eval(row["LabelsLocalizationsBySentence"])
        assert all(isinstance(group, list) for group in groups)
        for name in ("labelCUIS", "LocalizationsCUIS"):
            assert re.fullmatch(r"\[('(C\d{7})?'( '(C\d{7})?')*)?\]", row[name]), row[name]


def test_concepts_run_parallel_to_their_names(rows: list[Row]) -> None:
    for row in rows:
        if row["Labels"]:
            labels = ast.literal_eval(row["Labels"])
            assert len(re.findall(r"'[^']*'", row["labelCUIS"])) == len(labels)
        places = ast.literal_eval(row["Localizations"])
        assert len(re.findall(r"'[^']*'", row["LocalizationsCUIS"])) == len(places)
        assert all(place.startswith("loc ") for place in places)


def test_places_are_words_of_the_published_tree(rows: list[Row]) -> None:
    places = {place[4:].strip() for row in rows for place in items(row["Localizations"])}
    assert places <= PLACES
    assert places & {"left", "right"}


def test_each_table_trap_is_there(rows: list[Row]) -> None:
    labels = [row["Labels"] for row in rows]
    assert "" in labels
    assert any("' cardiomegaly'" in cell or re.search(r"[\[ ]' \w", cell) for cell in labels)
    assert any("''" in cell for cell in labels)
    assert any("loc  " in row["Localizations"] for row in rows)
    assert {"nan", "."} <= {row["Report"].split()[0] for row in rows}
    assert {"COSTAL", "EXCLUDE", "AP_horizontal"} <= {row["Projection"] for row in rows}
    assert "" in {row["PatientBirth"] for row in rows}
    assert "None" in {row["PatientSex_DICOM"] for row in rows}
    assert any("hypoexpansion basal" in cell for cell in labels)


def test_reports_are_stems_behind_a_space(world: World, rows: list[Row]) -> None:
    odd = {trapped(world, "report-nan"), trapped(world, "report-dots")}
    for row in rows:
        if row["StudyID"] not in odd:
            assert re.fullmatch(r"( [a-z]+)+ \.(( [a-z]+)+ \.)*", row["Report"]), row["Report"]


def test_only_cells_with_a_comma_or_a_quote_are_quoted(world: World) -> None:
    text = (world.root / TABLE).read_text()
    for line in text.splitlines()[1:]:
        for quoted in re.findall(r'(?:^|,)"((?:[^"]|"")*)"(?=,|$)', line):
            assert "," in quoted or '"' in quoted


def test_zips_are_numbered_and_flat(
    world: World, rows: list[Row], members: dict[str, tuple[str, bytes]]
) -> None:
    assert all("/" not in name for name in members)
    assert {row["ImageID"] for row in rows} >= set(members)
    late = [row for row in rows if members.get(row["ImageID"], ("54.zip",))[0] == "54.zip"]
    elsewhere = [
        row for row in rows
        if row["ImageID"] in members and members[row["ImageID"]][0] != f"{row['ImageDir']}.zip"
    ]  # fmt: skip
    assert len(elsewhere) == 1
    assert elsewhere[0] in late
    assert len([row for row in rows if row["ImageID"] not in members]) == 2


def test_pictures_are_16_bit_and_ten_bits_fill_a_quarter(
    rows: list[Row], members: dict[str, tuple[str, bytes]]
) -> None:
    tops = defaultdict(list)
    broken = 0
    for row in rows:
        if row["ImageID"] not in members:
            continue
        picture: Picture | None = picture_of(members[row["ImageID"]][1])
        if picture is None:
            broken += 1
            continue
        assert (picture.format, picture.mode) == ("PNG", "I;16")
        assert str(picture.height) == row["Rows_DICOM"]
        assert str(picture.width) == row["Columns_DICOM"]
        tops[row["BitsStored_DICOM"]].append(int(picture.values.max()))
    assert broken == 2
    assert min(tops["12"]) == 0  # the black one
    assert max(tops["12"]) > 40_000
    assert 10_000 < max(tops["10"]) <= 65_535 // 4


def test_the_reader_yields_every_image_or_says_why(world: World, rows: list[Row]) -> None:
    images = {image.image_id: image for study in world.studies.values() for image in study.images}
    reasons = defaultdict(list)
    for row in rows:
        name = row["ImageID"]
        if name in images:
            assert images[name].view == VIEWS[row["Projection"]]
        else:
            reasons[world.rejected[name]].append(name)
    assert len(reasons["view-rejected"]) == 2
    assert len(reasons["file-missing"]) == 2
    assert len(reasons["known-bad-file"]) == 1
    assert set(reasons) == {
        "view-rejected", "file-missing", "known-bad-file", "label-exclude", "label-suboptimal",
    }  # fmt: skip


def test_persons_are_read_as_they_stand(world: World, rows: list[Row]) -> None:
    for row in rows:
        study = world.studies.get(row["StudyID"])
        if study is None:
            continue
        text = row["StudyDate_DICOM"]
        birth = row["PatientBirth"]
        assert study.acquired_on == date(int(text[:4]), int(text[4:6]), int(text[6:]))
        assert study.subject_age == (int(text[:4]) - float(birth) if birth else None)
        assert study.subject_sex == {"M": "M", "F": "F"}.get(row["PatientSex_DICOM"])
        assert study.subject_id == row["PatientID"]
        assert study.manufacturer == row["Manufacturer_DICOM"]


def test_source_labels_are_the_cells_union(world: World, rows: list[Row]) -> None:
    for study_id, own in by_study(rows).items():
        if study_id not in world.studies:
            continue
        names = {item for row in own for item in items(row["Labels"])} - USELESS
        names = names - {"normal"} or names
        assert {label.name for label in world.studies[study_id].source_labels} == names


def test_places_follow_their_label_in_the_sentence(world: World, rows: list[Row]) -> None:
    for study_id, own in by_study(rows).items():
        if study_id not in world.studies or not own[0]["Labels"]:
            continue
        expected = set()
        for group in ast.literal_eval(own[0]["LabelsLocalizationsBySentence"]):
            label, places = None, []
            for item in (text.strip() for text in group):
                if item.startswith("loc "):
                    places.append(item[4:].strip())
                else:
                    expected.add((label, ", ".join(places) or None))
                    label, places = item, []
            expected.add((label, ", ".join(places) or None))
        for found in world.studies[study_id].source_labels:
            if found.location is not None:
                assert (found.name, found.location) in expected


def test_labels_are_the_truths_positive_findings(world: World) -> None:
    blank, older = trapped(world, "blank-labels"), trapped(world, "older-name")
    for study_id, study in world.studies.items():
        positive = {n for n, v in stated(world.truth[study_id]["labels"]).items() if v == 1.0}
        found = labels_of(study)
        sure = {name for name, value in found.items() if value == 1.0}
        if study_id == older:  # its text doubts an atelectasis that the chest does not have
            sure, positive = sure - {"No Finding"}, positive - {"No Finding"}
        if study_id == blank:
            assert sure == set()
            continue
        foreign = "foreign object" in {f["name"] for f in world.truth[study_id]["findings"]}
        if foreign:  # an object is no observation, but PadChest's report is not normal with it
            sure, positive = sure - {"No Finding"}, positive - {"No Finding"}
        devices = {"Support Devices"}
        if positive - devices == {"No Finding"} and positive & devices:
            positive = positive & devices  # no 'normal' beside a device in the replica's labels
        assert sure - {"Pneumonia"} == positive - {"Pneumonia"}
        assert 0.0 not in found.values()

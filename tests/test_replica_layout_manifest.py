"""The replica of a hospital's own data, opened without our reader."""

from __future__ import annotations

import re
from collections import Counter
from io import BytesIO

import pytest
from pydicom import dcmread
from replica_world import OBSERVATIONS, Row, World, header_of, labels_of, make_world, rows_of

from sources.replicas.truth import ReplicaSpec

HEADER = (
    "image_path study_id subject_id view report indication findings impression age sex date "
    "manufacturer site"
)
WORDS = {"positive": 1.0, "0": 0.0, "-1": -1.0}
HEADER_VIEWS = {"PA": "PA", "AP": "AP", "LL": "LATERAL"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world("manifest", tmp_path_factory.mktemp("manifest"), ReplicaSpec(36, 7, 96))


@pytest.fixture(scope="module")
def rows(world: World) -> list[Row]:
    return rows_of(world.root / "manifest.csv")


def test_the_header_is_documented(world: World) -> None:
    assert header_of(world.root / "manifest.csv") == [*HEADER.split(), *OBSERVATIONS]


def test_four_kinds_of_files(world: World) -> None:
    suffixes = Counter(path.suffix for path in (world.root / "images").iterdir())
    assert set(suffixes) == {".dcm", ".png", ".jpg"}


def test_dicom_files_use_many_transfer_syntaxes_and_name_a_person(world: World) -> None:
    syntaxes = set()
    for path in (world.root / "images").glob("*.dcm"):
        data = path.read_bytes()
        if data[128:132] != b"DICM":
            assert data == b""
            continue
        header = dcmread(BytesIO(data), stop_before_pixels=True)
        assert str(header.PatientName) == "Invented^Person"
        assert header.InstitutionName == "Invented Hospital"
        syntaxes.add(str(header.file_meta.TransferSyntaxUID))
    assert len(syntaxes) >= 5


def test_nothing_that_names_a_person_gets_out(world: World) -> None:
    read = str(world.reading.studies.to_pylist()) + str(world.reading.rejected.to_pylist())
    assert "Invented" not in read


def test_the_reader_yields_every_row_or_says_why(world: World, rows: list[Row]) -> None:
    images = {image.image_id: image for study in world.studies.values() for image in study.images}
    reasons = Counter()
    for row in rows:
        place = row["image_path"]
        if place in images:
            if row["view"]:
                assert images[place].view == row["view"]
        else:
            reasons[world.rejected[place]] += 1
    assert reasons["file-missing"] == reasons["path-outside-root"] == 1
    assert reasons["view-unknown"] == reasons["id-missing"] == 1
    assert 1 <= reasons["value-unknown"] <= 2  # the images of one study
    assert set(reasons) == {
        "file-missing", "path-outside-root", "view-unknown", "id-missing", "value-unknown",
    }  # fmt: skip


def test_views_come_from_the_header_where_the_table_has_none(world: World, rows: list[Row]) -> None:
    images = {image.image_id: image for study in world.studies.values() for image in study.images}
    seen = 0
    for row in rows:
        place = row["image_path"]
        if place in images and not row["view"]:
            data = (world.root / place).read_bytes()
            if len(data) > 2000:
                header = dcmread(BytesIO(data), stop_before_pixels=True)
                assert images[place].view == HEADER_VIEWS[header.ViewPosition]
                seen += 1
    assert seen > 5


def test_persons_are_read_as_they_stand(world: World, rows: list[Row]) -> None:
    for row in rows:
        study = world.studies.get(row["study_id"])
        if study is None:
            continue
        assert study.subject_id == row["subject_id"]
        assert study.subject_age == float(row["age"])
        assert study.subject_sex == row["sex"]
        assert (study.manufacturer, study.site) == (row["manufacturer"], row["site"])
        assert str(study.acquired_on) == row["date"]
        assert study.split is None


def test_a_third_gives_sections_a_third_reports_a_third_labels(
    world: World, rows: list[Row]
) -> None:
    kinds: dict[str, set[str]] = {"sections": set(), "report": set(), "labels": set()}
    for row in rows:
        has = {
            "sections": bool(row["findings"]),
            "report": bool(row["report"]),
            "labels": any(row[name] for name in OBSERVATIONS),
        }
        (kind,) = (name for name, is_there in has.items() if is_there)
        kinds[kind].add(row["image_path"].split("/")[1][:6])
    assert [len(found) for found in kinds.values()] == [12, 12, 12]


def test_texts_are_the_rows(world: World, rows: list[Row]) -> None:
    for row in rows:
        study = world.studies.get(row["study_id"])
        if study is None:
            continue
        if row["report"]:
            parts = dict(re.findall(r"([A-Z]+): (.*)\n", row["report"]))
            (text,) = study.texts
            assert study.raw_report is not None
            assert study.raw_report.strip() == row["report"].strip()
            assert text.findings == parts["FINDINGS"]
            assert text.impression == parts["IMPRESSION"]
            assert (str(text.sectioned_by), text.language) == ("rules", "en")
        elif row["findings"]:
            (text,) = study.texts
            assert (text.findings, text.impression) == (row["findings"], row["impression"])
            assert str(text.sectioned_by) == "publisher"
        else:
            assert study.texts == ()


def test_labels_are_the_rows_words(world: World, rows: list[Row]) -> None:
    for row in rows:
        study = world.studies.get(row["study_id"])
        if study is not None:
            expected = {name: WORDS[row[name]] for name in OBSERVATIONS if row[name]}
            assert labels_of(study) == expected


def test_studies_are_the_truths(world: World, rows: list[Row]) -> None:
    named = {row["study_id"] for row in rows if row["study_id"]}
    assert named <= set(world.truth)
    assert len(world.truth) == 36
    assert set(world.studies) <= named

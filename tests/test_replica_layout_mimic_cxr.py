"""The MIMIC-CXR replica, opened without our reader: layout, traps and reading."""

from __future__ import annotations

import json
import math
import re
from datetime import date
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from pydicom import dcmread
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

from sources.replicas.truth import ReplicaSpec

VERSION = "mimic-cxr-2.0.0"
LLAVA_RAD = "llava-rad-mimic-cxr-annotation-1.0.0"
ID = {"subject_id": r"1\d{7}", "study_id": r"5\d{7}", "dicom_id": r"[0-9a-f]{8}(-[0-9a-f]{8}){4}"}
VIEWS = {"PA": "PA", "AP": "AP", "LATERAL": "LATERAL", "LL": "LATERAL"}


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("mimic")
    return make_world("mimic_cxr", root, ReplicaSpec(30, seed=8, side_px=96), annotations=True)


@pytest.fixture(scope="module")
def world(annotated: World) -> World:
    """The same replica, read without the annotations."""
    hidden = annotated.root.parent / "hidden"
    (annotated.root / LLAVA_RAD).rename(hidden)
    read = world_of("mimic_cxr", annotated.root)
    hidden.rename(annotated.root / LLAVA_RAD)
    return read


@pytest.fixture(scope="module")
def metadata(world: World) -> dict[str, Row]:
    return {row["dicom_id"]: row for row in rows_of(world.root / f"{VERSION}-metadata.csv.gz")}


@pytest.fixture(scope="module")
def reports(world: World) -> dict[str, str]:
    """Report text by study id, out of the archive and the folders."""
    with ZipFile(world.root / "mimic-cxr-reports.zip") as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    for path in world.root.glob("files/p1?/p1*/s5*.txt"):
        texts[path.relative_to(world.root).as_posix()] = path.read_text()
    assert all(re.fullmatch(r"files/(p1\d)/\1\d{6}/s5\d{7}\.txt", name) for name in texts)
    return {Path(name).stem[1:]: text for name, text in texts.items()}


def official_sections(text: str) -> list[tuple[str, str]]:
    """Header and body by the published rule: line end, one space, capitals, colon, white space."""
    parts = re.split(r"\n ([A-Z ()/,-]+):\s", text)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_the_root_holds_the_publishers_files(world: World) -> None:
    names = {path.name for path in world.root.iterdir() if not path.name.startswith(".")}
    assert names == {
        "files", "README", "IMAGE_FILENAMES", LLAVA_RAD, "mimic-cxr-reports.zip",
        "cxr-record-list.csv.gz", "cxr-study-list.csv.gz", "mimic-cxr-2.1.0-test-set-labeled.csv",
        *(f"{VERSION}-{part}.csv.gz" for part in ("metadata", "split", "chexpert", "negbio")),
    }  # fmt: skip


def test_the_headers_are_the_publishers(world: World) -> None:
    code = "CodeSequence_CodeMeaning"
    labels = sorted(OBSERVATIONS)
    expert = ["Airspace Opacity" if name == "Lung Opacity" else name for name in labels]
    expected = {
        f"{VERSION}-metadata.csv.gz": [
            "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription",
            "ViewPosition", "Rows", "Columns", "StudyDate", "StudyTime", f"Procedure{code}",
            f"View{code}", f"PatientOrientation{code}",
        ],
        f"{VERSION}-split.csv.gz": ["dicom_id", "study_id", "subject_id", "split"],
        f"{VERSION}-chexpert.csv.gz": ["subject_id", "study_id", *labels],
        f"{VERSION}-negbio.csv.gz": ["subject_id", "study_id", *labels],
        "mimic-cxr-2.1.0-test-set-labeled.csv": ["study_id", *expert],
        "cxr-record-list.csv.gz": ["subject_id", "study_id", "dicom_id", "path"],
        "cxr-study-list.csv.gz": ["subject_id", "study_id", "path"],
    }  # fmt: skip
    assert {name: header_of(world.root / name) for name in expected} == expected


def test_identifiers_have_the_publishers_shape(metadata: dict[str, Row]) -> None:
    for row in metadata.values():
        for name, pattern in ID.items():
            assert re.fullmatch(pattern, row[name]), (name, row[name])


def test_files_lie_where_their_ids_say(world: World, metadata: dict[str, Row]) -> None:
    jpegs = (world.root / "IMAGE_FILENAMES").read_text().splitlines()
    records = rows_of(world.root / "cxr-record-list.csv.gz")
    places = {Path(name).stem: name for name in [*jpegs, *(row["path"] for row in records)]}
    assert set(places) == set(metadata)
    for image_id, row in metadata.items():
        folder = f"files/p{row['subject_id'][:2]}/p{row['subject_id']}/s{row['study_id']}"
        assert places[image_id].rsplit(".", 1)[0] == f"{folder}/{image_id}"
    assert {Path(name).suffix for name in places.values()} == {".jpg", ".dcm"}


def test_a_missing_and_a_truncated_jpeg_and_no_more(world: World) -> None:
    jpegs = (world.root / "IMAGE_FILENAMES").read_text().splitlines()
    present = [name for name in jpegs if (world.root / name).is_file()]
    broken = [name for name in present if not picture_of((world.root / name).read_bytes())]
    assert (len(jpegs) - len(present), len(broken)) == (1, 1)


def test_dicom_headers_say_what_the_table_says(world: World, metadata: dict[str, Row]) -> None:
    inverted = set()
    for record in rows_of(world.root / "cxr-record-list.csv.gz"):
        header = dcmread(world.root / record["path"])
        row = metadata[record["dicom_id"]]
        assert header.SpecificCharacterSet == "ISO_IR 100"
        assert re.fullmatch(r"2\.25\.\d+", header.SOPInstanceUID)
        assert [str(header.Rows), str(header.Columns)] == [row["Rows"], row["Columns"]]
        assert (header.ViewPosition, header.StudyDate) == (row["ViewPosition"], row["StudyDate"])
        assert header.pixel_array.shape == (header.Rows, header.Columns)
        inverted.add(header.PhotometricInterpretation)
    assert inverted <= {"MONOCHROME1", "MONOCHROME2"}


def test_dates_lie_ahead_and_times_lose_their_zeros(metadata: dict[str, Row]) -> None:
    for row in metadata.values():
        assert 2110 <= int(row["StudyDate"][:4]) < 2210
        assert re.fullmatch(r"\d{1,6}\.\d{3}", row["StudyTime"])
    assert min(len(row["StudyTime"]) for row in metadata.values()) < 10


def test_views_are_read_by_the_table(world: World, metadata: dict[str, Row]) -> None:
    images = {image.image_id: image for study in world.studies.values() for image in study.images}
    assert set(images) == set(metadata)  # none rejected: damage shows when pixels are opened
    for image_id, row in metadata.items():
        assert images[image_id].view == VIEWS.get(row["ViewPosition"], "UNKNOWN")
        assert images[image_id].width == int(row["Columns"])
        assert images[image_id].height == int(row["Rows"])
    assert "" in {row["ViewPosition"] for row in metadata.values()}


def test_portable_films_under_a_pa_procedure(metadata: dict[str, Row]) -> None:
    name = "PerformedProcedureStepDescription"
    procedures = {r[name] for r in metadata.values() if r["ViewPosition"] == "AP"}
    assert procedures == {"CHEST (PORTABLE AP)", "CHEST (PA AND LAT)"}


def test_splits_and_dates_are_read_as_they_stand(world: World, metadata: dict[str, Row]) -> None:
    splits: dict[str, str] = {}
    subjects: dict[str, set[str]] = {}
    for row in rows_of(world.root / f"{VERSION}-split.csv.gz"):
        splits[row["study_id"]] = row["split"]
        subjects.setdefault(row["subject_id"], set()).add(row["split"])
    assert set(splits.values()) == {"train", "validate", "test"}
    assert {len(found) for found in subjects.values()} == {1}
    for row in metadata.values():
        study = world.studies[row["study_id"]]
        text = row["StudyDate"]
        assert study.split == splits[study.study_id]
        assert study.acquired_on == date(int(text[:4]), int(text[4:6]), int(text[6:]))
        assert study.subject_id == row["subject_id"]


def test_one_study_without_images(world: World, metadata: dict[str, Row]) -> None:
    listed = {row["study_id"] for row in rows_of(world.root / "cxr-study-list.csv.gz")}
    (bare,) = listed - {row["study_id"] for row in metadata.values()}
    assert world.studies[bare].images == ()
    assert set(world.studies) == listed == set(world.truth)


def test_labels_are_those_of_the_tables(world: World) -> None:
    automatic = {r["study_id"]: r for r in rows_of(world.root / f"{VERSION}-chexpert.csv.gz")}
    expert_rows = rows_of(world.root / "mimic-cxr-2.1.0-test-set-labeled.csv")
    expert = {row["study_id"]: row for row in expert_rows}
    assert len(world.studies) - len(automatic) == 1
    assert [s for s, row in automatic.items() if not cells_stated(row)] != []
    for study_id, study in world.studies.items():
        if not study.images:
            continue
        found = cells_stated(automatic[study_id]) if study_id in automatic else {}
        if study_id in expert:
            found = cells_stated(expert[study_id], {"Airspace Opacity": "Lung Opacity"})
        assert labels_of(study) == found == stated(world.truth[study_id]["labels"])


def test_every_negbio_row_has_a_label(world: World) -> None:
    rows = rows_of(world.root / f"{VERSION}-negbio.csv.gz")
    assert all(cells_stated(row) for row in rows)


def test_reports_keep_the_publishers_lines(reports: dict[str, str]) -> None:
    for text in reports.values():
        first, *body = text.removesuffix("\n").split("\n")
        assert first == " " * 33 + "FINAL REPORT"
        assert all(line.startswith(" ") and len(line) <= 79 for line in body)
        assert "  \n" not in text


def test_each_report_trap_is_there(world: World, reports: dict[str, str]) -> None:
    assert len(world.studies) - len(reports) == 1
    texts = list(reports.values())
    assert any("\n FINDINS: \n" in text for text in texts)
    assert any("\n findings: " in text for text in texts)
    assert any(text.count("\n FINDINGS: \n") == 2 for text in texts)
    assert any("\n FINDINGS AND IMPRESSION: \n" in text for text in texts)
    assert any(re.search(r"\n _{70,}\n +FINAL REPORT\n", text) for text in texts)
    assert any("FINDIN" not in text and "IMPRESSION" in text for text in texts)
    assert any("___" in text for text in texts)


def test_sections_agree_with_the_official_rule(world: World, reports: dict[str, str]) -> None:
    """The last section of a name that has text wins; names in our table's own words."""
    names = {"FINDINGS": "findings", "FINDINS": "findings", "IMPRESSION": "impression"}
    names |= {"IMPRESSON": "impression", "FINDINGS AND IMPRESSION": "impression"}
    compared = 0
    for study_id, report in reports.items():
        wanted = {}
        for header, body in official_sections(report):
            body = " ".join(body.split())
            if header in names and body:
                wanted[names[header]] = body
        if not wanted:
            continue
        compared += 1
        (text,) = world.studies[study_id].texts
        assert (text.findings, text.impression) == (
            wanted.get("findings"),
            wanted.get("impression"),
        )
        assert world.studies[study_id].raw_report == report
    assert compared > 20


def entries_of(root: Path) -> dict[str, list[dict[str, Any]]]:
    names = {part: f"chat_{part}_MIMIC_CXR_all_gpt4extract_rulebased_v1.json"
             for part in ("train", "dev", "test")}  # fmt: skip
    return {part: json.loads((root / LLAVA_RAD / name).read_text()) for part, name in names.items()}


def test_annotations_have_the_published_keys(annotated: World) -> None:
    keys = "id image generate_method reason impression indication history view orientation"
    for entries in entries_of(annotated.root).values():
        for entry in entries:
            assert list(entry) == [*keys.split(), "chexpert_labels", "conversations"]
            assert re.fullmatch(r"1\d{7}_5\d{7}", entry["id"])
            assert entry["image"].startswith("mimic/p1")
            assert list(entry["chexpert_labels"]) == sorted(OBSERVATIONS)
            assert [turn["from"] for turn in entry["conversations"]] == ["human", "gpt"]


def test_annotation_traps_are_there(annotated: World) -> None:
    parts = entries_of(annotated.root)
    everything = [entry for entries in parts.values() for entry in entries]
    assert any(math.isnan(v) for e in everything for v in e["chexpert_labels"].values())
    assert any(entry["reason"] is None for entry in everything)
    assert any(not isinstance(entry["conversations"][1]["value"], str) for entry in everything)
    assert len({entry["id"] for entry in everything}) < len(everything)
    assert {e["generate_method"] for e in parts["test"]} == {"rule-based"}


def test_annotated_texts_are_read_as_they_stand(annotated: World) -> None:
    by = {"rules": "rule-based", "llm": "gpt4"}
    values: dict[tuple[str, str], Any] = {}
    for entries in entries_of(annotated.root).values():
        for entry in entries:
            study_id = entry["id"].split("_")[1]
            values[study_id, entry["generate_method"]] = entry["conversations"][1]["value"]
    told = {key for key, value in values.items() if isinstance(value, str)}
    read = set()
    for study_id, study in annotated.studies.items():
        for text in study.texts:
            key = (study_id, by[str(text.sectioned_by)])
            assert text.findings == " ".join(values[key].split())
            read.add(key)
    assert read == told

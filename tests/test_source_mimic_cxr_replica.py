"""The MIMIC-CXR replica: its reader finds the truth, and every trap is there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom import dcmread

from sources.mimic_cxr import read
from sources.record import Reading
from sources.replicas.files import quantise
from sources.replicas.mimic_cxr import write
from sources.replicas.mimic_cxr_plan import (
    BLANK_LABELS_STUDY,
    IMAGELESS_STUDY,
    REPORT_TRAPS,
    UNLABELLED_STUDY,
    PlannedStudy,
    plan_replica,
)
from sources.replicas.mimic_cxr_text import report_text, word_study
from sources.replicas.phantom import draw
from sources.replicas.truth import ReplicaSpec

SPEC = ReplicaSpec(studies=48, seed=2, side_px=96)
NO_FINDINGS = {"no findings", "findings and impression", "last paragraph", "no report"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("replica")
    write(root, SPEC)
    return root


@pytest.fixture(scope="module")
def plan() -> list[PlannedStudy]:
    return plan_replica(SPEC)


@pytest.fixture(scope="module")
def reading(root: Path) -> Reading:
    return read(root)


@pytest.fixture(scope="module")
def rows(reading: Reading) -> dict[str, dict[str, Any]]:
    return {row["study_id"]: row for row in reading.studies.to_pylist()}


def test_all_studies_are_read(reading: Reading) -> None:
    assert (reading.studies_in, reading.studies.num_rows) == (48, 48)
    assert reading.rejected.num_rows == 0


def test_texts_are_what_was_written(
    plan: list[PlannedStudy], rows: dict[str, dict[str, Any]]
) -> None:
    for study in plan:
        wording = word_study(study)
        texts = rows[study.study_id]["texts"]
        if study.report_trap == "no report":
            assert (texts, rows[study.study_id]["raw_report"]) == ([], None)
            continue
        [text] = texts
        has_findings = study.report_trap not in NO_FINDINGS
        assert text["findings"] == (wording.findings if has_findings else None), study.report_trap
        if study.report_trap == "findings and impression":
            assert text["impression"] == f"{wording.findings} {wording.impression}"
        elif study.report_trap == "last paragraph":
            assert text["impression"] == wording.findings
        else:
            assert text["impression"] == wording.impression
        assert text["indication"] == wording.indication


def test_every_report_trap_is_there_once_in_forty_studies(plan: list[PlannedStudy]) -> None:
    assert [study.report_trap for study in plan[:40] if study.report_trap] == list(
        REPORT_TRAPS.values()
    )


def test_report_lines_are_short_and_start_with_a_space(plan: list[PlannedStudy]) -> None:
    for study in plan:
        text = report_text(study, word_study(study))
        if text is None:
            continue
        lines = text.splitlines()
        assert lines[0] == " " * 33 + "FINAL REPORT"
        assert all(line.startswith(" ") and len(line) <= 79 for line in lines)


def test_some_follow_ups_speak_of_the_prior_study(plan: list[PlannedStudy]) -> None:
    findings = [word_study(study).findings for study in plan if study.truth.study > 1]
    prior = ("unchanged", "stable since", "new since", "new compared")
    assert any(phrase in text for text in findings for phrase in prior)
    firsts = [word_study(study).findings for study in plan if study.truth.study == 1]
    assert not any(phrase in text for text in firsts for phrase in prior)


def test_labels_are_those_of_the_words(
    plan: list[PlannedStudy], rows: dict[str, dict[str, Any]]
) -> None:
    for study in plan:
        stated = word_study(study).labels(study.truth)
        expected = {name: str(value) for name, value in stated.items() if value != "unmentioned"}
        if study.number in (UNLABELLED_STUDY, BLANK_LABELS_STUDY) and study.split != "test":
            expected = {}
        if study.number == IMAGELESS_STUDY:
            expected = {}
        found = rows[study.study_id]["labels"]
        assert {label["observation"]: label["value"] for label in found} == expected


def test_the_image_tables_have_their_traps(root: Path, plan: list[PlannedStudy]) -> None:
    data = gzip.decompress((root / "mimic-cxr-2.0.0-metadata.csv.gz").read_bytes()).decode()
    table = [line.split(",") for line in data.splitlines()]
    views = {row[4] for row in table[1:]}
    assert {"", "LL", "AP AXIAL"} < views
    assert any(row[4] == "AP" and row[3] == "CHEST (PA AND LAT)" for row in table)
    times = {row[8].split(".")[0] for row in table[1:]}
    assert {len(time) for time in times} > {6}, "early hours lose their zeros"
    expert = (root / "mimic-cxr-2.1.0-test-set-labeled.csv").read_text().splitlines()
    assert "Airspace Opacity" in expert[0] and "subject_id" not in expert[0]
    assert len(expert) - 1 == sum(study.split == "test" for study in plan)
    labels = gzip.decompress((root / "mimic-cxr-2.0.0-chexpert.csv.gz").read_bytes()).decode()
    assert plan[UNLABELLED_STUDY].study_id not in labels
    blank = plan[BLANK_LABELS_STUDY]
    assert f"{blank.subject_id},{blank.study_id}{',' * 14}\n" in labels


def test_files_are_where_the_reader_says(
    root: Path, plan: list[PlannedStudy], rows: dict[str, dict[str, Any]]
) -> None:
    traps = {image.image_id: image.trap for study in plan for image in study.images}
    for row in rows.values():
        for image in row["images"]:
            path = root / image["uri"]
            assert path.is_file() == (traps[image["image_id"]] != "missing")
            if path.suffix == ".dcm":
                header = dcmread(path)
                assert (header.Columns, header.Rows) == (image["width"], image["height"])
            elif path.is_file() and traps[image["image_id"]] is None:
                pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                assert pixels is not None
                assert pixels.shape == (image["height"], image["width"])
                assert min(image["height"], image["width"]) == SPEC.side_px
    assert sorted(filter(None, traps.values())) == ["missing", "truncated"]


def test_jpegs_are_the_drawn_films_histogram_equalised(
    root: Path, plan: list[PlannedStudy]
) -> None:
    images = [(study, image) for study in plan[:8] for image in study.images if not image.is_dicom]
    for study, image in images:
        if image.trap is not None:
            continue
        found = cv2.imread(str(root / image.path), cv2.IMREAD_UNCHANGED)
        assert found is not None
        film = quantise(draw(study.truth, image.view, SPEC.side_px).pixels, 255)
        assert np.abs(found.astype(int) - cv2.equalizeHist(film)).mean() < 3, "what JPEG loses"
        assert np.abs(found.astype(int) - film).mean() > 6


def test_a_part_lies_there_as_dicom_of_both_polarities(root: Path) -> None:
    headers = [dcmread(path, stop_before_pixels=True) for path in sorted(root.rglob("*.dcm"))]
    assert {header.PhotometricInterpretation for header in headers} == {
        "MONOCHROME1",
        "MONOCHROME2",
    }
    assert len({header.file_meta.TransferSyntaxUID for header in headers}) > 1
    assert all("PatientName" not in header for header in headers)


def test_subjects_have_one_two_and_more_studies(plan: list[PlannedStudy]) -> None:
    counts: dict[str, int] = {}
    for study in plan:
        counts[study.subject_id] = counts.get(study.subject_id, 0) + 1
        assert study.subject_id[0] == "1" and study.study_id[0] == "5"
    assert {1, 2, 3} <= set(counts.values())
    days = {}
    for study in plan:
        assert study.day >= days.get(study.subject_id, study.day), "studies lie in order of time"
        days[study.subject_id] = study.day


@pytest.mark.parametrize("seed", range(4))
def test_a_replica_of_1100_studies_tests_on_170(seed: int) -> None:
    usable = [
        study
        for study in plan_replica(ReplicaSpec(1100, seed))
        if study.split == "test"
        and study.report_trap not in NO_FINDINGS
        and any(image.position in ("PA", "AP") and not image.trap for image in study.images)
    ]
    assert 170 <= len(usable) <= 200


def test_the_truth_lies_beside(root: Path, rows: dict[str, dict[str, Any]]) -> None:
    truths = [json.loads(line) for line in (root / ".truth.jsonl").read_text().splitlines()]
    assert [truth["study_id"] for truth in truths] != sorted(rows)
    assert {truth["study_id"] for truth in truths} == set(rows)


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(root: Path, tmp_path: Path) -> None:
    write(tmp_path, ReplicaSpec(SPEC.studies, SPEC.seed, SPEC.side_px, processes=2))
    for path in sorted(root.rglob("*")):
        if path.is_file():
            assert (tmp_path / path.relative_to(root)).read_bytes() == path.read_bytes()


def test_annotations_give_two_versions_in_training_and_one_in_test(tmp_path: Path) -> None:
    write(tmp_path, SPEC, annotations=True)
    reading = read(tmp_path)
    assert set(reading.rejected.column("reason").to_pylist()) == {"findings-not-text"}
    versions = {
        split: {
            tuple(text["sectioned_by"] for text in row["texts"])
            for row in reading.studies.to_pylist()
            if row["split"] == split and row["images"]
        }
        for split in ("train", "test")
    }
    assert ("rules", "llm") in versions["train"]
    assert versions["test"] <= {("rules",), ()} and ("rules",) in versions["test"]
    name = "chat_train_MIMIC_CXR_all_gpt4extract_rulebased_v1.json"
    text = (tmp_path / "llava-rad-mimic-cxr-annotation-1.0.0" / name).read_text()
    assert "NaN" in text and '"reason": null' in text
    ids = [entry["id"] for entry in json.loads(text)]
    assert len(ids) > len(set(ids))

"""The replica of PadChest: format, traps, truth, and the same bytes each time."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np
import pytest

from infra.settings.sections import ImageSettings
from sources.padchest import read
from sources.padchest_labels import KNOWN
from sources.pixels import PixelError, prepare
from sources.record import Study, study_from_row
from sources.replicas.padchest import TRAPS, write
from sources.replicas.padchest_table import COLUMNS
from sources.replicas.truth import ReplicaSpec

SPEC = ReplicaSpec(studies=60, seed=5, side_px=96)
SETTINGS = ImageSettings(short_side_px=64, smallest_side_px=64)
TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("padchest")
    write(folder, SPEC)
    return folder


def studies(folder: Path) -> dict[str, Study]:
    return {row["study_id"]: study_from_row(row) for row in read(folder).studies.to_pylist()}


def truth_of(folder: Path) -> dict[str, dict[str, Any]]:
    lines = (folder / ".truth.jsonl").read_text().splitlines()
    return {row["study_id"]: row for row in map(json.loads, lines)}


def trapped(folder: Path) -> dict[str, str]:
    return {row["trap"]: row["study_id"] for row in truth_of(folder).values() if row["trap"]}


def table_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / TABLE).open(newline="") as stream:
        return list(csv.DictReader(stream))


def read_member(folder: Path, uri: str) -> bytes:
    archive, member = uri.split("!")
    with ZipFile(folder / archive) as members:
        return members.read(member)


def test_the_header_is_the_publishers(root: Path) -> None:
    with (root / TABLE).open() as stream:
        header = next(csv.reader(stream))
    assert tuple(header) == COLUMNS
    assert (len(header), header[0], header[-2]) == (36, "", "labelCUIS")


def test_what_is_rejected_and_why(root: Path) -> None:
    reading = read(root)
    rows = reading.rejected.to_pylist()
    where = {study_id: trap for trap, study_id in trapped(root).items()}
    by_trap = {(where[row["study_id"]], row["level"], row["reason"]) for row in rows}
    assert by_trap - {(trap, "study", "no-image-left") for trap in TRAPS} == {
        ("missing", "image", "file-missing"),
        ("published-missing", "image", "file-missing"),
        ("published-broken", "image", "known-bad-file"),
        ("costal", "image", "view-rejected"),
        ("exclude-projection", "image", "view-rejected"),
        ("exclude", "image", "label-exclude"),
        ("exclude", "study", "label-exclude"),
        ("suboptimal", "image", "label-suboptimal"),
        ("suboptimal", "study", "label-suboptimal"),
        ("report-dots", "text", "report-degenerate"),
    }
    assert reading.studies_in == 60


def test_every_trap_is_there_once(root: Path) -> None:
    assert sorted(trapped(root)) == sorted(TRAPS)


def test_odd_rows_are_read_as_documented(root: Path) -> None:
    found, where = studies(root), trapped(root)
    assert found[where["no-birth"]].subject_age is None
    assert found[where["no-sex"]].subject_sex is None
    assert found[where["report-nan"]].raw_report is None
    assert found[where["report-dots"]].raw_report is None
    assert found[where["blank-labels"]].labels == ()
    assert found[where["horizontal"]].images[0].view == "AP"
    assert found[where["late-zip"]].images[0].uri.startswith("54.zip!")
    names = {label.name for label in found[where["spaced-labels"]].source_labels}
    assert names <= KNOWN
    assert "suboptimal study" not in names
    older = {label.name: label.location for label in found[where["older-name"]].source_labels}
    assert older["hypoexpansion basal"] == "left"


def test_labels_agree_with_the_truth(root: Path) -> None:
    """Each true finding of a CheXpert name is labelled; the reader adds none that is not true."""
    skipped = {"blank-labels", "exclude", "suboptimal", "older-name"}
    truth = truth_of(root)
    for name, study in studies(root).items():
        if truth[name]["trap"] in skipped:
            continue
        wanted = {key for key, value in truth[name]["labels"].items() if value == "positive"} - {
            "No Finding"
        }
        found = {item.observation for item in study.labels if item.value == "positive"}
        certain = wanted - {"Pneumonia"}
        assert certain <= found, (name, wanted, found)
        assert found - {"No Finding", "Pneumonia"} <= wanted, (name, wanted, found)


def test_locations_keep_the_side(root: Path) -> None:
    truth = truth_of(root)
    checked = 0
    for name, study in studies(root).items():
        sides = {
            finding["name"]: finding["side"]
            for finding in truth[name]["findings"]
            if not finding["lateral_only"]
        }
        for label in study.source_labels:
            if label.name == "pleural effusion" and sides.get("pleural effusion"):
                assert sides["pleural effusion"] in (label.location or "")
                checked += 1
    assert checked >= 3


def test_reports_are_spanish_stems(root: Path) -> None:
    reports = [study.raw_report for study in studies(root).values() if study.raw_report]
    assert all(report == report.lower() and report.endswith(" .") for report in reports)
    assert all(report.isascii() for report in reports)
    assert all(row["Report"].startswith(" ") for row in table_rows(root))


def test_ids_are_39_digits_and_both_name_styles_occur(root: Path) -> None:
    rows = table_rows(root)
    assert all(len(row["StudyID"]) == len(row["PatientID"]) == 39 for row in rows)
    styles = Counter(row["ImageID"].startswith(row["StudyID"]) for row in rows)
    assert min(styles[True], styles[False]) > 10
    assert all(row["PatientBirth"] == "" or row["PatientBirth"].endswith(".0") for row in rows)
    assert any(row["WindowCenter_DICOM"] == "None" for row in rows)
    assert any("' '" in row["labelCUIS"] and "," not in row["labelCUIS"] for row in rows)


def test_images_are_16_bit_and_10_bits_fill_a_quarter(root: Path) -> None:
    tops: dict[str, list[int]] = {"10": [], "12": []}
    bits = {row["ImageID"]: row["BitsStored_DICOM"] for row in table_rows(root)}
    sound = [
        study for study in studies(root).values() if truth_of(root)[study.study_id]["trap"] is None
    ]
    for study in sound:
        for image in study.images:
            data = np.frombuffer(read_member(root, image.uri), np.uint8)
            pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
            assert pixels is not None
            assert (str(pixels.dtype), pixels.ndim) == ("uint16", 2)
            tops[bits[image.image_id]].append(int(pixels.max()))
    assert max(tops["10"]) <= 65535 // 4
    assert min(tops["12"]) > 65535 // 4


def test_damaged_files_and_no_others_are_refused(root: Path) -> None:
    where = {study_id: trap for trap, study_id in trapped(root).items()}
    refused = {}
    for study in studies(root).values():
        for image in study.images:
            try:
                prepare(read_member(root, image.uri), SETTINGS)
            except PixelError as error:
                refused[where[study.study_id]] = error.reason
    assert refused == {"truncated": "truncated", "black": "constant-image"}


def test_equal_seeds_give_equal_bytes(root: Path, tmp_path: Path) -> None:
    write(tmp_path, SPEC)
    for path in sorted(root.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("count", [1, 3])
def test_very_small_replicas(tmp_path: Path, count: int) -> None:
    write(tmp_path, ReplicaSpec(studies=count, seed=0, side_px=64))
    assert read(tmp_path).studies_in == count

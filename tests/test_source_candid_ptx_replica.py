"""The CANDID-PTX replica: its counts, traps, labels, boxes and bytes."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from evaluation.labeler import label_report
from infra.settings import ImageSettings
from sources.candid_ptx import read
from sources.pixels import read_grey
from sources.record import LabelValue, Study, View, study_from_row
from sources.replicas.candid_ptx import TRAPS, write
from sources.replicas.truth import ReplicaSpec

POSITIVE, NEGATIVE = LabelValue.POSITIVE, LabelValue.NEGATIVE


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("candid")
    write(root, ReplicaSpec(studies=60, seed=2, side_px=128))
    return root


def studies(root: Path) -> dict[str, Study]:
    return {row["study_id"]: study_from_row(row) for row in read(root).studies.to_pylist()}


def labels(study: Study) -> dict[str, LabelValue]:
    return {label.observation: label.value for label in study.labels}


def truth_of(root: Path) -> dict[str, dict[str, Any]]:
    lines = (root / ".truth.jsonl").read_text().splitlines()
    return {row["study_id"]: row for row in map(json.loads, lines)}


def test_the_replica_counts_add_up(replica: Path) -> None:
    reading = read(replica)
    assert (reading.studies_in, reading.studies.num_rows) == (60, 59)
    assert Counter(reading.rejected.column("reason").to_pylist()) == {
        "subject-conflict": 2, "duplicate-id": 1, "report-row-missing": 1,
    }  # fmt: skip


def test_the_replica_has_its_traps(replica: Path) -> None:
    truth = truth_of(replica)
    where = {row["trap"]: name for name, row in truth.items() if row["trap"]}
    assert set(where) == set(TRAPS)
    found = studies(replica)
    assert where["two-subjects"] not in found
    assert found[where["view-blank"]].images[0].view is View.UNKNOWN
    assert "Pneumothorax" not in labels(found[where["mask-blank"]])
    assert (replica / "Pneumothorax_reports.csv").read_bytes()[:3] == b"\xef\xbb\xbf"
    with (replica / "Pneumothorax_reports.csv").open(encoding="utf-8-sig") as stream:
        rows = Counter(row["SOPInstanceUID"] for row in csv.DictReader(stream))
    assert max(rows.values()) > 1


def test_the_replicas_labels_are_the_truth(replica: Path) -> None:
    truth = truth_of(replica)
    for name, study in studies(replica).items():
        if truth[name]["trap"] == "mask-blank":
            continue
        present = {finding["name"] for finding in truth[name]["findings"]}
        kinds = {finding["kind"] for finding in truth[name]["findings"]}
        assert (labels(study)["Pneumothorax"] is POSITIVE) == ("pneumothorax" in present)
        assert (labels(study).get("Fracture") is POSITIVE) == ("rib fracture" in present)
        assert (labels(study).get("Support Devices") is POSITIVE) == ("chest tube" in kinds)


def test_the_replicas_boxes_cover_the_true_ones(replica: Path) -> None:
    truth = truth_of(replica)
    compared = 0
    for name, study in studies(replica).items():
        for own in (box for box in truth[name]["boxes"] if box["name"] == "pneumothorax"):
            parts = [box for box in study.boxes if box.name == "Pneumothorax"]
            if not parts:
                assert truth[name]["trap"] == "mask-blank"
                continue
            compared += 1
            assert min(box.x_min for box in parts) >= own["x_min"]
            assert max(box.x_max for box in parts) <= own["x_max"]
            widest = max(box.x_max for box in parts) - min(box.x_min for box in parts)
            assert widest > 0.7 * (own["x_max"] - own["x_min"])
    assert compared > 3


def test_the_replicas_share_of_pneumothorax_is_one_in_six(tmp_path: Path) -> None:
    write(tmp_path, ReplicaSpec(studies=150, seed=8, side_px=64))
    share = sum(labels(s).get("Pneumothorax") is POSITIVE for s in studies(tmp_path).values()) / 150
    assert 0.1 < share < 0.24


def test_the_replicas_reports_say_what_is_true(replica: Path) -> None:
    truth = truth_of(replica)
    for name, study in studies(replica).items():
        assert study.raw_report is not None
        said = label_report(study.raw_report)
        for observation in ("Pneumothorax", "Edema", "Fracture", "Pleural Effusion"):
            wanted = truth[name]["labels"][observation]
            assert said.get(observation, LabelValue.UNMENTIONED) == wanted


def test_the_replicas_files_have_no_suffix_and_can_be_shown(replica: Path) -> None:
    settings = ImageSettings(short_side_px=64, smallest_side_px=64)
    for path in (replica / "dataset").iterdir():
        assert path.name == dcmread(path, stop_before_pixels=True).SOPInstanceUID
        assert read_grey(path.read_bytes(), settings).grey.shape == (64, 64)


def test_equal_specs_write_equal_bytes(tmp_path: Path) -> None:
    spec = ReplicaSpec(studies=6, seed=1, side_px=64)
    for name in ("one", "two"):
        write(tmp_path / name, spec)
    files = sorted(path for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 6 + 3 + 1
    for path in files:
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == twin.read_bytes()

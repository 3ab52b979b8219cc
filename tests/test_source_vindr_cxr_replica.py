"""The VinDr-CXR replica: its counts, traps, labels, boxes and bytes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from infra.settings import ImageSettings
from sources.pixels import read_grey
from sources.record import LabelValue, Split, Study, study_from_row
from sources.replicas.truth import ReplicaSpec
from sources.replicas.vindr_cxr import TRAPS, write
from sources.vindr_cxr import read


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vindr")
    write(root, ReplicaSpec(studies=48, seed=3, side_px=128))
    return root


def studies(root: Path) -> dict[str, Study]:
    return {row["study_id"]: study_from_row(row) for row in read(root).studies.to_pylist()}


def labels(study: Study) -> dict[str, LabelValue]:
    return {label.observation: label.value for label in study.labels}


def truth_of(root: Path) -> dict[str, dict[str, Any]]:
    lines = (root / ".truth.jsonl").read_text().splitlines()
    return {row["study_id"]: row for row in map(json.loads, lines)}


def test_size_age_and_sex_come_from_the_header(replica: Path) -> None:
    for study in list(studies(replica).values())[:8]:
        image = study.images[0]
        header = dcmread(replica / image.uri, stop_before_pixels=True)
        assert (image.width, image.height) == (header.Columns, header.Rows)
        assert study.subject_sex == header.PatientSex


def test_the_replica_is_read_whole(replica: Path) -> None:
    reading = read(replica)
    assert (reading.studies_in, reading.images_in, reading.rejected.num_rows) == (48, 48, 0)
    splits = Counter(row["split"] for row in reading.studies.to_pylist())
    assert splits == {"train": 40, "test": 8}


def test_the_replicas_consensus_is_the_truth(replica: Path) -> None:
    truth = truth_of(replica)
    no_name = {"support device", "enlarged mediastinum"}
    for study in studies(replica).values():
        if study.split is not Split.TEST:
            continue
        findings = {f["name"] for f in truth[study.study_id]["findings"]} - no_name
        for observation, value in labels(study).items():
            if observation not in ("No Finding", "Pneumonia"):
                is_true = truth[study.study_id]["labels"][observation] == "positive"
                assert (value is LabelValue.POSITIVE) == is_true, (findings, observation)


def test_the_replicas_boxes_lie_where_the_findings_are(replica: Path) -> None:
    truth = truth_of(replica)
    compared = 0
    for study in studies(replica).values():
        drawn = [box for box in truth[study.study_id]["boxes"] if box["name"] == "nodule"]
        for box in (box for box in study.boxes if box.name == "Nodule/Mass"):
            nearest = min(abs(box.x_min - own["x_min"]) for own in drawn)
            assert nearest < 5
            compared += 1
    assert compared > 0


def test_radiologists_disagree_somewhere(replica: Path) -> None:
    votes = Counter(
        item.votes
        for study in studies(replica).values()
        for item in study.source_labels
        if study.split is Split.TRAIN
    )
    assert votes[3] > votes[1] > 0


def test_the_replica_has_its_traps(replica: Path) -> None:
    truth = truth_of(replica)
    where = {row["trap"]: name for name, row in truth.items() if row["trap"]}
    assert set(where) == set(TRAPS)
    found = studies(replica)
    assert found[where["age-zero"]].subject_age is None
    assert found[where["no-age"]].subject_age is None
    header = dcmread(replica / found[where["eight-bit-as-twelve"]].images[0].uri)
    assert header.BitsStored == 12
    assert int(header.pixel_array.max()) <= 255
    photometric = {
        dcmread(path, stop_before_pixels=True).PhotometricInterpretation
        for path in replica.glob("*/*.dicom")
    }
    assert photometric == {"MONOCHROME1", "MONOCHROME2"}


def test_the_replicas_files_have_no_identifiers(replica: Path) -> None:
    for path in replica.glob("*/*.dicom"):
        header = dcmread(path, stop_before_pixels=True)
        with pytest.warns(UserWarning, match="Invalid value for VR UI"):
            assert header.file_meta.get("MediaStorageSOPInstanceUID") == path.stem
        names = {"SOPInstanceUID", "StudyInstanceUID", "PatientID", "Modality", "ViewPosition"}
        assert not names & set(header.dir())


def test_the_replicas_films_can_be_shown(replica: Path) -> None:
    settings = ImageSettings(short_side_px=64, smallest_side_px=64)
    for path in sorted(replica.glob("*/*.dicom")):
        grey = read_grey(path.read_bytes(), settings).grey
        border = [grey[:20, :4].mean(), grey[:20, -4:].mean()]
        assert min(border) < grey.mean(), "the air beside the neck is dark, whatever is stored"


def test_equal_specs_write_equal_bytes(tmp_path: Path) -> None:
    spec = ReplicaSpec(studies=7, seed=1, side_px=64)
    for name in ("one", "two"):
        write(tmp_path / name, spec)
    files = sorted(path for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 7 + 4 + 1
    for path in files:
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == twin.read_bytes()

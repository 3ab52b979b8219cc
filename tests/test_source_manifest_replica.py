"""The synthetic hospital: every image format is read, traps are rejected, no header text leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from infra.settings.sections import ImageSettings
from sources.manifest import read
from sources.pixels import PixelError, prepare
from sources.record import Study, View, study_from_row
from sources.replicas.files import TransferSyntax
from sources.replicas.manifest import HOSPITAL, NAME, TRAPS, write
from sources.replicas.truth import ReplicaSpec

SPEC = ReplicaSpec(studies=42, seed=2, side_px=96)
SETTINGS = ImageSettings(short_side_px=64, smallest_side_px=64)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital") / "data"
    write(folder, SPEC)
    return folder


def studies(folder: Path) -> dict[str, Study]:
    return {row["study_id"]: study_from_row(row) for row in read(folder).studies.to_pylist()}


def trapped(folder: Path) -> dict[str, str]:
    rows = map(json.loads, (folder / ".truth.jsonl").read_text().splitlines())
    return {row["trap"]: row["study_id"] for row in rows if row["trap"]}


def test_traps_are_rejected_with_their_reasons(root: Path) -> None:
    reading = read(root)
    rows = reading.rejected.to_pylist()
    reasons = {row["reason"] for row in rows}
    assert reasons - {"no-image-left"} == {
        "file-missing",
        "path-outside-root",
        "view-unknown",
        "value-unknown",
        "id-missing",
    }
    assert sorted(trapped(root)) == sorted(TRAPS)
    assert not list(root.parent.glob("S0*"))


def test_a_third_each_of_sections_reports_and_labels(root: Path) -> None:
    kinds = {"publisher": 0, "rules": 0, "labels": 0}
    for study in studies(root).values():
        kinds[str(study.texts[0].sectioned_by) if study.texts else "labels"] += 1
        assert bool(study.texts) != bool(study.labels)
    assert min(kinds.values()) >= 10


def test_reports_are_cut_into_the_sections_that_they_hold(root: Path) -> None:
    cut = [study.texts[0] for study in studies(root).values() if study.raw_report]
    assert all(text.indication and text.findings and text.impression for text in cut)


def test_views_of_dicom_files_come_from_the_header(root: Path) -> None:
    rows = map(json.loads, (root / ".truth.jsonl").read_text().splitlines())
    truth = {row["study_id"]: row["views"] for row in rows}
    seen = set()
    for study in studies(root).values():
        for image in study.images:
            if image.uri.endswith(".dcm"):
                number = int(image.uri.removesuffix(".dcm").rsplit("_")[-1])
                assert image.view == truth[study.study_id][number - 1]
                seen.add(image.view)
    assert seen == {View.PA, View.AP, View.LATERAL}


def test_every_format_is_read(root: Path) -> None:
    where = {study_id: trap for trap, study_id in trapped(root).items()}
    refused, suffixes = {}, set()
    for study in studies(root).values():
        for image in study.images:
            try:
                prepare((root / image.uri).read_bytes(), SETTINGS)
                suffixes.add(image.uri[-4:])
            except PixelError as error:
                refused[where[study.study_id]] = error.reason
    assert suffixes == {".dcm", ".png", ".jpg"}
    assert refused.keys() == {"truncated", "empty"}
    assert refused["empty"] == "empty-file"


def test_seven_transfer_syntaxes_are_written(root: Path) -> None:
    found = set()
    for path in sorted((root / "images").glob("*.dcm")):
        if path.stat().st_size:
            header = pydicom.dcmread(path, stop_before_pixels=True)
            found.add(str(header.file_meta.TransferSyntaxUID))
            assert (header.PatientName, header.InstitutionName) == (NAME, HOSPITAL)
    assert found == {syntax.value for syntax in TransferSyntax}


def test_names_in_headers_never_leave(root: Path) -> None:
    reading = read(root)
    everything = repr(reading.studies.to_pylist()) + repr(reading.rejected.to_pylist())
    assert "Invented" not in everything


def test_equal_seeds_give_equal_bytes(root: Path, tmp_path: Path) -> None:
    write(tmp_path, SPEC)
    for path in sorted(root.rglob("*")):
        if path.is_file():
            assert (tmp_path / path.relative_to(root)).read_bytes() == path.read_bytes(), path

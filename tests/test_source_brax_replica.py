"""The replica of BRAX: format, traps, truth, and the same bytes each time."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from infra.settings.sections import ImageSettings
from sources.brax import UNREADABLE, read
from sources.pixels import PixelError, prepare
from sources.record import Study, study_from_row
from sources.replicas.brax import COLUMNS, TRAPS, write
from sources.replicas.truth import ReplicaSpec

SPEC = ReplicaSpec(studies=40, seed=7, side_px=96)
SETTINGS = ImageSettings(short_side_px=64, smallest_side_px=64)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brax")
    write(folder, SPEC)
    return folder


def studies(folder: Path) -> dict[str, Study]:
    return {row["study_id"]: study_from_row(row) for row in read(folder).studies.to_pylist()}


def truth_of(folder: Path) -> dict[str, dict[str, Any]]:
    lines = (folder / ".truth.jsonl").read_text().splitlines()
    return {row["study_id"]: row for row in map(json.loads, lines)}


def trapped(folder: Path) -> dict[str, str]:
    return {row["trap"]: row["study_id"] for row in truth_of(folder).values() if row["trap"]}


def test_the_header_is_the_publishers(root: Path) -> None:
    with (root / "master_spreadsheet_update.csv").open() as stream:
        header = next(csv.reader(stream))
    assert tuple(header) == COLUMNS
    assert (len(header), header[0], header[2], header[8]) == (26, "", "PngPath", "No Finding")
    assert header[-4:] == ["ViewPosition", "Rows", "Columns", "Manufacturer"]


def test_the_reader_finds_every_study(root: Path) -> None:
    reading = read(root)
    assert (reading.studies_in, reading.rejected.num_rows) == (40, 0)
    assert set(studies(root)) == set(truth_of(root))


def test_labels_are_the_truth(root: Path) -> None:
    truth = truth_of(root)
    for name, study in studies(root).items():
        wanted = truth[name]["labels"].items()
        found = {label.observation: str(label.value) for label in study.labels}
        assert found == {key: value for key, value in wanted if value != "unmentioned"}


def test_every_trap_is_there_once(root: Path) -> None:
    assert sorted(trapped(root)) == sorted(TRAPS)


def test_odd_rows_are_read_as_documented(root: Path) -> None:
    found, where = studies(root), trapped(root)
    assert found[where["oldest"]].subject_age == 85.0
    assert found[where["sex-other"]].subject_sex == "O"
    assert found[where["right-lateral"]].images[0].view == "LATERAL"
    for trap in ("decubitus", "left-decubitus", "oblique", "blank-view"):
        assert found[where[trap]].images[0].view == "UNKNOWN"
    unreadable = found[where["unreadable"]].images[0]
    assert unreadable.image_id.endswith(UNREADABLE[0])
    assert unreadable.uri.endswith(".dcm")


def test_damaged_files_and_no_others_are_refused(root: Path) -> None:
    where = {study_id: trap for trap, study_id in trapped(root).items()}
    refused = {}
    for study in studies(root).values():
        for image in study.images:
            try:
                prepare((root / image.uri).read_bytes(), SETTINGS)
            except FileNotFoundError:
                refused[where[study.study_id]] = "missing"
            except PixelError as error:
                refused[where[study.study_id]] = error.reason
    assert refused == {"missing": "missing", "truncated": "truncated"}


def test_the_unreadable_png_is_unreadable(root: Path) -> None:
    where = trapped(root)
    png = root / studies(root)[where["unreadable"]].images[0].image_id
    with pytest.raises(PixelError):
        prepare(png.read_bytes(), SETTINGS)


def test_equal_seeds_give_equal_bytes(root: Path, tmp_path: Path) -> None:
    write(tmp_path, SPEC)
    for path in sorted(root.rglob("*")):
        if path.is_file():
            assert (tmp_path / path.relative_to(root)).read_bytes() == path.read_bytes(), path


@pytest.mark.parametrize("count", [1, 4])
def test_very_small_replicas(tmp_path: Path, count: int) -> None:
    write(tmp_path, ReplicaSpec(studies=count, seed=0, side_px=64))
    assert read(tmp_path).studies_in == count

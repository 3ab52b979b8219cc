"""The replicas of CheXpert and CheXpert Plus: format, traps, truth, equal bytes each time."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from infra.settings.sections import ImageSettings
from sources.chexpert import read
from sources.pixels import PixelError, prepare
from sources.record import Study, study_from_row
from sources.replicas.chexpert import COLUMNS, TRAPS, write
from sources.replicas.chexpert_plus import COLUMNS as PLUS_COLUMNS
from sources.replicas.chexpert_plus import write_plus
from sources.replicas.truth import ReplicaSpec

SPEC = ReplicaSpec(studies=36, seed=3, side_px=96)
SETTINGS = ImageSettings(short_side_px=64, smallest_side_px=64)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chexpert")
    write(folder, SPEC)
    return folder


@pytest.fixture(scope="module")
def plus_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chexpert_plus")
    write_plus(folder, SPEC)
    return folder


def studies(folder: Path) -> dict[str, Study]:
    return {row["study_id"]: study_from_row(row) for row in read(folder).studies.to_pylist()}


def truth_of(folder: Path) -> dict[str, dict[str, Any]]:
    lines = (folder / ".truth.jsonl").read_text().splitlines()
    return {row["study_id"]: row for row in map(json.loads, lines)}


def trapped(folder: Path) -> dict[str, str]:
    return {row["trap"]: row["study_id"] for row in truth_of(folder).values() if row["trap"]}


def test_the_reader_finds_every_study(root: Path) -> None:
    reading = read(root)
    assert (reading.studies_in, reading.rejected.num_rows) == (36, 0)
    assert set(studies(root)) == set(truth_of(root))


def test_labels_are_the_truth(root: Path) -> None:
    truth = truth_of(root)
    for name, study in studies(root).items():
        wanted = truth[name]["labels"]
        found = {label.observation: str(label.value) for label in study.labels}
        assert found == {key: value for key, value in wanted.items() if value != "unmentioned"}


def test_the_header_is_the_publishers(root: Path) -> None:
    with (root / "CheXpert-v1.0-small" / "train.csv").open() as stream:
        header = next(csv.reader(stream))
    assert tuple(header) == COLUMNS
    assert len(header) == 19


def test_both_path_prefixes_occur(root: Path) -> None:
    folder = root / "CheXpert-v1.0-small"
    first = [(folder / name).read_text().splitlines()[1] for name in ("train.csv", "valid.csv")]
    assert [line.split("/")[0] for line in first] == ["CheXpert-v1.0-small", "CheXpert-v1.0"]
    assert {str(study.split) for study in studies(root).values()} == {"train", "validate"}


def test_every_trap_is_there_once(root: Path) -> None:
    assert sorted(trapped(root)) == sorted(TRAPS)


def test_odd_rows_are_read_as_documented(root: Path) -> None:
    found, where = studies(root), trapped(root)
    assert found[where["sex-unknown"]].subject_sex is None
    assert found[where["age-zero"]].subject_age is None
    assert found[where["age-cap"]].subject_age == 90.0
    assert found[where["no-label"]].labels == ()
    for trap in ("frontal-ll", "frontal-rl"):
        assert found[where[trap]].images[0].view == "UNKNOWN"


def test_damaged_files_and_no_others_are_refused(root: Path) -> None:
    where = {study_id: trap for trap, study_id in trapped(root).items()}
    refused = {}
    for study in studies(root).values():
        for image in study.images:
            path = root / image.uri
            try:
                prepare(path.read_bytes(), SETTINGS)
            except FileNotFoundError:
                refused[where[study.study_id]] = "missing"
            except PixelError as error:
                refused[where[study.study_id]] = error.reason
    assert refused == {"missing": "missing", "truncated": "truncated", "empty": "empty-file"}


def test_equal_seeds_give_equal_bytes(root: Path, tmp_path: Path) -> None:
    write(tmp_path, SPEC)
    for path in sorted(root.rglob("*")):
        if path.is_file():
            assert (tmp_path / path.relative_to(root)).read_bytes() == path.read_bytes(), path


def test_other_seeds_give_other_chests(root: Path, tmp_path: Path) -> None:
    write(tmp_path, ReplicaSpec(studies=4, seed=4, side_px=64))
    assert truth_of(tmp_path) != truth_of(root)


@pytest.mark.parametrize("count", [1, 5])
def test_very_small_replicas(tmp_path: Path, count: int) -> None:
    write(tmp_path, ReplicaSpec(studies=count, seed=0, side_px=64))
    assert read(tmp_path).studies_in == count


def test_plus_has_a_report_for_every_study(plus_root: Path) -> None:
    found = studies(plus_root)
    assert len(found) == 36
    assert all(study.raw_report for study in found.values())
    assert all("\\n" not in (study.raw_report or "") for study in found.values())
    assert any((study.raw_report or "").isupper() for study in found.values())
    assert not all((study.raw_report or "").isupper() for study in found.values())


def test_plus_sections_are_often_missing(plus_root: Path) -> None:
    texts = [study.texts[0] for study in studies(plus_root).values()]
    with_findings = sum(text.findings is not None for text in texts)
    with_indication = sum(text.indication is not None for text in texts)
    assert 3 <= with_findings <= 20
    assert 15 <= with_indication < 36
    assert all(text.impression and "\\n" not in text.impression for text in texts)


def test_plus_ships_png_for_jpg_paths(plus_root: Path) -> None:
    image = next(iter(studies(plus_root).values())).images[0]
    assert (image.image_id[-4:], image.uri[-4:]) == (".jpg", ".png")
    pixels = cv2.imread(str(plus_root / image.uri), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    assert (str(pixels.dtype), pixels.ndim) == ("uint8", 2)


def test_plus_labels_come_from_json_lines(plus_root: Path) -> None:
    truth = truth_of(plus_root)
    for name, study in studies(plus_root).items():
        wanted = truth[name]["labels"]
        found = {label.observation: str(label.value) for label in study.labels}
        assert found == {key: value for key, value in wanted.items() if value != "unmentioned"}


def test_plus_header_is_the_publishers(plus_root: Path) -> None:
    with (plus_root / "df_chexpert_plus_240401.csv").open() as stream:
        assert tuple(next(csv.reader(stream))) == PLUS_COLUMNS
    assert len(PLUS_COLUMNS) == 27


def test_plus_and_plain_share_their_chests(root: Path, plus_root: Path) -> None:
    plain, plus = truth_of(root), truth_of(plus_root)
    assert {key: row["findings"] for key, row in plain.items()} == {
        key: row["findings"] for key, row in plus.items()
    }

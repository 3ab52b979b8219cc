"""object-CXR: annotations of three shapes, zips read in place, the replica's traps, and damage."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infra.egress import Egress
from infra.errors import SourceError
from infra.settings import ImageSettings
from sources.object_cxr import CARD, LABEL, read
from sources.pixels import PixelError, read_grey
from sources.raw_files import RawFolder
from sources.record import LabelValue, Reading, Split, Study, View, study_from_row
from sources.replicas.object_cxr import TRAPS, write
from sources.replicas.truth import ReplicaSpec


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("object")
    write(root, ReplicaSpec(studies=60, seed=2, side_px=128))
    return root


def lay_out(
    root: Path,
    train: str,
    dev: str = "image_name,annotation\nd.jpg,\n",
    members: tuple[str, ...] = ("a.jpg", "b.jpg"),
) -> Path:
    """The two tables as given, and zips with empty members."""
    (root / "train.csv").write_text(train)
    (root / "dev.csv").write_text(dev)
    for part, names in (("train", members), ("dev", ("d.jpg",))):
        with zipfile.ZipFile(root / f"{part}.zip", "w") as archive:
            for name in names:
                archive.writestr(f"{part}/{name}", b"")
    return root


def one(root: Path, annotation: str) -> Path:
    """A tree whose train table holds one image."""
    return lay_out(root, f'image_name,annotation\na.jpg,"{annotation}"\n')


def studies(root: Path) -> dict[str, Study]:
    return {row["study_id"]: study_from_row(row) for row in read(root).studies.to_pylist()}


def corners(study: Study) -> list[tuple[float, ...]]:
    return [(box.x_min, box.y_min, box.x_max, box.y_max) for box in study.boxes]


def rejected(reading: Reading) -> set[tuple[str, str, str, str]]:
    rows = reading.rejected.to_pylist()
    return {(row["level"], row["row_id"], row["reason"], row["detail"]) for row in rows}


def truth_of(root: Path) -> dict[str, dict[str, Any]]:
    lines = (root / ".truth.jsonl").read_text().splitlines()
    return {row["study_id"]: row for row in map(json.loads, lines)}


def message(root: Path) -> str:
    with pytest.raises(SourceError) as caught:
        read(root)
    return str(caught.value).replace(str(root), "ROOT")


def test_the_card() -> None:
    assert (CARD.llm_egress, CARD.official_split, CARD.has_reports) == (Egress.NEVER, True, False)
    assert not CARD.redistributable
    assert CARD.expected.images == 10_000


def test_an_image_without_objects(tmp_path: Path) -> None:
    study = studies(lay_out(tmp_path, "image_name,annotation\na.jpg,\n"))["train/a"]
    assert (study.labels, study.boxes, study.subject_id) == ((), (), None)
    (label,) = study.source_labels
    assert (label.name, label.value) == (LABEL, LabelValue.NEGATIVE)
    (image,) = study.images
    assert (image.image_id, image.uri) == ("train/a.jpg", "train.zip!train/a.jpg")
    assert image.view is View.PA


def test_the_documented_row(tmp_path: Path) -> None:
    shapes = "0 120 340 180 410;2 10 10 40 12 38 55;1 600 700 650 760"
    study = studies(one(tmp_path, shapes))["train/a"]
    assert corners(study) == [(10, 10, 40, 55), (120, 340, 180, 410), (600, 700, 650, 760)]
    assert {(box.image_id, box.name) for box in study.boxes} == {("train/a.jpg", LABEL)}
    assert study.source_labels[0].value is LabelValue.POSITIVE


def test_negative_vertices_are_clamped(tmp_path: Path) -> None:
    study = studies(one(tmp_path, "2 -7 5 30 -2 20 40"))["train/a"]
    assert corners(study) == [(0, 0, 30, 40)]


def test_a_polygon_of_many_vertices(tmp_path: Path) -> None:
    study = studies(one(tmp_path, "2 5 9 6 3 8 2 14 4 12 11 7 13"))["train/a"]
    assert corners(study) == [(5, 2, 14, 13)]


def test_an_object_annotated_twice_is_one_box(tmp_path: Path) -> None:
    study = studies(one(tmp_path, "0 1 2 3 4;0 1 2 3 4"))["train/a"]
    assert corners(study) == [(1, 2, 3, 4)]


@pytest.mark.parametrize("column", ["image_name", "image_path"])
@pytest.mark.parametrize("prefix", ["", "train/", "/data/train/"])
def test_either_header_and_any_folder(tmp_path: Path, column: str, prefix: str) -> None:
    root = lay_out(tmp_path, f"{column},annotation\n{prefix}a.jpg,\n")
    assert studies(root)["train/a"].images[0].uri == "train.zip!train/a.jpg"


def test_dev_is_validate(tmp_path: Path) -> None:
    found = studies(lay_out(tmp_path, "image_name,annotation\na.jpg,\n"))
    assert {name: study.split for name, study in found.items()} == {
        "train/a": Split.TRAIN, "dev/d": Split.VALIDATE,
    }  # fmt: skip


def test_both_parts_may_use_a_name(tmp_path: Path) -> None:
    table = "image_name,annotation\nd.jpg,\n"
    root = lay_out(tmp_path, table, table, members=("d.jpg",))
    assert set(studies(root)) == {"train/d", "dev/d"}


def test_an_unpacked_folder_does_as_well(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "image_name,annotation\na.jpg,\n")
    (root / "train.zip").unlink()
    (root / "train").mkdir()
    (root / "train" / "a.jpg").write_bytes(b"")
    assert studies(root)["train/a"].images[0].uri == "train/a.jpg"


def test_the_replica_counts_add_up(replica: Path) -> None:
    reading = read(replica)
    assert (reading.studies_in, reading.images_in, reading.studies.num_rows) == (60, 60, 59)
    reasons = Counter(reading.rejected.column("reason").to_pylist())
    assert reasons == {"file-missing": 1, "no-image-left": 1}


@pytest.mark.slow
def test_half_of_the_replica_has_objects(tmp_path: Path) -> None:
    write(tmp_path, ReplicaSpec(studies=200, seed=4, side_px=64))
    found = Counter(study.source_labels[0].value for study in studies(tmp_path).values())
    assert 0.42 < found[LabelValue.POSITIVE] / 200 < 0.6


def test_the_replicas_labels_and_boxes_are_the_truth(replica: Path) -> None:
    truth = truth_of(replica)
    compared = 0
    for name, study in studies(replica).items():
        own = [box for box in truth[name]["boxes"] if box["name"] == "foreign object"]
        has_object = study.source_labels[0].value is LabelValue.POSITIVE
        assert has_object == bool(own)
        for box, true in zip(study.boxes, own, strict=True):
            clamped = truth[name]["trap"] == "negative-vertex"
            assert box.x_min == (0 if clamped else true["x_min"])
            assert (box.y_min, box.x_max, box.y_max) == (
                true["y_min"],
                true["x_max"],
                true["y_max"],
            )
            compared += 1
    assert compared > 20


def test_the_replica_has_its_traps(replica: Path) -> None:
    truth = truth_of(replica)
    where = {row["trap"]: name for name, row in truth.items() if row["trap"]}
    assert set(where) == set(TRAPS)
    headers = {
        part: (replica / f"{part}.csv").read_text().split(",")[0] for part in ("train", "dev")
    }
    assert headers == {"train": "image_name", "dev": "image_path"}
    annotations = []
    for part in ("train", "dev"):
        with (replica / f"{part}.csv").open() as stream:
            annotations += [row[1] for row in list(csv.reader(stream))[1:]]
    shapes = {text[0] for cell in annotations if cell for text in cell.split(";")}
    assert shapes == {"0", "1", "2"}
    assert "" in annotations
    assert any(" -4 " in cell for cell in annotations)


def test_the_replicas_films_stream_out_of_the_zips(replica: Path) -> None:
    settings = ImageSettings(short_side_px=64, smallest_side_px=64)
    truncated = next(n for n, row in truth_of(replica).items() if row["trap"] == "truncated")
    with RawFolder(replica) as folder:
        for name, study in studies(replica).items():
            data = folder.read(study.images[0].uri)
            if name == truncated:
                with pytest.raises(PixelError):
                    read_grey(data, settings)
            else:
                assert min(read_grey(data, settings).grey.shape) == 64
    assert not (replica / "train").exists()


def test_the_replicas_films_are_grey_jpegs(replica: Path) -> None:
    with zipfile.ZipFile(replica / "dev.zip") as archive:
        names = archive.namelist()
        assert all(name.startswith("dev/") for name in names)
        with Image.open(io.BytesIO(archive.read(names[0]))) as image:
            assert (image.format, image.mode, min(image.size)) == ("JPEG", "L", 128)


def test_equal_specs_write_equal_bytes(tmp_path: Path) -> None:
    spec = ReplicaSpec(studies=12, seed=1, side_px=64)
    for name in ("one", "two"):
        write(tmp_path / name, spec)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


# Damage


@pytest.mark.parametrize("name", ["train.csv", "dev.csv"])
def test_a_missing_table(tmp_path: Path, name: str) -> None:
    (one(tmp_path, "") / name).unlink()
    assert message(tmp_path) == (
        f"found nothing that matches {name} under ROOT; expected the files of object-CXR (JF "
        "Healthcare, MIDL 2020); check that the path is its root; see 'cxr sources object_cxr'"
    )


def test_a_missing_zip(tmp_path: Path) -> None:
    (one(tmp_path, "") / "dev.zip").unlink()
    assert message(tmp_path).startswith("found nothing that matches dev.zip or dev under ROOT; ")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 half a zip", b"<html>not found</html>"])
def test_a_broken_zip(tmp_path: Path, data: bytes) -> None:
    (one(tmp_path, "") / "train.zip").write_bytes(data)
    assert message(tmp_path) == (
        "found a broken zip at ROOT/train.zip (BadZipFile); expected a whole zip file; download "
        "the file again and compare its size with the publisher's"
    )


def test_a_zip_cut_off(tmp_path: Path) -> None:
    path = one(tmp_path, "") / "train.zip"
    path.write_bytes(path.read_bytes()[:-30])
    assert message(tmp_path).startswith("found a broken zip at ROOT/train.zip (BadZipFile); ")


def test_no_column_of_names(tmp_path: Path) -> None:
    assert message(lay_out(tmp_path, "name,annotation\na.jpg,\n")) == (
        "found no column 'image_name' or 'image_path' with a name in ROOT/train.csv; expected one "
        "of them, with the images' file names; check that this is the publisher's file and release"
    )


def test_no_column_of_annotations(tmp_path: Path) -> None:
    assert message(lay_out(tmp_path, "image_name,objects\na.jpg,\n")) == (
        "found no column 'annotation' in ROOT/train.csv; expected the columns annotation; check "
        "that this is the publisher's file and release"
    )


def test_an_empty_table(tmp_path: Path) -> None:
    assert message(lay_out(tmp_path, "")) == (
        "found an empty file at ROOT/train.csv; expected a header and rows; download the file "
        "again and compare its checksum with the publisher's"
    )


def test_another_delimiter(tmp_path: Path) -> None:
    assert message(lay_out(tmp_path, "image_name\tannotation\na.jpg\t\n")) == (
        "found a header separated by tabs in ROOT/train.csv; expected one separated by commas; "
        "download the file again, or save it with the publisher's delimiter"
    )


def test_a_table_that_is_not_utf8(tmp_path: Path) -> None:
    root = one(tmp_path, "")
    (root / "dev.csv").write_bytes(b"image_name,annotation\n\xe9.jpg,\n")
    assert message(root) == (
        "found bytes that are not UTF-8 at offset 22 of ROOT/dev.csv; expected UTF-8 text; "
        "download the file again, or convert it to UTF-8"
    )


def test_a_listed_image_that_is_not_in_the_zip(tmp_path: Path) -> None:
    reading = read(lay_out(tmp_path, "image_name,annotation\na.jpg,\nz.jpg,0 1 2 3 4\n"))
    assert rejected(reading) == {
        ("image", "train/z.jpg", "file-missing", "no such member of train.zip nor file in train"),
        ("study", "train/z", "no-image-left", "every image was rejected and there is no report"),
    }
    assert (reading.studies_in, reading.images_in) == (3, 3)


@pytest.mark.parametrize(
    ("annotation", "detail"),
    [
        ("3 1 2 3 4", "an object of unknown type; expected 0, 1 or 2"),
        ("x", "an object of unknown type; expected 0, 1 or 2"),
        ("0 1 2 3", "3 numbers in a rectangle or ellipse; expected 4"),
        ("1 1 2 3 4 5 6", "6 numbers in a rectangle or ellipse; expected 4"),
        ("2 1 2 3 4", "4 numbers in a polygon; expected pairs, at least 3"),
        ("2 1 2 3 4 5 6 7", "7 numbers in a polygon; expected pairs, at least 3"),
        ("0 1 2 three 4", "an object with a coordinate that is no integer"),
        ("0 5 2 5 4", "an object without a size"),
        ("0 1 2 3 4;;1 5 5 9 9", "an object of unknown type; expected 0, 1 or 2"),
    ],
)
def test_an_annotation_that_is_none(tmp_path: Path, annotation: str, detail: str) -> None:
    reading = read(one(tmp_path, annotation))
    assert ("image", "train/a.jpg", "annotation-unreadable", detail) in rejected(reading)
    assert reading.studies.num_rows == 1


def test_a_row_without_a_name(tmp_path: Path) -> None:
    reading = read(lay_out(tmp_path, "image_name,annotation\na.jpg,\n,0 1 2 3 4\n"))
    detail = "a row of train.csv without a name"
    assert rejected(reading) == {("image", "row 2", "id-missing", detail)}


def test_an_image_listed_twice(tmp_path: Path) -> None:
    reading = read(lay_out(tmp_path, "image_name,annotation\na.jpg,\na.jpg,0 1 2 3 4\n"))
    detail = "listed again in row 2; the first row is kept"
    assert rejected(reading) == {("image", "train/a.jpg", "duplicate-id", detail)}

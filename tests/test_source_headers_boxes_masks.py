"""What several sources share: DICOM headers without pixels, boxes on studies, run-length masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sources.boxes import BOX_COLUMNS, attach_boxes
from sources.dicom_header import HEADER_SCHEMA, age_in_years, read_headers
from sources.record import (
    REJECTED_SCHEMA,
    Image,
    Reading,
    Study,
    View,
    studies_to_table,
    study_from_row,
)
from sources.replicas.files import DicomStyle, encode_dicom
from sources.run_length import (
    Extent,
    RunLengthError,
    decode_mask,
    encode_mask,
    extent_of,
    runs_of,
)

FILM = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)


def header(tmp_path: Path, **tags: object) -> dict[str, object]:
    (tmp_path / "film").write_bytes(encode_dicom(FILM, DicomStyle(tags=tags)))
    (row,) = read_headers(tmp_path, ["film"]).to_pylist()
    return dict(row)


def reading(*studies: Study) -> Reading:
    images = sum(len(study.images) for study in studies)
    rejected = REJECTED_SCHEMA.empty_table()
    return Reading(studies_to_table(list(studies)), rejected, len(studies), images)


def study(name: str, *images: str) -> Study:
    return Study(
        "s", name, None, None, tuple(Image(image, View.PA, f"{image}.png") for image in images)
    )


def boxes(*rows: tuple[str, str, str, float]) -> pa.Table:
    full = [
        dict(zip(BOX_COLUMNS, (name, image, what, x, 1.0, x + 2, 4.0, None), strict=True))
        for name, image, what, x in rows
    ]
    kinds = ["string"] * 3 + ["double"] * 4 + ["string"]
    schema = pa.schema(
        [(name, pa.type_for_alias(kind)) for name, kind in zip(BOX_COLUMNS, kinds, strict=True)]
    )
    return pa.Table.from_pylist(full, schema=schema)


def test_a_header_gives_size_view_person_and_machine(tmp_path: Path) -> None:
    row = header(
        tmp_path, ViewPosition="PA ", PatientAge="045Y", PatientSex="F", Manufacturer="Maker"
    )
    assert row == {
        "uri": "film", "width": 4, "height": 3, "view": "PA", "subject_age": 45.0,
        "subject_sex": "F", "manufacturer": "Maker", "reason": None, "detail": None,
    }  # fmt: skip


def test_a_bare_header_leaves_the_rest_open(tmp_path: Path) -> None:
    row = header(tmp_path)
    assert (row["view"], row["subject_age"], row["subject_sex"]) == ("UNKNOWN", None, None)


@pytest.mark.parametrize(("view", "read"), [("LL", "LATERAL"), ("RAO", "UNKNOWN"), ("AP", "AP")])
def test_views_pass_through_a_fixed_table(tmp_path: Path, view: str, read: str) -> None:
    assert header(tmp_path, ViewPosition=view)["view"] == read


def test_a_sex_that_is_none_does_not_get_out(tmp_path: Path) -> None:
    assert header(tmp_path, PatientSex="X")["subject_sex"] is None


def test_a_name_does_not_get_out(tmp_path: Path) -> None:
    row = header(tmp_path, PatientName="Doe^Jane", PatientID="77")
    assert "Doe" not in str(row)
    assert set(row) == set(HEADER_SCHEMA.names)


@pytest.mark.parametrize(
    ("text", "years"),
    [("045Y", 45.0), ("006M", 0.5), ("052W", 52 * 7 / 365.25), ("12", 12.0), ("000Y", None),
     ("", None), ("old", None), ("045Z", None)],
)  # fmt: skip
def test_ages(text: str, years: float | None) -> None:
    assert age_in_years(text) == (None if years is None else pytest.approx(years))


def test_absent_and_damaged_files_have_reasons(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no film")
    whole = encode_dicom(FILM, DicomStyle())
    (tmp_path / "cut").write_bytes(whole[:140])
    rows = read_headers(tmp_path, ["gone", "text", "cut"]).to_pylist()
    assert [row["reason"] for row in rows] == [
        "file-missing", "dicom-unreadable", "dicom-unreadable",
    ]  # fmt: skip
    assert rows[0]["detail"] == "no file at gone"
    assert rows[1]["detail"] == "header of text: InvalidDicomError"


def test_headers_keep_the_asked_order(tmp_path: Path) -> None:
    uris = [f"f{number}" for number in (3, 1, 2)]
    assert read_headers(tmp_path, uris)["uri"].to_pylist() == uris


def test_boxes_land_on_their_image(tmp_path: Path) -> None:
    found = attach_boxes(
        reading(study("a", "a1", "a2"), study("b", "b1")),
        boxes(("a", "a2", "Y", 5.0), ("a", "a1", "X", 1.0), ("a", "a1", "X", 0.0)),
    )
    rows = [study_from_row(row) for row in found.studies.to_pylist()]
    assert [(box.image_id, box.name, box.x_min) for box in rows[0].boxes] == [
        ("a1", "X", 0.0), ("a1", "X", 1.0), ("a2", "Y", 5.0),
    ]  # fmt: skip
    assert rows[1].boxes == ()


def test_boxes_of_rejected_images_go_with_them() -> None:
    found = attach_boxes(
        reading(study("a", "a1")), boxes(("a", "gone", "X", 1.0), ("gone", "a1", "X", 1.0))
    )
    assert found.studies["boxes"].to_pylist() == [[]]


def test_no_boxes_at_all() -> None:
    before = reading(study("a", "a1"), study("b", "b1"))
    assert attach_boxes(before, boxes()).studies.equals(before.studies)


def test_runs_are_counted_from_the_end_of_the_last() -> None:
    assert runs_of("3 2 1 4", 10, 10).tolist() == [[3, 5], [6, 10]]


def test_a_run_over_two_columns_spans_the_height() -> None:
    assert extent_of("8 4", 10, 10) == Extent(0, 0, 2, 10)
    assert extent_of("8 2", 10, 10) == Extent(0, 8, 1, 10)


def test_the_extent_is_the_masks_own() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        height, width = (int(side) for side in rng.integers(2, 30, 2))
        mask = rng.random((height, width)) < 0.05
        mask[rng.integers(height), rng.integers(width)] = True
        rows, columns = np.nonzero(mask)
        text = encode_mask(mask)
        assert extent_of(text, height, width) == Extent(
            int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
        )
        assert np.array_equal(decode_mask(text, height, width), mask)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "0 numbers; expected pairs"),
        ("-1", "1 numbers; expected pairs"),
        ("1 2 3", "3 numbers; expected pairs"),
        ("1 a", "a word that is not a number"),
        ("1 0", "a negative gap or an empty run"),
        ("99 2", "pixel 101 of an image of 100"),
    ],
)
def test_texts_that_are_no_masks(text: str, fault: str) -> None:
    with pytest.raises(RunLengthError) as caught:
        runs_of(text, 10, 10)
    assert str(caught.value) == fault


def test_the_last_pixel_may_be_set() -> None:
    mask = np.zeros((3, 4), bool)
    mask[2, 3] = True
    assert encode_mask(mask) == "11 1"
    assert np.array_equal(decode_mask("11 1", 3, 4), mask)

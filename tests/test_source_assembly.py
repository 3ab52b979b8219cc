"""Image rows become studies; conflicts and repeats become rejected rows, and counts add up."""

from __future__ import annotations

from datetime import date

import duckdb
import pyarrow as pa
import pytest

from sources.assembly import COLUMNS, assemble
from sources.record import Reading, study_from_row


def read_rows(*rows: dict[str, object]) -> Reading:
    names = sorted({name for row in rows for name in row})
    columns = {name: [row.get(name) for row in rows] for name in names}
    table = pa.table(columns | {"row": list(range(len(rows)))})
    with duckdb.connect() as connection:
        connection.register("listed", table)
        return assemble(connection, "hospital")


def image(image_id: str | None, study_id: str | None = "s1", **more: object) -> dict[str, object]:
    row = {"image_id": image_id, "study_id": study_id, "view": "PA", "uri": f"{image_id}.png"}
    return {**row, **more}


def rejections(reading: Reading) -> list[tuple[str, str, str, str]]:
    rows = reading.rejected.to_pylist()
    return [(row["level"], row["row_id"], row["reason"], row["detail"]) for row in rows]


def test_images_of_one_study_stay_in_the_tables_order() -> None:
    reading = read_rows(image("b"), image("a"), image("c", "s0"))
    assert reading.studies["study_id"].to_pylist() == ["s0", "s1"]
    study = study_from_row(reading.studies.to_pylist()[1])
    assert [item.image_id for item in study.images] == ["b", "a"]
    assert (reading.studies_in, reading.images_in, reading.rejected.num_rows) == (2, 3, 0)


def test_a_study_takes_its_first_value_that_is_given() -> None:
    reading = read_rows(
        image("a", subject_age=None, site="north"),
        image("b", subject_age=40.0, site="south", acquired_on=date(2020, 1, 2)),
    )
    study = study_from_row(reading.studies.to_pylist()[0])
    assert (study.subject_age, study.site, study.acquired_on) == (40.0, "north", date(2020, 1, 2))
    assert (study.labels, study.boxes, study.texts, study.manufacturer) == ((), (), (), None)


def test_nested_values_pass_through() -> None:
    text = {"origin": "radiologist", "sectioned_by": "publisher", "language": "en"}
    label = {"observation": "Edema", "value": "negative"}
    text |= dict.fromkeys(("indication", "technique", "comparison", "findings", "impression"), "x")
    reading = read_rows(image("a", texts=[text], labels=[label]))
    study = study_from_row(reading.studies.to_pylist()[0])
    assert study.texts[0].impression == "x"
    assert (study.labels[0].observation, study.labels[0].value) == ("Edema", "negative")


def test_an_image_listed_twice_counts_twice_and_stays_once() -> None:
    reading = read_rows(image("a"), image("a"), image("b"))
    assert rejections(reading) == [
        ("image", "a", "duplicate-id", "listed again in row 2; the first row is kept")
    ]
    assert reading.images_in == 3


def test_two_subjects_in_one_study_reject_it_with_all_its_images() -> None:
    reading = read_rows(image("a", subject_id="p1"), image("b", subject_id="p2"))
    detail = "2 subjects over its images; expected one"
    assert rejections(reading) == [
        ("study", "s1", "subject-conflict", detail),
        ("image", "a", "subject-conflict", detail),
        ("image", "b", "subject-conflict", detail),
    ]
    assert (reading.studies_in, reading.images_in, reading.studies.num_rows) == (1, 2, 0)


def test_two_splits_in_one_study_reject_it() -> None:
    reading = read_rows(image("a", split="train"), image("b", split="test"))
    assert (
        "study",
        "s1",
        "split-conflict",
        "2 splits over its images; expected one",
    ) in rejections(reading)


def test_a_study_without_image_or_report_is_rejected_once() -> None:
    reading = read_rows(image("a", reason="file-missing", detail="not there"))
    assert rejections(reading) == [
        ("study", "s1", "no-image-left", "every image was rejected and there is no report"),
        ("image", "a", "file-missing", "not there"),
    ]


def test_a_study_with_a_report_outlives_its_images() -> None:
    reading = read_rows(image("a", reason="file-missing", detail="not there", raw_report="Clear."))
    study = study_from_row(reading.studies.to_pylist()[0])
    assert (study.images, study.raw_report) == ((), "Clear.")


def test_the_reason_of_a_study_reaches_images_that_have_none_of_their_own() -> None:
    reading = read_rows(
        image("a", reason="file-missing", detail="not there"),
        image("b", study_reason="label-bad", study_detail="seven"),
    )
    assert rejections(reading) == [
        ("study", "s1", "label-bad", "seven"),
        ("image", "a", "file-missing", "not there"),
        ("image", "b", "label-bad", "seven"),
    ]


def test_a_row_that_cannot_be_understood_belongs_to_no_study() -> None:
    reading = read_rows(image("a"), image(None, None, reason="path-unknown", detail="row 2"))
    assert rejections(reading) == [("image", "row 2", "path-unknown", "row 2")]
    assert reading.rejected["study_id"].to_pylist() == [None]
    assert (reading.studies_in, reading.images_in) == (1, 2)


def test_reports_that_differ_keep_the_first_and_say_so() -> None:
    reading = read_rows(image("a", raw_report="one"), image("b", raw_report="two"))
    assert reading.studies["raw_report"].to_pylist() == ["one"]
    assert rejections(reading) == [
        ("text", "s1", "report-differs", "2 different reports over its images; the first is kept")
    ]


def test_a_rejected_text_leaves_the_study() -> None:
    reading = read_rows(image("a", text_reason="report-degenerate", text_detail="0 words"))
    assert rejections(reading) == [("text", "s1", "report-degenerate", "0 words")]
    assert reading.studies.num_rows == 1


def test_an_unknown_column_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match=r"unknown columns .'colour'."):
        read_rows(image("a", colour="grey"))
    assert "colour" not in COLUMNS


def test_a_sound_row_stays_though_a_rejected_one_lists_its_image_too() -> None:
    unknown = {"reason": "view-unknown", "detail": "row 1"}
    reading = read_rows(image("a", **unknown), image("a"), image("a"))
    (study,) = [study_from_row(row) for row in reading.studies.to_pylist()]
    assert [item.image_id for item in study.images] == ["a"]
    assert sorted((row[2], row[3]) for row in rejections(reading)) == [
        ("duplicate-id", "listed again in row 3; the first row is kept"),
        ("view-unknown", "row 1"),
    ]
    assert reading.images_in == 3


def test_a_date_that_no_calendar_here_holds_counts_as_not_given() -> None:
    rows = duckdb.sql("SELECT make_date(0, 1, 1)").to_arrow_table()
    reading = read_rows(image("a", acquired_on=rows[0][0]))
    assert study_from_row(reading.studies.to_pylist()[0]).acquired_on is None


def test_a_large_source_is_grouped_in_shares_to_the_same_tables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [
        image(
            f"i{number}",
            f"s{number % 17}",
            site=None if number % 3 else f"site {number}",
            subject_id=f"p{number % 17 if number % 29 else 'other'}",
            raw_report=f"report of {number % 34}",
            reason="view-unknown" if number % 11 == 0 else None,
            detail="a view" if number % 11 == 0 else None,
        )
        for number in range(120)
    ]
    at_once = read_rows(*rows)
    monkeypatch.setattr("sources.assembly._ROWS_AT_ONCE", 7)
    in_shares = read_rows(*rows)
    assert in_shares.studies.equals(at_once.studies)
    assert in_shares.rejected.equals(at_once.rejected)
    assert {"subject-conflict", "report-differs", "view-unknown"} == set(
        at_once.rejected["reason"].to_pylist()
    )
    assert (in_shares.studies_in, in_shares.images_in) == (17, 120)
    assert in_shares.lost_owners == at_once.lost_owners


def test_what_is_said_of_a_study_is_of_the_row_that_gives_its_reason() -> None:
    reading = read_rows(
        image("a", study_detail="of no reason", text_detail="of none either"),
        image("b", study_reason="label-unknown", study_detail="label 7"),
        image("c", "s2", text_detail="of no reason"),
        image("d", "s2", text_reason="report-empty", text_detail="0 characters"),
    )
    assert ("study", "s1", "label-unknown", "label 7") in rejections(reading)
    assert ("text", "s2", "report-empty", "0 characters") in rejections(reading)

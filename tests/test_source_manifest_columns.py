"""The words of a manifest's cells, one by one, and what is wrong with a row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest

from infra.errors import SourceError
from sources.manifest_columns import (
    AGE_SQL,
    DATE_SQL,
    LABEL_WORDS,
    OPTIONAL,
    REQUIRED,
    SEX_WORDS,
    SPLIT_WORDS,
    VIEW_WORDS,
    faulty_rows,
    read_manifest,
    word_sql,
)


def meaning(words: Mapping[str, str | None], cell: str | None) -> object:
    with duckdb.connect() as connection:
        sql = f"SELECT {word_sql('cell', words)} FROM (SELECT $cell::VARCHAR AS cell)"
        row = connection.execute(sql, {"cell": cell}).fetchone()
    assert row is not None
    return row[0]


def value(expression: str, column: str, cell: str) -> object:
    with duckdb.connect() as connection:
        sql = f"SELECT {expression} FROM (SELECT $cell::VARCHAR AS {column})"
        row = connection.execute(sql, {"cell": cell}).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("words", "cell", "meant"),
    [
        (VIEW_WORDS, " PA ", "PA"),
        (VIEW_WORDS, "LL", "LATERAL"),
        (VIEW_WORDS, "oblique", None),
        (SPLIT_WORDS, "Validation", "validate"),
        (SPLIT_WORDS, "holdout", None),
        (SEX_WORDS, "FEMALE", "F"),
        (SEX_WORDS, "unknown", None),
        (LABEL_WORDS, "1.0", "1"),
        (LABEL_WORDS, "Uncertain", "-1"),
        (LABEL_WORDS, "unmentioned", None),
        (LABEL_WORDS, "", None),
        (LABEL_WORDS, None, None),
    ],
)
def test_words(words: Mapping[str, str | None], cell: str | None, meant: str | None) -> None:
    assert meaning(words, cell) == meant


@pytest.mark.parametrize(
    ("cell", "age"),
    [("67", 67.0), ("067Y", 67.0), (" 0.5 ", 0.5), ("6 months", None), ("-3", None), ("1e3", None)],
)
def test_ages(cell: str, age: float | None) -> None:
    assert value(AGE_SQL, "age", cell) == age


@pytest.mark.parametrize(
    ("cell", "day"),
    [("2024-02-29", "2024-02-29"), ("20240229", "2024-02-29"), ("2023-02-29", "None")],
)
def test_dates(cell: str, day: str) -> None:
    assert str(value(DATE_SQL, "date", cell)) == day


def write(root: Path, text: str) -> Path:
    path = root / "manifest.csv"
    path.write_text(text)
    return path


def test_absent_columns_are_null(tmp_path: Path) -> None:
    table = read_manifest(write(tmp_path, "image_path,study_id\n1.png,S1\n"))
    assert table.column_names == [*REQUIRED, *OPTIONAL, "row"]
    assert all(table[name].null_count == 1 for name in OPTIONAL)


def test_a_name_close_to_a_column_that_is_there_is_no_slip(tmp_path: Path) -> None:
    text = "image_path,study_id,findings,finding\n1.png,S1,Clear.,x\n"
    assert "finding" not in read_manifest(write(tmp_path, text)).column_names


def test_a_name_close_to_an_absent_column_is_a_slip(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^found column 'Impressions' in .*'impression', or"):
        read_manifest(write(tmp_path, "image_path,study_id,Impressions\n1.png,S1,x\n"))


def test_the_first_fault_of_each_row(tmp_path: Path) -> None:
    text = (
        "image_path,study_id,age,sex,Edema\n"
        "1.png,S1,x,y,z\n"
        "2.png,S2,5,F,1\n"
        "3.png,S3,,y,\n"
        "4.png,S4,,,2\n"
    )
    faults = faulty_rows(read_manifest(write(tmp_path, text))).to_pylist()
    assert sorted((fault["row"], fault["fault"]) for fault in faults) == [
        (0, "row 1, column 'sex': expected F, M, O or unknown"),
        (2, "row 3, column 'sex': expected F, M, O or unknown"),
        (3, "row 4, column 'Edema': expected 1, 0, -1 or blank"),
    ]

"""Publishers' tables: every kind of damage has its exact line; good tables keep their cells."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from infra.errors import SourceError
from sources.record import REJECTED_SCHEMA, STUDY_SCHEMA, Level
from sources.tables import (
    join_rejections,
    query,
    read_csv,
    rejections,
    sql_name,
    sql_text,
    to_study_table,
)

AGAIN = "download the file again and compare its checksum with the publisher's"


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def message_of(path: Path, columns: tuple[str, ...] = ("a", "b")) -> str:
    with pytest.raises(SourceError) as caught:
        read_csv(path, columns)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        (
            "semicolons.csv",
            b"a;b\n1;2\n",
            "found a header separated by semicolons in {path}; expected one separated by commas; "
            "download the file again, or save it with the publisher's delimiter",
        ),
        (
            "commas.tsv",
            b"a,b\n1,2\n",
            "found a header separated by commas in {path}; expected one separated by tabs; "
            "download the file again, or save it with the publisher's delimiter",
        ),
        (
            "missing.csv",
            b"a,c\n1,2\n",
            "found no column 'b' in {path}; expected the columns a, b; "
            "check that this is the publisher's file and release",
        ),
        (
            "short.csv",
            b"a,b\n1,2\n3\n",
            f"found 1 cells on line 3 of {{path}}; expected 2 as in the header; {AGAIN}",
        ),
        (
            "long.csv",
            b"a,b\n1,2,secret words\n",
            f"found 3 cells on line 2 of {{path}}; expected 2 as in the header; {AGAIN}",
        ),
        (
            "quote.csv",
            b'a,b\n1,"secret words\n3,4\n',
            f"found a quote that never ends on line 2 of {{path}}; expected paired quotes; {AGAIN}",
        ),
        (
            "latin.csv",
            "a,b\n1,Müller\n".encode("latin-1"),
            "found bytes that are not UTF-8 at offset 7 of {path}; expected UTF-8 text; "
            "download the file again, or convert it to UTF-8",
        ),
        (
            "cut-in-a-letter.csv",
            "a,b\n1,ü".encode()[:-1],
            "found bytes that are not UTF-8 at offset 6 of {path}; expected UTF-8 text; "
            "download the file again, or convert it to UTF-8",
        ),
        ("empty.csv", b"", f"found an empty file at {{path}}; expected a header and rows; {AGAIN}"),
        (
            "header.csv",
            b"a,b\n",
            f"found no rows below the header of {{path}}; expected at least one row; {AGAIN}",
        ),
        (
            "cut.csv.gz",
            gzip.compress(b"a,b\n" + b"1,2\n" * 1000)[:-12],
            f"found broken gzip data in {{path}} (EOFError); expected a whole gzip file; {AGAIN}",
        ),
        (
            "plain.csv.gz",
            b"a,b\n1,2\n",
            "found data that is not gzip in {path}; expected a gzip file, as its name says; "
            "download the file again without unpacking it, or pack it with gzip",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value[:20] else "",
)
def test_damage_has_its_exact_line(tmp_path: Path, name: str, data: bytes, expected: str) -> None:
    path = write(tmp_path, name, data)
    assert message_of(path) == expected.format(path=path)


def test_a_flipped_byte_in_gzip_data_is_found(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(b"a,b\n" + bytes(range(48, 58)) * 500 + b",1\n"))
    data[len(data) // 2] ^= 0x55
    path = write(tmp_path, "flipped.csv.gz", bytes(data))
    assert message_of(path).startswith(f"found broken gzip data in {path} (")


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "absent.csv"
    assert message_of(path) == f"found no file at {path}; expected the publisher's table; {AGAIN}"


def test_offset_counts_unpacked_bytes_over_blocks(tmp_path: Path) -> None:
    before = b"a,b\n" + b"1,2\n" * (1 << 20)
    path = write(tmp_path, "late.csv.gz", gzip.compress(before + b"1,\xff\n", 1))
    assert f"at offset {len(before) + 2} of" in message_of(path)


def test_cells_keep_breaks_quotes_and_spaces(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbfa,b,"c d"\r\n1,"x\r\ny ""q""", z\r\n2,,"ok"\r\n'
    path = write(tmp_path, "good.csv", data)
    assert read_csv(path, ("a", "b"), keep_rest=True).to_pylist() == [
        {"a": "1", "b": 'x\r\ny "q"', "c d": " z"},
        {"a": "2", "b": None, "c d": "ok"},
    ]


def test_types_are_applied_and_misfits_become_null(tmp_path: Path) -> None:
    path = write(tmp_path, "typed.csv", b"a,b\n007,1.5\nx,\n")
    table = read_csv(path, {"a": "INTEGER", "b": "DOUBLE"}, optional=("c",))
    assert table.to_pylist() == [{"a": 7, "b": 1.5, "c": None}, {"a": None, "b": None, "c": None}]
    assert table.schema.field("c").type == pa.string()


@pytest.mark.parametrize("kind", ["INTEGER", "DOUBLE", "DATE"])
def test_a_single_misfit_becomes_null(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, "one.csv", b"a,b\nf,x\n")
    table = read_csv(path, {"a": "VARCHAR", "b": kind})
    assert table.to_pylist() == [{"a": "f", "b": None}]


def test_text_columns_keep_leading_zeros(tmp_path: Path) -> None:
    path = write(tmp_path, "zeros.csv", b"a,b\n007,0101.5\n")
    assert read_csv(path, ("a", "b")).to_pylist() == [{"a": "007", "b": "0101.5"}]


def test_blank_and_repeated_headers_get_names(tmp_path: Path) -> None:
    path = write(tmp_path, "blank.csv", b",a,b,a,\n1,2,3,4,5\n")
    assert read_csv(path, ("a", "b"), keep_rest=True).column_names == [
        "a",
        "b",
        "column0",
        "a_1",
        "column4",
    ]


def test_names_replace_a_header_that_does_not_fit(tmp_path: Path) -> None:
    path = write(tmp_path, "boxes.csv", b"Image,Box [x,y],,,\n1,2,3\n")
    table = read_csv(path, ("x",), names=("image", "x", "y"))
    assert table.to_pylist() == [{"x": "2"}]


def test_patterns_in_a_path_are_taken_literally(tmp_path: Path) -> None:
    folder = tmp_path / "a[b]c*d?"
    folder.mkdir()
    path = write(folder, "it's.csv", b"a,b\n1,2\n")
    assert read_csv(path, ("a", "b")).num_rows == 1


def test_allow_empty(tmp_path: Path) -> None:
    path = write(tmp_path, "header.csv", b"a,b\n")
    assert read_csv(path, ("a",), allow_empty=True).num_rows == 0


def test_names_and_texts_are_quoted() -> None:
    table = pa.table({'it"s': ["x"]})
    column, text = sql_name('it"s'), sql_text("o'b")
    found = query(f"SELECT {column} AS a, {text} AS b FROM t", t=table)
    assert found.to_pylist() == [{"a": "x", "b": "o'b"}]


def test_query_raises_for_a_wrong_statement() -> None:
    with pytest.raises(duckdb.CatalogException):
        query("SELECT * FROM absent")


def test_study_table_is_made_whole() -> None:
    part = query("SELECT 's1' AS study_id, [] AS boxes, 3 AS subject_age")
    whole = to_study_table(part, "here")
    assert whole.schema.equals(STUDY_SCHEMA)
    row = whole.to_pylist()[0]
    assert (row["source"], row["study_id"], row["subject_age"]) == ("here", "s1", 3.0)
    assert row["images"] == row["texts"] == row["labels"] == []
    assert row["split"] is None


def test_study_table_refuses_unknown_columns() -> None:
    with pytest.raises(AssertionError, match="not in STUDY_SCHEMA: \\['patient'\\]"):
        to_study_table(pa.table({"study_id": ["1"], "patient": ["2"]}), "here")


def test_rejections_of_studies_and_images() -> None:
    ids = pa.chunked_array([["a", "b"]])
    studies = rejections("s", Level.STUDY, ids, None, "why", "line")
    images = rejections("s", Level.IMAGE, ids, pa.array(["x", None]), "why", pa.array(["1", "2"]))
    joined = join_rejections(studies, images)
    assert joined.schema.equals(REJECTED_SCHEMA)
    assert joined.column("study_id").to_pylist() == ["a", "b", "x", None]
    assert joined.column("detail").to_pylist() == ["line", "line", "1", "2"]
    assert join_rejections().num_rows == 0

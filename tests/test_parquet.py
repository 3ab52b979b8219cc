"""Parquet files: deterministic, digested while written, read by views, damage named."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import ArtifactError
from infra.parquet import (
    ShardReader,
    ShardWriter,
    iter_buffers,
    picture_array,
    read_rows,
    write_table,
)

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("pixels", pa.large_binary()),
        pa.field(
            "turns", pa.list_(pa.struct([("text", pa.string()), ("picture", pa.large_binary())]))
        ),
    ]
)


def rows(count: int, start: int = 0) -> pa.Table:
    """Distinct rows; pictures of distinct lengths, the first one empty."""
    return pa.Table.from_pylist(
        [
            {
                "image_id": f"image {number}",
                "pixels": bytes([number % 251]) * (37 * number),
                "turns": [{"text": "no effusion " * 9, "picture": b"\1\2" * number}],
            }
            for number in range(start, start + count)
        ],
        schema=SCHEMA,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    written = write_table(path, rows(10), row_group_rows=4)
    assert (written.path, written.rows, written.bytes) == (path, 10, path.stat().st_size)
    assert written.digest == xxhash.xxh3_128_hexdigest(path.read_bytes())
    assert read_rows(path).equals(rows(10))
    assert read_rows(path, ["image_id"]).equals(rows(10).select(["image_id"]))
    assert pq.read_table(path).equals(rows(10))


@settings(max_examples=25, deadline=None, database=None)
@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 7))
def test_bytes_do_not_depend_on_how_rows_arrive(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], group: int
) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    table = rows(sum(cuts))
    whole = write_table(folder / "whole.parquet", table, row_group_rows=group)
    with ShardWriter(folder / "parts.parquet", SCHEMA, row_group_rows=group) as writer:
        start = 0
        for count in cuts:
            writer.write(table.slice(start, count))
            start += count
    assert writer.written.digest == whole.digest
    with ShardReader(folder / "parts.parquet") as reader:
        expected = [group] * (len(table) // group) + [len(table) % group] * (len(table) % group > 0)
        assert reader.group_rows == expected


def test_pictures_are_plain_and_texts_are_compressed(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", rows(20))
    group = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0)
    found = {
        group.column(index).path_in_schema: group.column(index).compression
        for index in range(group.num_columns)
    }
    assert found == {
        "image_id": "ZSTD",
        "pixels": "UNCOMPRESSED",
        "turns.list.element.text": "ZSTD",
        "turns.list.element.picture": "UNCOMPRESSED",
    }


def test_which_columns_are_plain_can_be_said(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", rows(20), uncompressed=("turns",))
    group = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0)
    assert [group.column(index).compression for index in range(4)] == [
        "ZSTD",
        "ZSTD",
        "UNCOMPRESSED",
        "UNCOMPRESSED",
    ]


def test_tables_without_text_or_rows(tmp_path: Path) -> None:
    plain = pa.table({"pixels": pa.array([b"a", b"b"], pa.large_binary())})
    write_table(tmp_path / "plain.parquet", plain)
    assert read_rows(tmp_path / "plain.parquet").equals(plain)
    assert write_table(tmp_path / "none.parquet", SCHEMA.empty_table()).rows == 0
    assert read_rows(tmp_path / "none.parquet").equals(SCHEMA.empty_table())
    assert list(iter_buffers(tmp_path / "none.parquet", "pixels")) == []


def test_views_of_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, rows(10), row_group_rows=4)
    expected = rows(10)["pixels"].to_pylist()
    views = list(iter_buffers(path, "pixels"))
    assert [type(view) for view in views] == [memoryview] * 10
    assert [bytes(view) for view in views] == expected
    with ShardReader(path) as reader:
        assert (reader.num_rows, reader.group_rows) == (10, [4, 4, 2])
        assert [bytes(view) for view in reader.buffers(1, "pixels")] == expected[4:8]
        assert reader.table(2, ["image_id"])["image_id"].to_pylist() == ["image 8", "image 9"]
        assert reader.schema == SCHEMA


def test_views_outlive_the_reader(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", rows(3))
    with ShardReader(tmp_path / "a.parquet") as reader:
        views = reader.buffers(0, "pixels")
    (tmp_path / "a.parquet").unlink()
    assert bytes(views[2]) == bytes([2]) * 74


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_nulls_are_empty_views(tmp_path: Path, kind: Any) -> None:
    table = pa.table({"pixels": pa.array([b"ab", None, b"", b"c"], kind)})
    write_table(tmp_path / "a.parquet", table)
    found = [bytes(view) for view in iter_buffers(tmp_path / "a.parquet", "pixels")]
    assert found == [b"ab", b"", b"", b"c"]


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_joined_pictures_are_what_arrow_itself_would_make_of_them(pictures: list[bytes]) -> None:
    array = picture_array(pictures)
    array.validate(full=True)
    assert array.equals(pa.array(pictures, pa.large_binary()))


def test_an_error_while_writing_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(RuntimeError, match=r"^stop$"), ShardWriter(path, SCHEMA) as writer:
        writer.write(rows(3))
        raise RuntimeError("stop")
    assert not path.exists()


def test_rows_of_another_schema_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(ArtifactError) as caught, ShardWriter(path, SCHEMA) as writer:
        writer.write(pa.table({"image_id": ["x"]}))
    assert str(caught.value) == (
        "rows for a.parquet have columns ['image_id']; "
        "expected ['image_id', 'pixels', 'turns'] with the types of its schema"
    )


def test_closing_twice_gives_the_same_answer(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "a.parquet", SCHEMA)
    writer.write(rows(2))
    assert writer.close() == writer.close() == writer.written


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    for read in (read_rows, ShardReader):
        with pytest.raises(ArtifactError) as caught:
            read(path)
        assert str(caught.value) == f"no file at {path}; the next run rebuilds it"


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "footer"])
def test_damage_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, rows(30), row_group_rows=8)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[:-100],
            "empty": b"",
            "text": b"a,b\n1,2\n" * 9,
            "footer": whole[:-60] + b"\0" * 50 + whole[-10:],
        }[damage]
    )
    for read in (read_rows, ShardReader):
        with pytest.raises(ArtifactError) as caught:
            read(path)
        assert (
            str(caught.value) == f"{path} is damaged or no Parquet file; the next run rebuilds it"
        )


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, rows(30))
    whole = bytearray(path.read_bytes())
    whole[4:40] = b"\xff" * 36
    path.write_bytes(whole)
    with pytest.raises(ArtifactError, match="is damaged or no Parquet file"):
        read_rows(path)
    with ShardReader(path) as reader, pytest.raises(ArtifactError, match="is damaged"):
        reader.table(0, ["image_id"])


def test_a_column_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", rows(2))
    with ShardReader(tmp_path / "a.parquet") as reader, pytest.raises(ArtifactError) as caught:
        reader.buffers(0, "pixel")
    line = f"{tmp_path / 'a.parquet'} has no column pixel; it has image_id, pixels, turns"
    assert str(caught.value) == line


def test_a_file_that_may_grow_no_further_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "full.parquet"
    schema = pa.schema([("pixels", pa.binary())])
    rows = pa.table({"pixels": [b"x" * 200_000] * 8}, schema=schema)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with (
            pytest.raises(OSError, match="File too large"),
            ShardWriter(path, schema, row_group_rows=2) as writer,
        ):
            for _ in range(20):
                writer.write(rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not path.exists()

"""Cutting tables into pieces by a stable hash of the study."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.piece import cut, piece_key, piece_number, places, rows_digest


def test_golden_numbers() -> None:
    """These must never change: they decide which piece a study is in."""
    assert [piece_number(name, 16) for name in ("50000000", "CXR1", "ä")] == [9, 14, 9]


def test_keys_sort_as_numbers() -> None:
    assert sorted(map(piece_key, (0, 9, 10, 255))) == ["p0000", "p0009", "p0010", "p0255"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), max_size=60), st.integers(1, 9))
def test_cut_keeps_every_row_once_and_in_order(ids: list[str], pieces: int) -> None:
    table = pa.table({"study_id": pa.array(ids, pa.string()), "row": list(range(len(ids)))})
    parts = cut(table, pieces)
    rows = [row for part in parts.values() for row in part["row"].to_pylist()]
    assert sorted(rows) == list(range(len(ids)))
    for key, part in parts.items():
        assert part["row"].to_pylist() == sorted(part["row"].to_pylist())
        assert {piece_key(piece_number(name, pieces)) for name in part["study_id"].to_pylist()} == {
            key
        }


def test_rows_without_a_study_go_to_the_first_piece() -> None:
    parts = cut(pa.table({"study_id": pa.array([None, None], pa.string())}), 8)
    assert list(parts) == ["p0000"]


def test_digest_depends_on_values_and_not_on_chunks() -> None:
    whole = pa.table({"study_id": ["a", "b", "c"], "texts": [["x"], None, []]})
    chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert rows_digest(whole) == rows_digest(chunked)
    assert rows_digest(whole.slice(1)) == rows_digest(
        pa.table({"study_id": ["b", "c"], "texts": pa.array([None, []], pa.list_(pa.string()))})
    )
    edited = whole.set_column(0, "study_id", pa.array(["a", "b", "d"]))
    assert rows_digest(whole) != rows_digest(edited)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(min_size=1, max_size=4)), max_size=60))
def test_places_are_those_of_every_chunk(ids: list[str | None]) -> None:
    chunks = [ids[start : start + 7] for start in range(0, len(ids), 7)]
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks], pa.string())
    found = places(column, 5)
    assert sorted(row for rows in found.values() for row in rows.to_pylist()) == [*range(len(ids))]
    for key, rows in found.items():
        assert rows.to_pylist() == sorted(rows.to_pylist())
        assert {
            piece_key(piece_number(name, 5) if (name := ids[row]) else 0)
            for row in rows.to_pylist()
        } == {key}
    assert list(found) == sorted(found)

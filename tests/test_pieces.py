"""Pieces: counts that add up, files described by their bytes, and soundness."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.pieces import (
    Count,
    Piece,
    PieceFile,
    add_counts,
    content_digest,
    describe_files,
    is_sound,
    piece_from_json,
)
from infra.store import Store

REASONS = st.dictionaries(st.sampled_from(["no-text", "not-frontal", "twin"]), st.integers(1, 99))


@st.composite
def count_lists(draw: st.DrawFn) -> list[Count]:
    made = []
    for unit in draw(st.lists(st.sampled_from(["studies", "images", "texts"]), max_size=8)):
        kept, rejected = draw(st.integers(0, 999)), draw(REASONS)
        made.append(Count(unit, kept + sum(rejected.values()), kept, rejected))
    return made


@given(count_lists())
def test_sums_lose_nothing(counts: list[Count]) -> None:
    sums = add_counts(counts)
    assert [item.unit for item in sums] == list(dict.fromkeys(count.unit for count in counts))
    for total in sums:
        same = [count for count in counts if count.unit == total.unit]
        assert total.rows_in == sum(count.rows_in for count in same)
        assert total.kept == sum(count.kept for count in same)
        assert list(total.rejected) == sorted(total.rejected)
        for reason, number in total.rejected.items():
            assert number == sum(count.rejected.get(reason, 0) for count in same)


@given(count_lists(), st.integers(0, 8))
def test_sums_may_be_summed(counts: list[Count], cut: int) -> None:
    """Pieces may be added in any grouping, as funnels and manifests do."""
    whole = add_counts(counts)
    parts = add_counts([*add_counts(counts[:cut]), *add_counts(counts[cut:])])
    assert {count.unit: count for count in parts} == {count.unit: count for count in whole}


@given(st.integers(0, 9), st.integers(0, 9), REASONS)
def test_a_count_adds_up_or_cannot_be_made(
    rows_in: int, kept: int, rejected: dict[str, int]
) -> None:
    lost = sum(rejected.values())
    if rows_in == kept + lost:
        assert Count("rows", rows_in, kept, rejected).rows_in == rows_in
        return
    with pytest.raises(AssertionError) as caught:
        Count("rows", rows_in, kept, rejected)
    assert str(caught.value) == f"rows: {rows_in} in, {kept} kept, {lost} rejected"


def test_files_are_described_in_path_order(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_text("bb")
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "empty folder").mkdir()
    files = describe_files(tmp_path)
    assert [(file.name, file.bytes) for file in files] == [("a.txt", 0), ("deep/b.txt", 2)]
    assert files[0].digest == "99aa06d3014798d86001c324468d497f"  # xxh3-128 of nothing
    assert describe_files(tmp_path / "empty folder") == ()


def test_the_content_digest_depends_on_names_and_bytes() -> None:
    one = (PieceFile("a", 1, "0" * 32), PieceFile("b", 1, "1" * 32))
    renamed = (PieceFile("a", 1, "0" * 32), PieceFile("c", 1, "1" * 32))
    edited = (PieceFile("a", 1, "0" * 32), PieceFile("b", 1, "2" * 32))
    digests = {content_digest(files) for files in (one, renamed, edited, one[:1], ())}
    assert len(digests) == 5
    assert content_digest(one) == content_digest(tuple(one))
    assert all(len(digest) == 16 for digest in digests)


def test_a_piece_survives_json() -> None:
    piece = Piece(
        "p0001",
        "d1",
        "images/openi-00/p0001-11",
        (PieceFile("deep/x.parquet", 7, "f" * 32),),
        (Count("images", 3, 2, {"truncated": 1}),),
        {"loss": 0.25, "names": ["a"]},
    )
    assert piece_from_json(json.loads(json.dumps(asdict(piece)))) == piece


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), tmp_path / "state")


@pytest.fixture
def remote(tmp_path: Path) -> Store:
    return Store(f"memory://{uuid.uuid4().hex}", tmp_path / "state")


def written(store: Store, folder: Path) -> Piece:
    folder.mkdir()
    (folder / "rows").write_text("rows")
    (folder / "more").write_text("more rows")
    files = describe_files(folder)
    store.publish_folder(folder, "k/n/p0")
    return Piece("p0", "d", "k/n/p0", files)


def test_soundness_is_of_every_byte_on_a_local_root(local: Store, tmp_path: Path) -> None:
    piece = written(local, tmp_path / "made")
    assert is_sound(local, piece)
    path = local.local("k/n/p0/rows")
    path.write_text("rowz")
    assert not is_sound(local, piece)
    path.write_text("rows")
    assert is_sound(local, piece)
    path.unlink()
    assert not is_sound(local, piece)


def test_soundness_is_of_names_and_sizes_on_a_remote_root(remote: Store, tmp_path: Path) -> None:
    piece = written(remote, tmp_path / "made")
    assert is_sound(remote, piece)
    remote.overwrite("k/n/p0/rows", "rowz")
    assert is_sound(remote, piece), "a download finds this: see test_store"
    remote.overwrite("k/n/p0/rows", "row")
    assert not is_sound(remote, piece)
    remote.remove("k/n/p0")
    assert not is_sound(remote, piece)

"""The hash split: stable, near its shares, and one split per subject."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pyarrow as pa
import pytest

from sources.record import Split
from sources.split import hash_split, split_table


def test_golden_values_never_change() -> None:
    found = {name: str(hash_split(name)) for name in ("1", "2", "3", "10999999", "CXR1000", "ü")}
    assert found == {
        "1": "test",
        "2": "train",
        "3": "train",
        "10999999": "train",
        "CXR1000": "validate",
        "ü": "train",
    }


def test_shares_are_met() -> None:
    counts = Counter(hash_split(str(number)) for number in range(20_000))
    assert counts[Split.TRAIN] == pytest.approx(16_000, rel=0.02)
    assert counts[Split.VALIDATE] == pytest.approx(2_000, rel=0.06)
    assert counts[Split.TEST] == pytest.approx(2_000, rel=0.06)


def test_shares_may_leave_a_split_out() -> None:
    assert {hash_split(str(number), (0.5, 0.5, 0.0)) for number in range(500)} == {
        Split.TRAIN,
        Split.VALIDATE,
    }


def test_a_greater_train_share_moves_nobody_out_of_train() -> None:
    for number in range(2_000):
        if hash_split(str(number), (0.5, 0.25, 0.25)) is Split.TRAIN:
            assert hash_split(str(number), (0.8, 0.1, 0.1)) is Split.TRAIN


def test_shares_must_add_up() -> None:
    with pytest.raises(AssertionError):
        hash_split("1", (0.5, 0.1, 0.1))


def test_table_has_each_identifier_once_and_no_null() -> None:
    table = split_table(pa.chunked_array([["a", "b"], ["a", None, "c"]]))
    assert table.column("identifier").to_pylist() == ["a", "b", "c"]
    assert table.column("split").to_pylist() == [str(hash_split(name)) for name in "abc"]


def test_table_of_integers_hashes_their_text() -> None:
    table = split_table(pa.array([61, 75]))
    assert table.to_pylist() == [
        {"identifier": "61", "split": str(hash_split("61"))},
        {"identifier": "75", "split": str(hash_split("75"))},
    ]


def test_empty_table() -> None:
    assert split_table(pa.array([], pa.string())).num_rows == 0


def test_the_hash_does_not_follow_the_order_of_identifiers() -> None:
    neighbours = [hash_split(str(10_000_000 + number)) for number in range(60)]
    assert len(set(neighbours)) == 3
    changes = sum(one is not other for one, other in pairwise(neighbours))
    assert changes > 8


def test_a_surrounding_space_is_part_of_the_identifier() -> None:
    differing = [
        name for name in map(str, range(200)) if hash_split(name) != hash_split(f" {name}")
    ]
    assert differing

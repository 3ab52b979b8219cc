"""Rows with another unit's text: each once, none its own, no neighbour by name."""

from __future__ import annotations

from collections import Counter

import pytest

from evaluation.turned import turned_rows


@pytest.mark.parametrize("films", [1, 2, 3])
def test_every_row_gets_another_units_once(films: int) -> None:
    units = [f"p{number // films}" for number in range(24)]
    turned = turned_rows(units)
    assert sorted(turned) == list(range(24))
    assert all(units[row] != units[other] for row, other in enumerate(turned))


def test_units_of_unequal_sizes_are_turned_by_the_largest() -> None:
    units = ["a", "b", "b", "b", "c", "d", "e"]
    turned = turned_rows(units)
    assert sorted(turned) == list(range(7))
    assert all(units[row] != units[other] for row, other in enumerate(turned))


def test_neighbours_by_name_do_not_stay_neighbours() -> None:
    """Ids often tell what is alike: a cohort, a year, a scanner."""
    units = [f"p{number:03}" for number in range(200)]
    apart = Counter(abs(other - row) for row, other in enumerate(turned_rows(units)))
    assert apart[1] < 10


def test_a_unit_that_owns_most_rows_keeps_some_and_none_is_no_row() -> None:
    assert sorted(turned_rows(["a", "a", "a", "b"])) == [0, 1, 2, 3]
    assert turned_rows([]) == []
    assert turned_rows(["a"]) == [0]

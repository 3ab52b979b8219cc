"""Kendall's tau-b by one matrix product per bootstrap: equal to scipy's on the items drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from evaluation import kendall
from evaluation.kendall import tau_b
from evaluation.statistics import make_bootstrap

SCORES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12)


@pytest.mark.parametrize(
    ("one", "other", "tau"),
    [
        ([1, 2, 3], [1, 2, 3], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 2, 4, 3], 4 / 6),  # five of six pairs agree
        ([1, 1, 2], [1, 2, 3], 2 / (2 * 3) ** 0.5),  # one pair is tied in the first
        ([0, 0, 1, 1], [0, 1, 0, 1], 0.0),
    ],
)
def test_values_worked_out_by_hand(one: list[float], other: list[float], tau: float) -> None:
    assert tau_b(np.array(one, float), np.array(other, float)) == pytest.approx([tau])


@given(SCORES)
def test_it_is_scipys(rows: list[tuple[int, int]]) -> None:
    one, other = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    expected = kendalltau(one, other, variant="b").statistic
    assert tau_b(one, other)[0] == pytest.approx(expected, nan_ok=True)


@settings(max_examples=50)
@given(SCORES, st.integers(0, 1000))
def test_a_weight_is_a_repeated_item(rows: list[tuple[int, int]], seed: int) -> None:
    one, other = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    weights = make_bootstrap([str(n // 2) for n in range(len(rows))], 10, seed).weights
    for drawn, tau in zip(weights, tau_b(one, other, weights), strict=True):
        items = np.repeat(np.arange(len(rows)), drawn.astype(int))
        expected = np.nan
        if len(items) > 1:
            expected = kendalltau(one[items], other[items], variant="b").statistic
        assert tau == pytest.approx(expected, nan_ok=True)


def test_a_score_that_ties_everything_has_no_tau() -> None:
    assert np.isnan(tau_b(np.zeros(5), np.arange(5.0))).all()
    assert np.isnan(tau_b(np.zeros(0), np.zeros(0))).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    one, other = rng.integers(0, 9, (2, 70)).astype(float)
    weights = rng.integers(0, 3, (20, 70)).astype(float)
    whole = tau_b(one, other, weights)
    monkeypatch.setattr(kendall, "_CELLS_AT_ONCE", 70 * 9)
    assert tau_b(one, other, weights) == pytest.approx(whole)

"""Each rank's part of a global batch: contiguous, and the same rows in all whatever the ranks."""

from __future__ import annotations

import pytest
from accelerate.data_loader import BatchSamplerShard
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, SequentialSampler

from models.dealing import DealtOrder


def parts(ranks: int, per_device: int, passes: int, batches: int) -> list[list[list[int]]]:
    """By rank and pass, the rows that accelerate's own dealing gives."""
    order = SequentialSampler(range(ranks * per_device * passes * batches))
    dealt = DealtOrder(order, ranks, per_device, passes)
    cut = BatchSampler(dealt, per_device, drop_last=False)
    return [list(BatchSamplerShard(cut, ranks, rank)) for rank in range(ranks)]


def test_two_ranks_in_two_passes_have_the_halves_of_each_batch() -> None:
    assert parts(2, 2, 2, 2) == [
        [[0, 1], [2, 3], [8, 9], [10, 11]],
        [[4, 5], [6, 7], [12, 13], [14, 15]],
    ]


def test_one_rank_has_the_order_as_it_is() -> None:
    assert list(DealtOrder(SequentialSampler(range(12)), 1, 2, 3)) == list(range(12))


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
@settings(deadline=None)
def test_every_global_batch_is_its_rows_and_every_part_contiguous(
    ranks: int, per_device: int, passes: int, batches: int
) -> None:
    size, share = ranks * per_device * passes, per_device * passes
    dealt = parts(ranks, per_device, passes, batches)
    for batch in range(batches):
        for rank in range(ranks):
            mine = dealt[rank][batch * passes : (batch + 1) * passes]
            first = batch * size + rank * share
            assert [row for rows in mine for row in rows] == list(range(first, first + share))


def test_an_order_of_broken_batches_is_a_mistake() -> None:
    dealt = DealtOrder(SequentialSampler(range(7)), 2, 2, 1)
    assert len(dealt) == 7
    with pytest.raises(AssertionError, match="whole batches"):
        list(dealt)

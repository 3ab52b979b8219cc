"""Who trains which part of a global batch: contiguous parts, one for each rank."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from itertools import islice

from torch.utils.data import Sampler


class DealtOrder(Sampler[int]):
    """An order laid out for a loader that deals small batches to the ranks in turn.

    The loader (accelerate's) gives the first ``per_device`` rows to the first rank, the next to the
    second, and begins again for the next accumulated pass. Laid out so, each rank has one
    contiguous part of every global batch, whatever the number of passes, and a global batch is the
    same examples on any number of ranks.

    Args:
        order: rows in the order in which they are trained on; whole global batches.
    """

    def __init__(self, order: Sampler[int], ranks: int, per_device: int, passes: int) -> None:
        assert isinstance(order, Sized)
        self.order, self.rows = order, len(order)
        self.ranks, self.per_device, self.passes = ranks, per_device, passes

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[int]:
        rows, size = iter(self.order), self.ranks * self.per_device * self.passes
        while batch := list(islice(rows, size)):
            assert len(batch) == size, "an order holds whole batches"
            for number in range(self.passes):
                for rank in range(self.ranks):
                    start = (rank * self.passes + number) * self.per_device
                    yield from batch[start : start + self.per_device]

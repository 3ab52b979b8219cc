"""The order of a stage that is trained on several sets of examples, each with its share.

A set's own order is what it would be alone (``TrainingOrder``); the mixture says whose row is next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from torch.utils.data import Sampler

from infra.errors import InputError
from models.data import ExampleShards, TrainingOrder


class MixedOrder(Sampler[int]):
    """Rows of each part of the data by its share.

    The next row is of the part that is furthest behind its share, so that every stretch of the
    order holds the parts' shares to within a row of each, whatever the batch; a part that is short
    begins anew. Shares count rows, not tokens.

    Args:
        parts: rows of ``data.groups`` that each set has, by its name.
        shares: by the same names, above 0; they need not sum to one.
        rows: how many indices to give.
        start: how many to pass over.

    Raises:
        InputError: a set has no example.
    """

    def __init__(
        self,
        data: ExampleShards,
        parts: Mapping[str, range],
        shares: Mapping[str, float],
        rows: int,
        seed: int,
        start: int = 0,
    ) -> None:
        for name, groups in parts.items():
            if not groups:
                raise InputError(
                    f"no example of the set {name}",
                    "one at least in each set of the stage",
                    "check the stage's sources and text_versions, and the set's funnel",
                )
        self.data, self.rows, self.start = data, rows, start
        total = sum(shares[name] for name in parts)
        self.shares = [shares[name] / total for name in parts]
        self.orders = [TrainingOrder(data, rows, seed, groups=each) for each in parts.values()]

    def __len__(self) -> int:
        return max(0, self.rows - self.start)

    def __iter__(self) -> Iterator[int]:
        return islice(self._all(), self.start, None)

    def _all(self) -> Iterator[int]:
        orders = [iter(order) for order in self.orders]
        given = [0] * len(orders)
        for number in range(self.rows):
            behind = [
                share * (number + 1) - had for share, had in zip(self.shares, given, strict=True)
            ]
            part = behind.index(max(behind))
            given[part] += 1
            yield next(orders[part])


def parts_of(data: ExampleShards, files: Mapping[str, int]) -> dict[str, range]:
    """The row groups of each set; ``files`` counts its shards, which follow each other."""
    ends = _group_ends(data, list(files.values()))
    return {
        name: range(first, last) for name, first, last in zip(files, [0, *ends], ends, strict=False)
    }


def _group_ends(data: ExampleShards, counts: Sequence[int]) -> list[int]:
    ends, taken = [], 0
    for count in counts:
        taken += count
        ends.append(sum(file < taken for file in data.file_of_group))
    return ends

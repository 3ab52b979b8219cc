"""Each row with the text of another unit: the control for what a text has to do with its film."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b


def turned_rows(units: Sequence[str]) -> list[int]:
    """For each row a row of another unit, each once, as far as no unit owns more than half of them.

    Units come in the order of a hash of their names, for neighbours by name are often alike, and
    are turned by as many rows as the largest has.
    """
    order = sorted(range(len(units)), key=lambda row: (_drawn(units[row]), units[row], row))
    shift = max(Counter(units).values(), default=0)
    rows = [0] * len(units)
    for place, row in enumerate(order):
        rows[row] = order[(place + shift) % len(order)]
    return rows


def _drawn(unit: str) -> bytes:
    return blake2b(unit.encode(), digest_size=8).digest()

"""Where a replica's traps go, and how files are damaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

EMPTY: Final = b""
_KEPT_SHARE: Final = 0.5
"""Of a truncated file. Our choice: the header is whole, and half the picture is missing."""


def spread(traps: Sequence[str], count: int) -> dict[int, str]:
    """Study index to trap: evenly over ``count`` studies, the first ones where there are too few.

    A trap marks one study, so that a replica of any usual size is mostly sound.
    """
    if count < len(traps):
        return dict(enumerate(traps[:count]))
    return {number * count // len(traps): trap for number, trap in enumerate(traps)}


def truncate(data: bytes) -> bytes:
    """The first half of a file."""
    return data[: int(len(data) * _KEPT_SHARE)]

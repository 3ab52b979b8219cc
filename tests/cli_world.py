"""The ``cxr`` command as tests call it, in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Said(NamedTuple):
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


Say = Callable[..., Said]

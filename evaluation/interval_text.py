"""A number and its interval as readers see them, the same on pages, in Markdown and on a terminal.

``0.412 [0.301, 0.507]``; a difference has its sign, ``+0.041 [−0.002, +0.084]``; an unknown number
is a dash, and one whose interval is unknown stands alone. Imports no numpy, for the command line's
start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from evaluation.statistics import Interval

Spanned: TypeAlias = "Interval | Mapping[str, Any] | None"
"""An interval, or the row of a JSON document with its ``value``, ``low`` and ``high``."""
UNKNOWN: Final = "–"
DECIMALS: Final = {"0-100": 1, "rank": 1}
"""By a signature's scale; three on any other. Our choice: what a table of a paper prints."""
_TO_PLAIN = str.maketrans("−–", "--")


def number_text(value: float | None, scale: str = "0-1", *, signed: bool = False) -> str:
    """The number with the decimals of its scale and a true minus."""
    if value is None:
        return UNKNOWN
    sign = "+" if signed else ""
    return f"{value:{sign}.{DECIMALS.get(scale, 3)}f}".replace("-", "−")


def ends_text(found: Spanned, scale: str = "0-1", *, signed: bool = False) -> str:
    """The interval alone, ``[0.301, 0.507]``; empty where it is unknown."""
    _, low, high = _parts(found)
    if low is None or high is None:
        return ""
    ends = (number_text(end, scale, signed=signed) for end in (low, high))
    return f"[{', '.join(ends)}]"


def interval_text(found: Spanned, scale: str = "0-1") -> str:
    """The number with its interval behind it."""
    return _both(found, scale, signed=False)


def difference_text(found: Spanned, scale: str = "0-1") -> str:
    """The same with signs."""
    return _both(found, scale, signed=True)


def _both(found: Spanned, scale: str, *, signed: bool) -> str:
    text = number_text(_parts(found)[0], scale, signed=signed)
    return text if text == UNKNOWN else f"{text} {ends_text(found, scale, signed=signed)}".rstrip()


def plain(text: str) -> str:
    """For a terminal: the minus and the dash that every encoding has and every program reads."""
    return text.translate(_TO_PLAIN)


def _parts(found: Spanned) -> tuple[float | None, float | None, float | None]:
    if found is None:
        return None, None, None
    if isinstance(found, Mapping):
        return found["value"], found["low"], found["high"]
    return found.value, found.low, found.high

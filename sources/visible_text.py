"""A text as a person sees it: without characters that have no width, with plain spaces.

A zero-width space or a soft hyphen inside a number or a name hides it from every rule, and from no
reader. Word processors and web pages leave them behind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
)
"""Soft hyphen, joiners, zero-width spaces, marks of direction, byte order mark."""
_SPACES: Final = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")


def visible(text: str) -> tuple[str, Sequence[int]]:
    """What is seen, and by each of its characters the place in the text."""
    spaced = _SPACES.sub(" ", text)
    if not _INVISIBLE.search(spaced):
        return spaced, range(len(spaced))
    places = [place for place, letter in enumerate(spaced) if not _INVISIBLE.match(letter)]
    return "".join(spaced[place] for place in places), places


def place_in(text: Sequence[int], span: tuple[int, int]) -> tuple[int, int]:
    """Where a span of what is seen stands in the text itself; ``text`` tells the places."""
    start, end = span
    return (text[start], text[end - 1] + 1) if start < end else (0, 0)

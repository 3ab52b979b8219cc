"""Where an id stands in a run of bytes, and where it is only a part of another's.

``CXR100`` begins ``CXR1000``, and ``PAT-01`` begins ``PAT-010``: an id that ends in a digit ends
there, and one that ends in a letter does too. What a separator lengthens (``CXR100-2``,
``a/1.png``) may be theirs or another's, and no letter tells: so ids of others in which one of
theirs stands are known, and are passed over as a whole.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import quote

_WHOLE: Final = 32
"""Characters from which nothing is looked for in front of an id (our choice): no number begins so
by chance, and packed files write its length there, which may read as a letter."""
_IN_FRONT: Final = r"(?:(?<![0-9A-Za-z])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9a-f]{4}))"
"""No letter or digit, but for the end of an escaped character: ``\\n``, ``%2F``, ``\\u2028``."""


def written_forms(text: str) -> set[bytes]:
    """A text as files, JSON and HTML write it."""
    plain = text.encode("utf-8", "surrogatepass")
    escaped = {json.dumps(text)[1:-1].encode(), html.escape(text).encode("utf-8", "surrogatepass")}
    return {plain, html.escape(text, quote=False).encode("utf-8", "surrogatepass"), *escaped}


def forms_of_id(name: str) -> set[bytes]:
    """The same of an id, which ids of examples and URLs quote."""
    plain = name.encode("utf-8", "surrogatepass")
    quoted = plain.replace(b"%", b"%25").replace(b"/", b"%2F")
    return written_forms(name) | {quoted, quote(plain, safe="").encode()}


def with_edges(name: str) -> str:
    """A pattern for an id where it is no part of a longer number or word."""
    before = after = ""
    if len(name) >= _WHOLE:
        before = ""
    elif name[0].isdigit():
        before = r"(?<![0-9])(?<![0-9]\.)" if name.isdigit() else r"(?<![0-9])"
    elif name[0].isalpha():
        before = _IN_FRONT
    if name[-1].isdigit():
        after = r"(?![0-9])"
    elif name[-1].isalpha():
        after = r"(?![0-9A-Za-z])"
    return f"{before}{re.escape(name)}{after}"


@dataclass(frozen=True)
class Names:
    """Ids to find.

    Args:
        own: theirs.
        longer: those of others in which one of theirs stands.
    """

    own: frozenset[str]
    longer: frozenset[str] = frozenset()

    @cached_property
    def _own(self) -> frozenset[bytes]:
        return frozenset(form for name in self.own for form in forms_of_id(name))

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        """The longest first, so that the whole of another's id is passed over."""
        others = {form for name in self.longer for form in forms_of_id(name)} - self._own
        every = sorted(self._own | others, key=lambda form: (-len(form), form))
        told = "|".join(with_edges(form.decode("latin-1")) for form in every)
        return re.compile(told.encode("latin-1"))

    def stand_in(self, data: bytes) -> bool:
        """Whether one of theirs stands there."""
        if not any(form in data for form in self._own):
            return False
        return any(match[0] in self._own for match in self._pattern.finditer(data))

    def without(self, data: bytes, instead: bytes) -> bytes:
        """The same bytes with theirs replaced."""
        if not any(form in data for form in self._own):
            return data
        return self._pattern.sub(lambda m: instead if m[0] in self._own else m[0], data)

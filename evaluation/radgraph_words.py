"""How RadGraph's models cut a report into words; spans and entities are told in them.

Read off radgraph 0.1.18: the first model's words are split at a few marks (a hyphen is none), the
XL models' at every change between letters and marks. A whole report is one sentence to both.
"""

from __future__ import annotations

import re
from typing import Literal

Words = Literal["v1", "xl"]

_V1 = re.compile(r"[/,:.!?()]|[^\s/,:.!?()]+")
_XL = re.compile(r"\w+|[^\w\s]+")
_XL_ESCAPES = ((r"\n", "  "), (r"\f", "  "), (r"\u2122", "      "), ("\n", " "), (r"\"", "``"))
"""Escapes that stand in exported reports as letters, and what they become."""
_XL_MARKS = ((").", ") ."), ("%.", "% ."), (".'", ". '"), ("%,", "% ,"), ("%)", "% )"))
"""Runs of marks that the XL models saw apart; all other runs stay one word."""


def radgraph_words(text: str, kind: Words) -> list[str]:
    """The words of a report; none for a text without any."""
    if kind == "v1":
        return _V1.findall(text)
    for escape, spaces in _XL_ESCAPES:
        text = text.replace(escape, spaces)
    joined = " ".join(_XL.findall(text))
    for run, apart in _XL_MARKS:
        joined = joined.replace(run, apart)
    return joined.split()

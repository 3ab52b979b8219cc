r"""Rules that cut a radiology report into sections, for reports in MIMIC-CXR's layout.

A header is a run of capitals, spaces and ``()/,-`` at the start of a line, closed by a colon and
whitespace; a header in lower case is prose. What a header means is looked up in the tables below,
with room for misspelling. Behaviours (source_formats 1), all tested:

* the last section of a name that has text wins, so an empty or early double does no harm;
* a line of underscores (below an addendum) and ``FINAL REPORT`` end whatever stands above them;
* ``FINDINGS AND IMPRESSION`` and ``CONCLUSION`` are the impression, as in the official parser;
* a header that names the view (``PORTABLE AP CHEST:``) opens the findings;
* where there is neither findings nor impression, the last paragraph is the impression: the text
  that concludes the report. It is never called findings, since references would then hold prose
  that the official parser leaves out;
* runs of whitespace, line breaks included, become one space.

Sections of other names (``WET READ:``, ``LUNGS:``) end the one before and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter

from sources.record import SECTIONS, Origin, SectionedBy, SectionedText
from sources.sections_foreign import FOREIGN, has_heading, section_foreign

_HEADER = re.compile(r"^ ?([A-Z][A-Z ()/,-]*):(?=\s|\Z)", re.MULTILINE)
_BREAK = re.compile(r"^(?: *_{20,} *| *FINAL REPORT *)$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t]*\n")

_NAMES: dict[str, str | None] = {
    "findings": "findings",
    "finding": "findings",
    "report": "findings",
    "findings and impression": "impression",
    "findings/impression": "impression",
    "impression and findings": "impression",
    "impression": "impression",
    "impressions": "impression",
    "imp": "impression",
    "conclusion": "impression",
    "conclusions": "impression",
    "summary": "impression",
    "indication": "indication",
    "indications": "indication",
    "clinical indication": "indication",
    "history": "indication",
    "clinical history": "indication",
    "clinical information": "indication",
    "history and indication": "indication",
    "indication and history": "indication",
    "reason": "indication",
    "reason for exam": "indication",
    "reason for examination": "indication",
    "reason for this examination": "indication",
    "reason for study": "indication",
    "comparison": "comparison",
    "comparisons": "comparison",
    "comparison study": "comparison",
    "technique": "technique",
    "procedure": "technique",
    "procedure and technique": "technique",
    "examination": None,
    "exam": None,
    "study": None,
    "type of examination": None,
    "recommendation": None,
    "recommendations": None,
    "notification": None,
    "addendum": None,
    "wet read": None,
    "preliminary report": None,
}
"""What a header means; None means a known section that no record keeps."""

_CLOSE_ENOUGH = 0.82
"""Similarity (difflib ratio) that still counts as misspelt. Our choice: one letter lost, doubled
or swapped in a word of six letters passes; ``indication`` and ``medication`` (0.80) differ."""

_FUZZY_LETTERS = 6
"""Shorter headers must be spelt as in the table. Our choice: one letter is too much of them."""

_VIEW_WORDS = re.compile(
    r"\b(?:pa|ap|lateral|frontal|portable|upright|supine|views?|chest|radiographs?|film)\b"
)


def section_report(text: str, language: str = "en") -> SectionedText | None:
    """The sections of one report; None where nothing in it can be told apart.

    Args:
        text: the report as published, with its line breaks.
        language: ISO 639-1 code, copied into the result. Spanish and Portuguese reports are cut by
            ``sections_foreign``, but where all their headers are English.
    """
    if language in FOREIGN:
        english = any(section_of(match[1]) for match in _HEADER.finditer(text))
        if has_heading(text, language) or not english:
            return section_foreign(text, language)
    found: dict[str, str] = {}
    for name, body in _sections(text):
        if name and (collapsed := collapse(body)):
            found[name] = collapsed
    if "findings" not in found and "impression" not in found:
        _use_last_paragraph(text, found)
    if not found:
        return None
    return SectionedText(
        Origin.RADIOLOGIST,
        SectionedBy.RULES,
        language,
        **{name: found.get(name) for name in SECTIONS},
    )


def section_of(header: str) -> str | None:
    """The record's section for a header such as ``IMPRESSON``; None for any other header."""
    return _section_of(" ".join(header.lower().split()).strip(" ()/,-"))


def collapse(text: str) -> str:
    """The text on one line, with single spaces."""
    return " ".join(text.split())


@lru_cache(maxsize=4096)
def _section_of(header: str) -> str | None:
    if header in _NAMES:
        return _NAMES[header]
    if len(header) >= _FUZZY_LETTERS and (
        close := get_close_matches(header, _NAMES, n=1, cutoff=_CLOSE_ENOUGH)
    ):
        return _NAMES[close[0]]
    return "findings" if _VIEW_WORDS.search(header) else None


def _sections(text: str) -> Iterator[tuple[str | None, str]]:
    """Pairs of section and raw body, in order; None for text that belongs to no section."""
    marks = [(match.start(), match.end(), section_of(match[1])) for match in _HEADER.finditer(text)]
    marks += [(match.start(), match.end(), None) for match in _BREAK.finditer(text)]
    marks.sort(key=itemgetter(0))
    for (_, start, name), (end, _, _) in pairwise([*marks, (len(text), 0, None)]):
        yield name, text[start:end]


def _use_last_paragraph(text: str, found: dict[str, str]) -> None:
    """Make the report's last paragraph its impression, and take it from where it stood."""
    paragraphs = [_BREAK.sub("", part).strip("\n") for part in _PARAGRAPH.split(text)]
    last = next((part for part in reversed(paragraphs) if collapse(part)), "")
    if not last or _HEADER.match(last):
        return
    last = collapse(last)
    for name, body in found.items():
        if body.endswith(last):
            found[name] = body.removesuffix(last).rstrip()
    for name in [name for name, body in found.items() if not body]:
        del found[name]
    found["impression"] = last

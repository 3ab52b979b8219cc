"""One report → sections of the present examination alone, by rules.

Sections go by their headings. In findings and impression every sentence that speaks of change is
turned into what is visible now, or dropped when nothing else is in it (``offline_present``).
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from typing import Any

from tasks.reports.offline_present import without_comparison

HEADINGS: dict[str, str | None] = {
    "examination": "technique",
    "exam": "technique",
    "study": "technique",
    "technique": "technique",
    "procedure": "technique",
    "indication": "indication",
    "indications": "indication",
    "history": "indication",
    "clinical history": "indication",
    "clinical information": "indication",
    "clinical indication": "indication",
    "clinical details": "indication",
    "reason for exam": "indication",
    "reason for examination": "indication",
    "reason for this examination": "indication",
    "reason for study": "indication",
    "findings": "findings",
    "finding": "findings",
    "narrative": "findings",
    "report": "findings",
    "chest": "findings",
    "impression": "impression",
    "impressions": "impression",
    "conclusion": "impression",
    "conclusions": "impression",
    "opinion": "impression",
    "summary": "impression",
    "findings and impression": "impression",
    "findings/impression": "impression",
    "comparison": None,
    "comparisons": None,
    "recommendation": None,
    "recommendations": None,
    "notification": None,
    "final report": None,
    "addendum": None,
}
_HEADING = re.compile(
    r"(?:(?<=\n)|^|(?<=[.!?] ))[ \t]*([A-Za-z][A-Za-z /]{2,32}):(?=\s)|^[ \t]*final report[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
CLOSE_ENOUGH = 0.82
"""Similarity (difflib ratio) of a misspelt heading; our choice: one letter lost or swapped."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\d(])")
_BULLET = re.compile(r"(?:^|(?<=\s))[-•*]\s+(?=[A-Z\d])")
_NUMBER = re.compile(r"(?:^|(?<=\s))(\d{1,2})[.)]\s+(?=[A-Z\d])")
_REPEATED = re.compile(r"\b(\w{2,}) \1\b", re.IGNORECASE)
_PERSON = re.compile(
    r"\b(?:(?:(?:\d+|_+|x{2,})[- ]?)?(?:year[- ]old|y/?o|yo)\b[- ]?)?"
    r"(?:\b(?:fe)?male\b|\b(?:wo)?man\b|\bpatient\b|\b[mf]\b(?!/))?"
    r"(?: (?:with|presenting with)\b)?",
    re.IGNORECASE,
)
_REDACTED = re.compile(r"(?:x{2,}|_+|\W)*", re.IGNORECASE)
"""A sentence of which de-identification left nothing."""
_TALK = re.compile(
    r"\b(?:discussed with|result notification|communicated|notified|telephone|paged|informed"
    r"|dictated|signed by|electronically|attending)\b",
    re.IGNORECASE,
)


def structure(payload: dict[str, Any]) -> dict[str, str | None]:
    """The answer to a structuring question."""
    sections = _cut(_BLANK_LINE.sub("\n\n", str(payload["report"])))
    return {
        "indication": _indication(sections.get("indication")),
        "technique": _clean(sections.get("technique")),
        "findings": _present_only(sections.get("findings")),
        "impression": _present_only(sections.get("impression")),
    }


def _cut(report: str) -> dict[str, str]:
    """Sections by heading; text before any known heading, and under none, is findings."""
    sections: dict[str, str] = {}
    name: str | None = "findings"
    start = 0
    known = [match for match in _HEADING.finditer(report) if _heading(match) in HEADINGS]
    for match in [*known, None]:
        text = report[start : match.start() if match else len(report)]
        if name is not None and text.strip(" \n_"):
            text = _without_body(name, text, sections)
            sections[name] = f"{sections[name]} {text}" if name in sections else text
        if match is not None:
            name, start = HEADINGS[_heading(match)], match.end()
    return sections if {"findings", "impression"} & sections.keys() else _split_head(sections)


def _split_head(sections: dict[str, str]) -> dict[str, str]:
    """Where only a head section is named, its first sentence is all of it: the rest is findings."""
    if not sections:
        return sections
    name = list(sections)[-1]
    head, *rest = _SENTENCE.split(" ".join(sections[name].split()), maxsplit=1)
    return {**sections, name: head, **({"findings": rest[0]} if rest else {})}


def _without_body(name: str, text: str, sections: dict[str, str]) -> str:
    """A head section ends at its first empty line; what follows without a heading is findings."""
    if name in ("findings", "impression"):
        return text
    head, _, body = text.strip(" \n").partition("\n\n")
    if body.strip(" \n_"):
        sections["findings"] = f"{sections.get('findings', '')} {body}"
    return head


def _heading(match: re.Match[str]) -> str:
    """The heading in lower case; a misspelt one in capitals is read as the one it resembles."""
    written = " ".join((match.group(1) or match.group()).split())
    if written.lower() in HEADINGS or not written.isupper():
        return written.lower()
    return _resembling(written.lower())


@cache
def _resembling(written: str) -> str:
    return next(iter(get_close_matches(written, HEADINGS, 1, CLOSE_ENOUGH)), written)


def _clean(text: str | None) -> str | None:
    if text is None:
        return None
    joined = " ".join(text.replace("\\n", " ").split())
    joined = _REPEATED.sub(r"\1", _unnumbered(_BULLET.sub("", joined)))
    return joined.strip(" _") or None


def _unnumbered(text: str) -> str:
    """Without the numbers of a list, which count up from one: ``on rib 4. The`` is none.

    An item that was left without a full stop gets one.
    """
    parts: list[str] = []
    start, expected = 0, 1
    for match in _NUMBER.finditer(text):
        if int(match.group(1)) != expected:
            continue
        item = text[start : match.start()].rstrip()
        parts.append(f"{item}." if item[-1:].isalnum() else item)
        start, expected = match.end(), expected + 1
    return " ".join(part for part in (*parts, text[start:]) if part)


def _indication(text: str | None) -> str | None:
    cleaned = _clean(text)
    if cleaned is None:
        return None
    without = " ".join(_PERSON.sub("", cleaned, count=1).split()).strip(" ,.;:-")
    without = re.sub(r"^(?:presenting )?with\b ?", "", without, flags=re.IGNORECASE)
    return f"{without[0].upper()}{without[1:]}." if without else None


def _present_only(text: str | None) -> str | None:
    cleaned = _clean(text)
    if cleaned is None:
        return None
    kept = [
        rewritten
        for sentence in _SENTENCE.split(cleaned)
        if not _TALK.search(sentence)
        and (rewritten := without_comparison(sentence))
        and not _REDACTED.fullmatch(rewritten)
    ]
    text = " ".join(kept)
    return f"{text}." if text[-1:].isalnum() else text or None

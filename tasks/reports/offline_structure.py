"""One report → sections of the present examination alone, by rules.

Sections go by their headings. In findings and impression every sentence that speaks of change is
turned into what is visible now, or dropped when nothing else is in it.
"""

from __future__ import annotations

import re
from typing import Any

from tasks.reports.comparison import COMPARISON

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
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\d(])")
_NUMBERING = re.compile(r"(?:^|(?<=[\s]))(?:\d{1,2}[.)]|[-•*])\s+(?=[A-Z])")
_REPEATED = re.compile(r"\b(\w{2,}) \1\b", re.IGNORECASE)
_PERSON = re.compile(
    r"\b(?:(?:\d+|_+|x{2,})[- ]?(?:year[- ]old|y/?o|yo)\b[- ]?)?"
    r"(?:\b(?:fe)?male\b|\b(?:wo)?man\b|\bpatient\b|\bm\b|\bf\b)?(?: (?:with|presenting with)\b)?",
    re.IGNORECASE,
)
_TALK = re.compile(
    r"\b(?:discussed with|communicated|notified|telephone|paged|informed|dictated|signed by"
    r"|electronically|attending)\b",
    re.IGNORECASE,
)


def structure(payload: dict[str, Any]) -> dict[str, str | None]:
    """The answer to a structuring question."""
    sections = _cut(str(payload["report"]))
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
            sections[name] = f"{sections[name]} {text}" if name in sections else text
        if match is not None:
            name, start = HEADINGS[_heading(match)], match.end()
    return sections


def _heading(match: re.Match[str]) -> str:
    return " ".join((match.group(1) or match.group()).lower().split())


def _clean(text: str | None) -> str | None:
    if text is None:
        return None
    joined = " ".join(text.replace("\\n", " ").split())
    joined = _REPEATED.sub(r"\1", _NUMBERING.sub("", joined))
    return joined.strip(" _") or None


def _indication(text: str | None) -> str | None:
    cleaned = _clean(text)
    if cleaned is None:
        return None
    without = " ".join(_PERSON.sub("", cleaned, count=1).split()).strip(" ,.;:")
    return f"{without[0].upper()}{without[1:]}." if without else None


def _present_only(text: str | None) -> str | None:
    cleaned = _clean(text)
    if cleaned is None:
        return None
    kept = [
        rewritten
        for sentence in _SENTENCE.split(cleaned)
        if not _TALK.search(sentence) and (rewritten := without_comparison(sentence))
    ]
    return " ".join(kept) or None


_DROP = re.compile(
    r"^(?:there (?:is|has been|are) )?(?:(?:no|without|interval|any|significant|appreciable|acute"
    r"|little|essentially|overall|otherwise|the|appearance|findings?|exam(?:ination)?|study|chest"
    r"|is|are|has|have|been|of|in|with|unchanged|stable|changes?|definite|substantial|relevant"
    r"|pulmonary|cardiopulmonary|findings|radiographic|radiograph|as|was|not|previous|prior|seen"
    r"|since|from|compared|comparison|to|made|again|process|status|allowing|for|differences"
    r"|technique|both|lungs?|improvement|improved|aeration|worsening|progression|available)\W*)+$",
    re.IGNORECASE,
)
_STATUS: tuple[tuple[str, str], ...] = (
    (r"^(?:as |when |in )?compar(?:ed|ison)\b[^,;]*[,;]\s*", ""),
    (r"^since (?:the )?[^,;]*[,;]\s*", ""),
    (r"^(?:again|once again)(?: (?:seen|noted|demonstrated) (?:is|are))?,?\s+", "There is "),
    (r"^interval (?:removal|extubation|withdrawal)\b.*$", ""),
    (r"^interval (?:placement|insertion|development|appearance) of\s+", "There is "),
    (r"^interval (?:resolution|clearing) of\s+", "No "),
    (r",? (?:as |when )?compar(?:ed|able) (?:to|with)\b[^,;.]*", ""),
    (r",? in comparison (?:to|with)\b[^,;.]*", ""),
    (
        r",? (?:since|from|than|relative to) (?:the )?(?:prior|previous|last|earlier|preceding)\b"
        r"[^,;.]*",
        "",
    ),
    (r",? since (?:yesterday|\d|the \w+ (?:study|exam|film)|___|x{2,})[^,;.]*", ""),
    (
        r",? on (?:the )?(?:prior|previous|earlier) (?:\w+ ){0,2}(?:study|exam|examination|film"
        r"|radiograph|ct)\b",
        "",
    ),
    (r"^(?:the )?(.+?) (?:has|have) (?:completely |now |nearly )?(?:resolved|cleared)\b", r"No \1"),
    (r"^(?:the )?(.+?) (?:is|are) no longer (?:seen|present|visualized|identified)\b", r"No \1"),
    (r"\b(is|are) (?:again |unchanged and |stable and )(?=\w)", r"\1 "),
    (
        r"\b(?:(?:is|are|has|have) )?(?:remain(?:s|ed)?|stayed|persist(?:s|ed)?)"
        r"(?: (?:stable|unchanged))?(?=[.,;]|$| in (?:size|appearance|position))",
        "is present",
    ),
    (r"\bremains?\b", "is"),
    (
        r"\b(?:is|are|appears?) (?:overall |essentially |relatively |grossly |largely |not "
        r"|significantly )*(?:unchanged|stable|changed|worse|worsened|improved|improving"
        r"|resolving|worsening|increasing|decreasing)\b(?: in (?:size|appearance|position))?",
        "is present",
    ),
    (
        r"\b(?:has|have) (?:\w+ly |not |been |somewhat )*(?:increased|decreased|improved|worsened"
        r"|enlarged|progressed|changed|developed|appeared)\b(?: in (?:size|extent))?",
        "is present",
    ),
    (r"\b(?:with|and|but) (?:no|without) (?:\w+ )?(?:interval )?change\b", ""),
    (r",? (?:which|that) (?:is|are) (?:unchanged|stable)\b", ""),
    (r"\bno (?:definite )?new (?=\w)", "no "),
    (r"\b(?:un)?changed (?=(?:in|from)\b)", ""),
)
_REWRITES = tuple((re.compile(pattern, re.IGNORECASE), by) for pattern, by in _STATUS)
_LOOSE_WORD = re.compile(
    r"\b(?:(?:is|are) again|once again|again|unchanged|stabl[ey]|stability|newly|new"
    r"|interval(?:ly)?"
    r"|persist(?:ent(?:ly)?|ing)|worsen(?:ed|ing)|worse|improv(?:ed|ing)|resolving|progressive(?:ly)?"
    r"|progressing|previously (?:seen|noted|described|identified)|previously|now|no longer"
    r"|re-?demonstrat\w+|increas(?:ed|ing)|decreas(?:ed|ing))\b,?\s*",
    re.IGNORECASE,
)
_ORPHAN = re.compile(
    r"^(?:(?:the|a|an|is|are|was|there|and|or|but|with|seen|noted|present|in|of|size|appearance"
    r"|position|no|has|have|been|findings?|otherwise)\W*)*$",
    re.IGNORECASE,
)


def without_comparison(sentence: str) -> str | None:
    """What the sentence says of the present image; None where it says nothing of it."""
    if not COMPARISON.search(sentence):
        return sentence
    text = sentence.strip()
    if _DROP.match(text):
        return None
    for pattern, by in _REWRITES:
        text = pattern.sub(by, text)
    while (found := _next_loose(text)) is not None:
        text = text[: found.start()] + text[found.end() :]
    text = _tidy(text)
    if _ORPHAN.match(text) or COMPARISON.search(text):
        return None
    return text


def _next_loose(text: str) -> re.Match[str] | None:
    """The next loose word that stands in a phrase of comparison (not in a state of one image)."""
    spans = [match.span() for match in COMPARISON.finditer(text)]
    for match in _LOOSE_WORD.finditer(text):
        if any(start < match.end() and match.start() < end for start, end in spans):
            return match
    return None


def _tidy(text: str) -> str:
    text = re.sub(r"\s+([.,;])", r"\1", " ".join(text.split()))
    text = re.sub(r"\b(is|are) (?:is|are) ", r"\1 ", text)
    text = re.sub(r"\ba (?=[aeio])", "an ", re.sub(r"\ban (?=[^aeiouAEIOU\W])", "a ", text))
    text = re.sub(r"([.,;])[.,;]+", r"\1", text).strip(" ,;")
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")

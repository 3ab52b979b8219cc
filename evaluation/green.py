"""GREEN's arithmetic and the parser of its judge's answers.

GREEN is the number of matched findings over matched findings and clinically significant errors of
six kinds; zero where nothing is matched. The published parser gives zero for an answer that it
cannot read too, so that a broken judge looks like a bad report (evaluation_metrics 1.10): here
every reading says whether it was read, and how. The judge is a 7B model and no part of this module.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evaluation.judged import CATEGORIES

Status = Literal["read", "read by number", "no matched section", "no error section"]
"""``read by number``: kinds were numbered (1) to (6), the published parser's second try. The last
two are failures, whose ``green`` is zero as published."""


@dataclass(frozen=True)
class Reading:
    """What one answer says; ``errors`` (6,) are significant errors by kind."""

    matched: int
    errors: tuple[int, ...]
    status: Status

    @property
    def is_read(self) -> bool:
        return self.status in ("read", "read by number")


def green(matched: int, errors: Sequence[int]) -> float:
    """The score of one pair, 0-1, from matched findings and significant errors by kind."""
    return matched / (matched + sum(errors)) if matched else 0.0


def score_of(reading: Reading) -> float:
    """GREEN as published: an answer without its sections scores zero (see ``status``)."""
    return green(reading.matched, reading.errors)


def failure_rate(readings: Sequence[Reading]) -> float:
    """Share of answers that could not be read, 0-1; zero of none."""
    return sum(not reading.is_read for reading in readings) / max(len(readings), 1)


_MATCHED = "Matched Findings"
_ERRORS = "Clinically Significant Errors"
_COUNT = re.compile(r"\s*(\d+)\.")


def read_answer(answer: str) -> Reading:
    """Counts of one answer as the published parser reads them, with what became of it.

    A section goes from its heading to a blank line; one that begins with "No" counts zero, also
    where the word is "Nodule". A kind's count stands between a colon and a full stop.
    """
    found, errors = _section(answer, _MATCHED), _section(answer, _ERRORS)
    matched = _leading_count(found)
    counts, by_number = _error_counts(errors)
    status: Status = "read by number" if by_number else "read"
    if errors is None:
        status = "no error section"
    if matched is None:
        status = "no matched section"
    return Reading(matched or 0, counts, status)


def _section(answer: str, heading: str) -> str | None:
    match = re.search(rf"\[{heading}\]:\s*(.*?)(?:\n\s*\n|\Z)", answer, re.DOTALL)
    return match.group(1) if match else None


def _leading_count(section: str | None) -> int | None:
    """Zero for a section that says there is none; None for one without a count."""
    if section is None:
        return None
    if section.startswith("No"):
        return 0
    match = _COUNT.match(section)
    return int(match.group(1)) if match else None


def _error_counts(section: str | None) -> tuple[tuple[int, ...], bool]:
    """Errors by kind, and whether kinds had numbers in place of letters."""
    nothing = (0,) * len(CATEGORIES)  # the answer's (a) to (f), in that order
    if section is None or section.startswith("No"):
        return nothing, False
    for marks, by_number in (("abcdef", False), ("123456", True)):
        counts = [_count_of(section, mark) for mark in marks]
        if any(count is not None for count in counts):
            return tuple(count or 0 for count in counts), by_number
    return nothing, False


def _count_of(section: str, mark: str) -> int | None:
    """The integer of the kind's own line: "(a) False report…: 2. one thing; another"."""
    line = re.search(rf"\({mark}\)[^\n]*", section)
    match = re.search(r":\s*(\d+)\s*\.", line.group(0)) if line else None
    return int(match.group(1)) if match else None

"""Whether what came back may be kept: checks against what was asked, each with a reason code.

    label-lost, label-added, label-certainty   synthesized text and labels disagree under rule14
    name-lost          a label without a CheXpert counterpart is not named
    side-changed       left and right are not those of the question
    negation-changed   a denial appeared or vanished
    certainty-changed  a doubt appeared or vanished
    number-changed     a number appeared, vanished or changed
    comparison-kept    words of comparison where none may be
    finding-lost       a finding of the report is gone
    text-added         words without support in the report
    section-changed    a section appeared or vanished
    language           the text is not English
    length             far too short or too long
    empty              neither findings nor impression; no question, answer or request

Of dialogues also:

    not-answerable     the report does not tell what is asked
    question-unclear   asks for no finding, or for several
    type-wrong         the question's words are of another type
    answer-wrong       yes, no or doubt against rule14's value
    answer-unclear     neither yes, no nor doubt where one is asked for; no place
    place-changed, size-changed, severity-changed, kind-changed, view-changed
                       not the report's, or words of several findings given to one
    report-named       speaks of a report
    request-unclear    asks for none of the report's findings
    span-malformed     not one whole span with text at the answer's end

The checks are in ``fidelity_synthesized``, ``fidelity_translated`` and ``fidelity_structured``;
those of dialogues in ``fidelity_questions`` and ``fidelity_requested``.
Details name observations, sides and counts, never words of a report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.reports.comparison import comparison_words

UNKNOWN_TO_RULE14 = re.compile(
    r"\b(?:aort|hernia|scoliosis|kyphosis|emphysem|fibro|bronchiecta|granulom|calcif|cyst|copd"
    r"|hyperinfl|tuberculo|osteop|degenerat|goiter|adenopath|lymphadenopath|pneumoperiton|cavit"
    r"|aneurysm|pneumomediast)",
    re.IGNORECASE,
)
"""Findings that rule14 does not know and a language model likes to add (our choice)."""


@dataclass(frozen=True)
class Problem:
    """Why an answer is not kept."""

    reason: str
    detail: str


def no_comparison(text: str) -> Problem | None:
    """No word may speak of an earlier examination."""
    found = comparison_words(text)
    return Problem("comparison-kept", f"found {len(found)} words of comparison") if found else None

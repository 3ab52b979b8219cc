"""What a request and a text to draw say beside findings and sides: the film's view, and degrees.

Readers of plain words; no text is wrong. Findings are rule14's.
"""

from __future__ import annotations

import re
from typing import Final

from evaluation.grounding_match import asserted_members, sentence_spans
from sources.record import View

_FILM: Final = re.compile(
    r"\b(pa|ap|lateral|frontal|postero-?anterior|antero-?posterior)[ -]"
    r"(?:chest|view|film|x-?ray|radiograph|projection|image|picture|one)\w*",
    re.IGNORECASE,
)
"""A view that is a film's: not the lateral part of a lung."""
_FRONTAL: Final = frozenset({View.PA, View.AP})
_VIEWS: Final[dict[str, frozenset[View]]] = {
    "pa": frozenset({View.PA}),
    "posteroanterior": frozenset({View.PA}),
    "ap": frozenset({View.AP}),
    "anteroposterior": frozenset({View.AP}),
    "lateral": frozenset({View.LATERAL}),
    "frontal": _FRONTAL,
}
_DEGREES: Final = tuple(
    (degree, re.compile(rf"\b(?:{words})\b", re.IGNORECASE))
    for degree, words in (
        ("slight", r"tiny|minuscule|trace|minimal(?:ly)?|slight(?:ly)?|small|mild(?:ly)?"
                   r"|borderline"),
        ("moderate", r"moderate(?:ly)?|medium(?:-sized)?"),
        ("great", r"large|massive|huge|severe(?:ly)?|marked(?:ly)?|extensive(?:ly)?"),
    )
)  # fmt: skip
"""Sizes and severities in three steps. Our choice: a person who asks for a mild effusion and gets
a small one has what was asked for; one who asks for a large one has not."""


def views_of_films(text: str) -> frozenset[View]:
    """The views of the films that a text speaks of; ``frontal`` is both frontal ones."""
    named = (_VIEWS[found.lower().replace("-", "")] for found in _FILM.findall(text))
    return frozenset(view for views in named for view in views)


def degrees_of(text: str) -> dict[str, frozenset[str]]:
    """By finding that the text asserts, every degree that stands in its part of a sentence."""
    told: dict[str, frozenset[str]] = {}
    for start, end in sentence_spans(text):
        for observation, words in asserted_members(text[start:end]):
            found = frozenset(name for name, pattern in _DEGREES if pattern.search(words))
            told[observation] = told.get(observation, frozenset()) | found
    return {observation: degrees for observation, degrees in told.items() if degrees}

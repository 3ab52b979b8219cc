"""A request for a film and the answer that asks for its drawing, by rules: the offline stand-in.

The request names the view and the findings that rule14 asserts in the report, with their sides,
places and degrees, in one of many wordings (``request_wordings``); the text to draw is the
report's, made to speak of the present film alone.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

from sources.drawing import VIEW_SENTENCES
from sources.record import LabelValue, View
from sources.xray_span import with_span
from tasks.reports.offline_phrases import bare, phrase_of
from tasks.reports.offline_structure import structure
from tasks.reports.question_types import films_in
from tasks.reports.request_wordings import HELD_OUT, KNOWN, ask_for, film_phrase
from tasks.reports.statements import NO_FINDING, Statement, outside_of, read_statements

MOST_FINDINGS = 3
"""Findings that a request names. Our choice: a person who asks for a film names the main ones."""
_REPLIES = (
    "Of course, here is the film.",
    "Here is the X-ray that you asked for.",
    "Certainly. This is such a film.",
    "Sure, the picture follows.",
)


def request_film(payload: dict[str, Any], random: Random) -> dict[str, str]:
    """The answer to a request for such a dialogue."""
    view = View(payload["view"])
    drawn = structure({"report": f"FINDINGS: {payload['report']}"})["findings"] or ""
    request = request_for(drawn, view, random)
    answer = with_span(random.choice(_REPLIES), f"{VIEW_SENTENCES[view]} {drawn}".strip())
    return {"request": request, "answer": answer}


def request_for(drawn: str, view: View, random: Random, wordings: tuple[str, ...] = KNOWN) -> str:
    """Words in which a person asks for the film of a text."""
    chosen = _chosen(drawn, random)
    sure = [phrase_of(item) for item in chosen if item.value is LabelValue.POSITIVE]
    doubted = [phrase_of(item) for item in chosen if item.value is LabelValue.UNCERTAIN]
    findings = " and ".join(sure or [f"possible {bare(phrase)}" for phrase in doubted])
    other = [
        part
        for part in _SENTENCE.split(drawn)
        if LabelValue.POSITIVE in _outside(part) and not films_in(part)
    ]
    request = ask_for(film_phrase(view, random), findings, " ".join(other[:1]), random, wordings)
    if sure:  # each in a sentence of its own, or the doubt would reach what is sure, or not reach
        request += "".join(f" It may also show {phrase}." for phrase in doubted)
    return request


def held_out_request(prompt: str, random: Random) -> str | None:
    """A request for a text to draw, in words that no dialogue of these rules is written in; None
    where the text does not begin with the sentence of a view."""
    for view, sentence in VIEW_SENTENCES.items():
        if prompt.startswith(sentence):
            drawn = prompt.removeprefix(sentence).strip()
            return request_for(drawn, View(view), random, HELD_OUT)
    return None


_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def _outside(sentence: str) -> list[LabelValue]:
    """What a sentence says of findings that rule14 does not know."""
    return list(outside_of(sentence).values())


def _chosen(drawn: str, random: Random) -> list[Statement]:
    """One statement of each asserted observation, in a drawn order, up to the most."""
    first: dict[str, Statement] = {}
    for item in read_statements(drawn).statements:
        is_asserted = item.value in (LabelValue.POSITIVE, LabelValue.UNCERTAIN)
        known = first.get(item.observation)
        if is_asserted and item.observation != NO_FINDING and _tells_more(item, known):
            first[item.observation] = item
    return [first[name] for name in random.sample(sorted(first), min(MOST_FINDINGS, len(first)))]


def _tells_more(item: Statement, known: Statement | None) -> bool:
    """A statement that is sure is preferred to one in doubt, and the first to a later one."""
    if known is None:
        return True
    return known.value is LabelValue.UNCERTAIN and item.value is LabelValue.POSITIVE

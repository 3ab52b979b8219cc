"""A request for a film and the answer that asks for its drawing, by rules: the offline stand-in.

The request names the view and the findings that rule14 asserts in the report, with their sides,
places and degrees, in one of many wordings (``request_wordings``); the text to draw is the
report's, made to speak of the present film alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Any

from sources.drawing import VIEW_SENTENCES
from sources.record import LabelValue, View
from sources.xray_span import with_span
from tasks.reports.fidelity_requested import LONGEST_REPLY
from tasks.reports.offline_phrases import bare, phrase_of
from tasks.reports.offline_structure import structure
from tasks.reports.question_types import films_in
from tasks.reports.request_wordings import HELD_OUT, KNOWN, ask_for, film_phrase
from tasks.reports.statements import NO_FINDING, Statement, outside_of, read_statements

MOST_FINDINGS = 3
"""Findings that a request names. Our choice: a person who asks for a film names the main ones."""
_REPLIES = ("Here is", "Of course, here is", "Certainly, this is")
"""Taken up by the film and the findings that were asked for: what is asked is copied word by word
before it is drawn. Behind a reply that names none a small model guesses the side (docs/log.md)."""
_FILMS = {View.PA: "a PA film", View.AP: "an AP film", View.LATERAL: "a lateral film"}


@dataclass(frozen=True)
class _Named:
    """What of a text is asked for: findings in one phrase (or none), doubted ones beside sure ones,
    and a sentence of what rule14 does not know."""

    findings: str
    doubted: tuple[str, ...]
    sentence: str


def request_film(payload: dict[str, Any], random: Random) -> dict[str, str]:
    """The answer to a request for such a dialogue."""
    view = View(payload["view"])
    drawn = structure({"report": f"FINDINGS: {payload['report']}"})["findings"] or ""
    named = _named(drawn, random)
    request = _request(named, view, random, KNOWN)
    answer = with_span(_reply(named, view, random), f"{VIEW_SENTENCES[view]} {drawn}".strip())
    return {"request": request, "answer": answer}


def _named(drawn: str, random: Random) -> _Named:
    chosen = _chosen(drawn, random)
    sure = [phrase_of(item) for item in chosen if item.value is LabelValue.POSITIVE]
    doubted = [phrase_of(item) for item in chosen if item.value is LabelValue.UNCERTAIN]
    findings = " and ".join(sure or [f"possible {bare(phrase)}" for phrase in doubted])
    other = [
        part
        for part in _SENTENCE.split(drawn)
        if LabelValue.POSITIVE in _outside(part) and not films_in(part)
    ]
    # each doubt in a sentence of its own, or it would reach what is sure, or not reach
    return _Named(findings, tuple(doubted) if sure else (), " ".join(other[:1]))


def _request(named: _Named, view: View, random: Random, wordings: tuple[str, ...]) -> str:
    film = film_phrase(view, random)
    asked = ask_for(film, named.findings, named.sentence, random, wordings)
    return asked + "".join(f" It may also show {phrase}." for phrase in named.doubted)


def _reply(named: _Named, view: View, random: Random) -> str:
    """A sentence of acceptance that names what was asked for, as far as it is short."""
    begun = f"{random.choice(_REPLIES)} {_FILMS[view]}"
    whole = f"{begun} with {named.findings}."
    is_short = len(whole.split()) <= LONGEST_REPLY
    return whole if named.findings and is_short else f"{begun}."


def held_out_request(prompt: str, random: Random) -> str | None:
    """A request for a text to draw, in words that no dialogue of these rules is written in; None
    where the text does not begin with the sentence of a view."""
    for view, sentence in VIEW_SENTENCES.items():
        if prompt.startswith(sentence):
            drawn = prompt.removeprefix(sentence).strip()
            return _request(_named(drawn, random), View(view), random, HELD_OUT)
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

"""One text to draw, held to the request that it answers: counts, and what went wrong by kind.

Findings are rule14's, asserted in both texts, doubts left out. A side or a degree is held where the
request tells exactly one of a finding, a view where it names one. What the span leaves out is a
failure for findings and views alone: a report that tells no degree is no other degree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from evaluation.film_targets import FINDINGS, SIDED, SIDES, film_targets, place_of, sided
from evaluation.labeler import label_report
from evaluation.request_words import degrees_of, views_of_films
from sources.record import LabelValue
from sources.xray_span import SpanFault, XrayAnswer

OMITS: Final = "omits-asked-finding"
CONTRADICTS: Final = "contradicts-request"
WRONG_SIDE: Final = "wrong-side"
WRONG_VIEW: Final = "wrong-view"
WRONG_DEGREE: Final = "wrong-degree"
VIEW_NOT_LEARNED: Final = "view-not-learned"
FAILURES: Final = (
    *(str(fault) for fault in SpanFault),
    *(OMITS, CONTRADICTS, WRONG_SIDE, WRONG_VIEW, WRONG_DEGREE),
    VIEW_NOT_LEARNED,
)
"""Faults of the span's form (``sources.xray_span``), then of what it says; the last is no text's:
the model that draws has not been shown the span's view, so that nothing is drawn of it."""


@dataclass(frozen=True)
class Held:
    """One span held to one request.

    Args:
        shown, asked, said: findings that both assert, the request, the span.
        right, sided: findings asked for on one side, and those that the span has there alone.
        fitting, graded: findings asked for in one degree, and those that the span has in it alone.
        seen, viewed: 1 where the request names a view, and where the span is of it.
        whole, coherent, requests: 1 for one whole span, 1 without any failure, 1.
        failures: of ``FAILURES``.
    """

    shown: int
    asked: int
    said: int
    right: int
    sided: int
    fitting: int
    graded: int
    seen: int
    viewed: int
    whole: int
    coherent: int
    failures: frozenset[str]
    requests: int = 1


def hold(request: str, answer: XrayAnswer) -> Held:
    """What of the request stands in the text to draw."""
    span = answer.prompt or ""
    asked, said = (asserted(text) for text in (request, span))
    sides, told_sides = (_sides(text, names) for text, names in ((request, asked), (span, said)))
    grades, told_grades = (_grades(text, names) for text, names in ((request, asked), (span, said)))
    views, told_views = (views_of_films(text) for text in (request, span))
    is_seen = bool(views & told_views)
    failures = {str(answer.fault)} if answer.fault is not None else set()
    if answer.prompt is not None:
        told = {
            OMITS: bool(asked - said),
            CONTRADICTS: _contradicts(request, span, asked, said),
            WRONG_SIDE: _differ(sides, told_sides),
            WRONG_VIEW: bool(views) and not is_seen,
            WRONG_DEGREE: _differ(grades, told_grades),
        }
        failures |= {kind for kind, holds in told.items() if holds}
    return Held(
        shown=len(asked & said),
        asked=len(asked),
        said=len(said),
        right=len(sides.items() & told_sides.items()),
        sided=len(sides),
        fitting=len(grades.items() & told_grades.items()),
        graded=len(grades),
        seen=int(is_seen),
        viewed=int(bool(views)),
        whole=int(answer.fault is None),
        coherent=int(not failures),
        failures=frozenset(failures),
    )


def asserted(text: str) -> frozenset[str]:
    """Findings that rule14 asserts in the text; ``No Finding`` is none."""
    labels = label_report(text)
    return frozenset(name for name in FINDINGS if labels.get(name) is LabelValue.POSITIVE)


def _differ(asked: Mapping[str, str], told: Mapping[str, str]) -> bool:
    """Whether both tell one word of a finding, and not the same."""
    return any(told.get(name, word) != word for name, word in asked.items())


def _sides(text: str, names: frozenset[str]) -> dict[str, str]:
    """The findings that a text asserts on exactly one side, with it."""
    row = film_targets([text])[0]
    found = {
        name: [side for side in SIDES if row[place_of(sided(name, side))] == 1.0]
        for name in names
        if name in SIDED
    }
    return {name: sides[0] for name, sides in found.items() if len(sides) == 1}


def _grades(text: str, names: frozenset[str]) -> dict[str, str]:
    """The findings that a text asserts in exactly one degree, with it."""
    found = degrees_of(text)
    return {
        name: next(iter(found[name])) for name in names if name in found and len(found[name]) == 1
    }


def _contradicts(request: str, span: str, asked: frozenset[str], said: frozenset[str]) -> bool:
    """One asserts what the other denies, or one is of a normal chest and the other of a disease."""
    wanted, told = label_report(request), label_report(span)
    denied = any(told.get(name) is LabelValue.NEGATIVE for name in asked)
    denied |= any(wanted.get(name) is LabelValue.NEGATIVE for name in said)
    normal, sick = "No Finding", {*FINDINGS} - {"Support Devices"}
    denied |= wanted.get(normal) is LabelValue.POSITIVE and not asked and bool(said & sick)
    denied |= told.get(normal) is LabelValue.POSITIVE and not said & sick and bool(asked & sick)
    return bool(denied)

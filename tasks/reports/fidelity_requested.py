"""A request for a film and its answer against the report whose text shall be drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sources.drawing import VIEW_SENTENCES
from sources.record import LabelValue, View
from sources.xray_span import CLOSE, OPEN, read_span
from tasks.reports.fidelity import Problem, no_comparison
from tasks.reports.fidelity_agreement import disagreement, loose_problem
from tasks.reports.fidelity_structured import check_structured
from tasks.reports.question_types import films_in
from tasks.reports.statements import outside_of, read_statements

LONGEST_REQUEST: Final = 80
"""Words of a request. Our choice: three sentences, and who asks may say why."""
LONGEST_REPLY: Final = 30
"""Words before the span: one short sentence of acceptance (medxchat 1.4)."""
_NORMAL: Final = re.compile(r"\b(?:normal|healthy|clear|unremarkable|no|without)\b", re.IGNORECASE)
_ASSERTED = (LabelValue.POSITIVE, LabelValue.UNCERTAIN)


@dataclass(frozen=True)
class Requested:
    """What a person asks for, and the answer with its span."""

    request: str
    answer: str


def check_requested(given: Requested, report: str, view: View) -> Problem | None:
    """A request and its answer.

    Args:
        report: the text of the present film that shall be drawn.
        view: of the film that the report belongs to.
    """
    answer = read_span(given.answer)
    sentence = VIEW_SENTENCES[view]
    if answer.fault is not None:
        return Problem("span-malformed", f"found {answer.fault}; expected one whole span")
    whole = f"{OPEN}{answer.prompt}{CLOSE}"
    if not " ".join(given.answer.split()).endswith(whole):
        return Problem("span-malformed", "found words behind the span, or other tags")
    prompt = answer.prompt or ""
    if not prompt.startswith(sentence):
        return Problem("view-changed", f"found another beginning of the span; expected {view}")
    drawn = prompt.removeprefix(sentence).strip()
    return (
        _drawn_problem(drawn, report)
        or _said_problem(answer.said, drawn)
        or _request_problem(given.request, drawn, view)
    )


def _drawn_problem(drawn: str, report: str) -> Problem | None:
    """The text to draw is the report's of the present film: nothing added, nothing lost."""
    if not drawn:
        return Problem("empty", "found a view alone in the span")
    own = {"findings": report}
    return check_structured(report, own, {"findings": drawn}) or disagreement(drawn, report)


def _said_problem(said: str, drawn: str) -> Problem | None:
    """The words of acceptance."""
    if not said:
        return Problem("empty", "found nothing said before the span")
    if len(said.split()) > LONGEST_REPLY:
        detail = f"before the span: found {len(said.split())} words; expected {LONGEST_REPLY}"
        return Problem("length", detail)
    return no_comparison(said) or disagreement(said, drawn) or loose_problem(said, drawn)


def _request_problem(request: str, drawn: str, view: View) -> Problem | None:
    """The request asks for this view (for any, if it is a frontal one) and these findings, and for
    no other."""
    if not request.strip():
        return Problem("empty", "found no request")
    if len(request.split()) > LONGEST_REQUEST:
        detail = f"request: found {len(request.split())} words; expected {LONGEST_REQUEST}"
        return Problem("length", detail)
    views = films_in(request)
    expected = (view,) if view is View.LATERAL or len(views) == 1 else (View.PA, View.AP)
    if (views or view is View.LATERAL) and not (view in views and views <= {*expected}):
        named = ", ".join(sorted(views)) or "no view"
        return Problem("view-changed", f"found {named} in the request; expected {view}")
    plain = _without_view(request)
    return (
        no_comparison(request)
        or disagreement(plain, drawn)
        or loose_problem(plain, drawn)
        or _asks_problem(request, drawn)
    )


def _without_view(request: str) -> str:
    """A left lateral film has no finding on the left."""
    return re.sub(r"\b(?:left|right)[- ]lateral\b", "lateral", request, flags=re.IGNORECASE)


def _asks_problem(request: str, drawn: str) -> Problem | None:
    """One finding at least is asked for, or a film without any."""
    asked, told = read_statements(request), read_statements(drawn)
    wanted = {item.observation for item in told.statements if item.value in _ASSERTED}
    named = {item.observation for item in asked.statements if item.value in _ASSERTED}
    if wanted and not named:
        return Problem("request-unclear", "found no finding in the request; expected one")
    outside = {stem for stem, value in outside_of(drawn).items() if value is LabelValue.POSITIVE}
    if not wanted and outside:
        if outside & outside_of(request).keys():
            return None
        return Problem("request-unclear", "found no finding in the request; expected one")
    if not wanted and not _NORMAL.search(request):
        return Problem("request-unclear", "found no word for a normal film in the request")
    return None

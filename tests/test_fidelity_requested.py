"""A request for a film, its answer and the text to draw against the report, mistake by mistake."""

from __future__ import annotations

import pytest

from sources.record import View
from tasks.reports.fidelity_requested import Requested, check_requested
from tasks.reports.prompts import REQUEST

REPORT = (
    "The heart is mildly enlarged. There is a small left pleural effusion, unchanged from the "
    "prior study. No pneumothorax."
)
DRAWN = "The heart is mildly enlarged. There is a small left pleural effusion. No pneumothorax."
SAID = "Of course, here it is."
SPAN = f"<Xray>PA view of the chest was obtained. {DRAWN}</Xray>"
ASKED = "Could I see a PA chest X-ray with mild cardiomegaly and a small left pleural effusion?"


def reason(
    request: str = ASKED, answer: str = f"{SAID} {SPAN}", report: str = REPORT, view: View = View.PA
) -> str | None:
    problem = check_requested(Requested(request, answer), report, view)
    return problem.reason if problem else None


def drawn(text: str) -> str:
    return f"{SAID} <Xray>PA view of the chest was obtained. {text}</Xray>"


@pytest.mark.parametrize(
    "request_text",
    [
        ASKED,
        "Show me a PA film with a left pleural effusion.",
        "Show me a film with a left pleural effusion.",
        "My students want to see cardiomegaly. Please draw a PA view with it.",
        "I need a frontal chest X-ray with a small effusion and without pneumothorax.",
    ],
)
def test_what_asks_for_the_reports_findings_is_kept(request_text: str) -> None:
    assert reason(request_text) is None


def test_a_lateral_film_is_asked_for_as_one() -> None:
    lateral = f"{SAID} {SPAN.replace('PA view', 'Lateral view')}"
    assert reason("A film with a left effusion.", lateral, view=View.LATERAL) == "view-changed"
    assert reason("A lateral film with an effusion.", lateral, view=View.LATERAL) is None


@pytest.mark.parametrize(
    ("expected", "request_text"),
    [
        ("side-changed", "A PA film with a right pleural effusion, please."),
        ("size-changed", "A PA film with a large left pleural effusion, please."),
        ("severity-changed", "A PA film with severe cardiomegaly, please."),
        ("text-added", "A PA film with a pleural effusion and pulmonary edema, please."),
        ("text-added", "A PA film with a pleural effusion and emphysema, please."),
        ("negation-changed", "A PA film with a pneumothorax, please."),
        ("negation-changed", "A PA film without a pleural effusion, please."),
        ("certainty-changed", "A PA film with a possible left pleural effusion, please."),
        ("view-changed", "A lateral film with a left pleural effusion, please."),
        ("view-changed", "An AP film with a left pleural effusion, please."),
        ("view-changed", "A PA film or a lateral view with a left pleural effusion, please."),
        ("request-unclear", "A PA film, please."),
        ("number-changed", "A PA film with two left pleural effusions, please."),
        ("comparison-kept", "A PA film with a new left pleural effusion, please."),
        ("empty", "  "),
        ("length", "Please " * 90 + "show a PA film with a left pleural effusion."),
    ],
)
def test_a_request_that_asks_for_something_else(expected: str, request_text: str) -> None:
    assert reason(request_text) == expected


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        ("span-malformed", SAID),
        ("span-malformed", f"{SAID} {SPAN.removesuffix('</Xray>')}"),
        ("span-malformed", f"{SAID} <Xray></Xray>"),
        ("span-malformed", f"{SAID} {SPAN} {SPAN}"),
        ("span-malformed", f"{SAID} {SPAN} You are welcome."),
        ("span-malformed", f"{SAID} {SPAN.replace('Xray', 'xray')}"),
        ("span-malformed", f"{SAID} <Xray>{SPAN}</Xray>"),
        ("view-changed", f"{SAID} <Xray>{DRAWN}</Xray>"),
        ("view-changed", f"{SAID} {SPAN.replace('PA view', 'Lateral view')}"),
        ("empty", SPAN),
        ("empty", f"{SAID} <Xray>PA view of the chest was obtained.</Xray>"),
        ("length", f"{'Gladly ' * 40} {SPAN}"),
        ("text-added", f"Here is a film with pulmonary edema. {SPAN}"),
        ("text-added", drawn(f"{DRAWN} There is pulmonary edema.")),
        ("text-added", drawn(f"{DRAWN} Emphysema is seen.")),
        ("finding-lost", drawn("The heart is mildly enlarged. No pneumothorax.")),
        ("finding-lost", drawn("There is a small left pleural effusion. No pneumothorax.")),
        ("side-changed", drawn(DRAWN.replace("left", "right"))),
        ("size-changed", drawn(DRAWN.replace("small", "large"))),
        ("severity-changed", drawn(DRAWN.replace("mildly", "severely"))),
        ("comparison-kept", drawn(REPORT)),
    ],
)
def test_an_answer_that_draws_something_else(expected: str, answer: str) -> None:
    assert reason(answer=answer) == expected


def test_a_denial_turned_over_is_found_by_one_check_or_another() -> None:
    answer = drawn(DRAWN.replace("No pneumothorax", "There is a pneumothorax"))
    assert reason(answer=answer) in ("negation-changed", "text-added")


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("Please draw a normal PA chest X-ray.", None),
        ("A PA film without any abnormality, please.", None),
        ("A PA film, please.", "request-unclear"),
        ("A PA film with a nodule, please.", "text-added"),
    ],
)
def test_a_normal_film_is_asked_for_as_one(request_text: str, expected: str | None) -> None:
    report = "The lungs are clear. No pleural effusion."
    assert reason(request_text, drawn(report), report) == expected


def test_a_finding_that_rule14_does_not_know_is_asked_for_too() -> None:
    report = "The lungs are clear. Mild scoliosis of the spine."
    named = "A PA film that shows mild scoliosis of the spine, please."
    assert reason(named, drawn(report), report) is None
    assert reason("A normal PA film, please.", drawn(report), report) == "request-unclear"


def test_the_prompts_example_keeps_its_own_rules() -> None:
    payload, answer = REQUEST.examples[0]
    given = Requested(**answer.model_dump())
    assert check_requested(given, str(payload["report"]), View(str(payload["view"]))) is None

"""The offline rules' questions and requests: made of the report alone, the same for the same."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.llm.prompt import Prompt
from sources.record import View
from sources.xray_span import read_span, with_span
from tasks.reports.fidelity_questions import Asked, check_asked
from tasks.reports.fidelity_requested import Requested, check_requested
from tasks.reports.offline_answers import answer_question
from tasks.reports.offline_converse import converse
from tasks.reports.offline_phrases import kinds_of, phrase_of, with_article
from tasks.reports.offline_request import MOST_FINDINGS, held_out_request, request_film
from tasks.reports.prompts import CONVERSE, REQUEST
from tasks.reports.question_types import films_in
from tasks.reports.request_wordings import HELD_OUT, KNOWN
from tasks.reports.statements import read_statements

REPORT = (
    "There is a moderate left pleural effusion. Mild pulmonary edema. Plate-like atelectasis is "
    "seen at the right lung base. No pneumothorax. The heart size is normal."
)


def questions(report: str, seed: int = 0, most: int = 20, view: str | None = "PA") -> list[Any]:
    payload = {"report": report, "most_questions": most} | ({"view": view} if view else {})
    return converse(payload, Random(seed))["questions"]


def told(report: str, kind: str) -> set[tuple[str, str]]:
    return {(row["question"], row["answer"]) for row in questions(report) if row["type"] == kind}


def test_every_type_that_the_report_answers_is_asked() -> None:
    kinds = Counter(row["type"] for row in questions(REPORT))
    assert set(kinds) == {"presence", "location", "size", "severity", "type", "view"}
    assert told(REPORT, "size") == {("How large is the pleural effusion?", "It is moderate.")}
    assert told(REPORT, "severity") == {("How severe is the pulmonary edema?", "It is mild.")}
    assert {answer for _, answer in told(REPORT, "type")} == {"Linear atelectasis."}
    assert {answer for _, answer in told(REPORT, "location")} == {
        "On the left.",
        "In the right lung base.",
    }


def test_nothing_is_asked_that_is_not_told() -> None:
    assert {row["type"] for row in questions("No pneumothorax.", view=None)} == {"presence"}
    assert questions("Comparison is made with a film.", view=None) == []
    assert not told("Possible small nodule in the left upper lobe.", "location")
    assert not told("Small left and large right pleural effusions.", "size")


def test_what_is_doubtful_is_answered_with_doubt() -> None:
    rows = questions("Pneumonia is possible.", view=None)
    assert rows[0]["answer"] == "Possibly; pneumonia cannot be excluded."


def test_a_normal_film_is_called_so_only_without_other_findings() -> None:
    normal = "The lungs are clear. The heart size is normal."
    asked = "Is this chest X-ray normal?"
    assert asked in {question for question, _ in told(normal, "presence")}
    assert asked not in {q for q, _ in told(f"{normal} Scoliosis is present.", "presence")}
    assert asked not in {q for q, _ in told(f"{normal} A pacemaker is in place.", "presence")}


def test_yes_is_no_better_a_guess_than_no() -> None:
    rows = [row for row in questions(REPORT) if row["type"] == "presence"]
    said = Counter(row["answer"].split(",")[0] for row in rows)
    assert abs(said["Yes"] - said["No"]) <= 1


def test_the_number_asked_for_bounds_the_set_and_types_take_turns() -> None:
    rows = questions(REPORT, most=6)
    assert len(rows) == 6
    assert len({row["type"] for row in rows}) == 6


def film(report: str, seed: int = 0, view: str = "PA") -> tuple[str, str]:
    made = request_film({"report": report, "view": view}, Random(seed))
    return made["request"], made["answer"]


def test_a_request_names_view_and_findings_and_the_span_draws_the_report() -> None:
    request, answer = film("Small left pleural effusion, unchanged. Mild edema.", view="LATERAL")
    assert " a lateral " in request
    assert "a small left pleural effusion" in request
    assert "mild pulmonary edema" in request
    assert read_span(answer).prompt == (
        "Lateral view of the chest was obtained. Small left pleural effusion. Mild edema."
    )


def test_requests_are_worded_in_many_ways_and_some_name_no_view() -> None:
    asked = {film("Small left pleural effusion.", seed)[0] for seed in range(200)}
    assert len(asked) > 150
    named = [bool(films_in(request)) for request in asked]
    assert any(named) and not all(named)
    lateral = {film("Small left pleural effusion.", seed, "LATERAL")[0] for seed in range(200)}
    assert all(films_in(request) == {View.LATERAL} for request in lateral)


def test_a_reply_takes_up_what_was_asked_for() -> None:
    _, answer = film("Small left pleural effusion. Mild edema.", view="LATERAL")
    said = read_span(answer).said
    assert "a lateral film with " in said
    assert "a small left pleural effusion" in said and "mild pulmonary edema" in said
    assert read_span(film("The lungs are clear.")[1]).said.endswith(" a PA film.")


def test_wordings_that_are_held_out_are_never_written() -> None:
    assert not {wording.lower() for wording in KNOWN} & {wording.lower() for wording in HELD_OUT}
    reports = ("Small left pleural effusion.", "The lungs are clear.", "Mild scoliosis.")
    for report, seed in product(reports, range(100)):
        prompt = f"PA view of the chest was obtained. {report}"
        request = held_out_request(prompt, Random(seed))
        assert request is not None
        problem = check_requested(Requested(request, with_span("Sure.", prompt)), report, View.PA)
        assert problem is None, (request, problem)
        assert request not in {film(report, other)[0] for other in range(20)}
    assert held_out_request("Small left pleural effusion.", Random(0)) is None


def test_a_doubt_has_a_sentence_of_its_own() -> None:
    request, _ = film("Left pleural effusion. Possible pneumonia.")
    assert request.endswith("It may also show pneumonia.")
    assert read_statements(request).value_of("Pleural Effusion") == "positive"


def test_no_more_findings_are_asked_for_than_a_person_would_name() -> None:
    report = "Edema. Consolidation. Fracture. Pneumothorax. Cardiomegaly. A nodule."
    asked = {item.observation for item in read_statements(film(report)[0]).statements}
    assert len(asked) == MOST_FINDINGS


def test_what_rule14_does_not_know_is_asked_for_in_the_reports_words() -> None:
    request, _ = film("The lungs are clear. Mild scoliosis of the spine.")
    assert request.endswith("Mild scoliosis of the spine.")


@pytest.mark.parametrize(("prompt", "rules"), [(CONVERSE, converse), (REQUEST, request_film)])
def test_the_wire_reaches_the_rules_by_the_answers_shape(prompt: Prompt, rules: Any) -> None:
    payload = {"report": REPORT, "view": "AP", "most_questions": 4}
    messages = [{"role": item.role, "content": item.content} for item in prompt.messages(payload)]
    first, again = (answer_question({"messages": messages, "seed": 3}) for _ in range(2))
    assert first == again
    prompt.answer.model_validate_json(first)
    other = {answer_question({"messages": messages, "seed": seed}) for seed in range(8)}
    assert len(other) > 1
    assert json.loads(first).keys() == rules(payload, Random(0)).keys()


SENTENCES = (
    "There is a small left pleural effusion.",
    "There are large bilateral pleural effusions.",
    "A moderate right pneumothorax is seen.",
    "Hazy opacity in the right lower lobe.",
    "Dense consolidation with air bronchograms in the left upper lobe.",
    "An 8 mm nodule in the lingula.",
    "There is severe cardiomegaly.",
    "The mediastinum is widened.",
    "Mild interstitial edema.",
    "Left apical pleural thickening.",
    "A displaced fracture of a lower right rib.",
    "An endotracheal tube and a right central venous catheter are in place.",
    "A pacemaker is in place.",
    "No pneumothorax or pleural effusion.",
    "The lungs are clear.",
    "Pneumonia is possible.",
    "There may be a small nodule in the right upper lobe.",
    "There is no fracture.",
    "The aorta is tortuous.",
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=6, unique=True),
    st.integers(0, 10**6),
    st.sampled_from(["PA", "AP", "LATERAL"]),
)
def test_whatever_the_rules_write_passes_the_checks(
    sentences: list[str], seed: int, view: str
) -> None:
    """A report may contradict itself here (clear lungs with an opacity), as no real one would."""
    report = " ".join(sentences)
    for row in questions(report, seed, view=view):
        problem = check_asked(Asked(**row), report, View(view))
        assert problem is None, (row, problem)
    request, answer = film(report, seed, view)
    problem = check_requested(Requested(request, answer), report, View(view))
    assert problem is None, (request, answer, problem)


def test_phrases() -> None:
    def said(text: str) -> str:
        return phrase_of(read_statements(text).statements[0])

    assert said("Large right pneumothorax.") == "a large right pneumothorax"
    assert said("Small bilateral pleural effusions.") == "small bilateral pleural effusions"
    assert said("Opacity in the left lower lobe.") == "a lung opacity in the left lower lobe"
    assert said("An 8 mm nodule.") == "an 8 mm nodule"
    assert said("Severe cardiomegaly.") == "severe cardiomegaly"
    assert said("A left pacemaker is in place.") == "a left pacemaker"
    dense = frozenset({"dense", "with air bronchograms"})
    assert kinds_of("Consolidation", dense) == "dense consolidation with air bronchograms"
    tubes = frozenset({"pacemaker", "endotracheal tube"})
    assert kinds_of("Support Devices", tubes) == "an endotracheal tube and a pacemaker"
    assert kinds_of("Pleural Other", frozenset({"thickening"})) == "pleural thickening"
    assert [with_article(word) for word in ("nodule", "opacity", "11 mm mass", "clips")] == [
        "a nodule",
        "an opacity",
        "an 11 mm mass",
        "clips",
    ]

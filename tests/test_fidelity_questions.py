"""Questions and answers against their report: what is right is kept, and why not."""

from __future__ import annotations

import pytest

from sources.record import View
from tasks.reports.fidelity_questions import LONGEST_WORDS, Asked, check_asked, polarity
from tasks.reports.prompts import CONVERSE

REPORT = (
    "There is a small left pleural effusion. Linear atelectasis at the right base. The heart is "
    "mildly enlarged. No pneumothorax. Pneumonia at the right base is possible. A 12 mm nodule in "
    "the left upper lobe. There is a hiatal hernia. An endotracheal tube ends above the carina."
)


def reason(kind: str, question: str, answer: str, report: str = REPORT) -> str | None:
    problem = check_asked(Asked(kind, question, answer), report, View.PA)
    return problem.reason if problem else None


RIGHT = (
    ("presence", "Is there a pleural effusion?", "Yes, there is a small left pleural effusion."),
    ("presence", "Is there a pleural effusion?", "Yes."),
    ("presence", "Does the film show a pneumothorax?", "No."),
    ("presence", "Is a pneumothorax present?", "No, no pneumothorax is seen."),
    ("presence", "Is there pneumonia?", "Possibly; pneumonia at the right base is possible."),
    ("presence", "Is the heart size normal?", "No, the heart is mildly enlarged."),
    ("presence", "Is there a hernia?", "Yes, a hiatal hernia."),
    ("presence", "Is there an effusion on the left?", "Yes, on the left."),
    ("presence", "Is there an effusion on the right?", "No, there is no effusion on the right."),
    ("location", "Is the effusion on the left?", "Yes."),
    ("presence", "Is there a large pleural effusion?", "No, it is small."),
    ("presence", "Is this a normal film?", "No."),
    ("location", "Where is the pleural effusion?", "On the left."),
    ("location", "Which lobe holds the nodule?", "The left upper lobe."),
    ("location", "On which side is the effusion, left or right?", "On the left side."),
    ("size", "How large is the pleural effusion?", "Small."),
    ("size", "What size is the nodule?", "It measures 12 mm."),
    ("severity", "How severe is the cardiomegaly?", "It is mild."),
    ("type", "What kind of atelectasis is seen?", "Linear atelectasis."),
    ("type", "Which support device is seen?", "An endotracheal tube."),
    ("view", "Which view is this?", "A PA view."),
    ("view", "Is this a frontal film?", "Yes."),
    ("view", "Is this a lateral view?", "No, it is a PA view."),
)


@pytest.mark.parametrize(("kind", "question", "answer"), RIGHT)
def test_what_the_report_says_is_kept(kind: str, question: str, answer: str) -> None:
    assert reason(kind, question, answer) is None


WRONG = (
    ("answer-wrong", "presence", "Is there a pleural effusion?", "No."),
    ("answer-wrong", "presence", "Is there a pneumothorax?", "Yes, there is one."),
    ("answer-wrong", "presence", "Is there pneumonia?", "Yes."),
    ("answer-wrong", "presence", "Is there pneumonia?", "No."),
    ("answer-wrong", "presence", "Is there a pleural effusion?", "Possibly."),
    ("answer-wrong", "presence", "Is the heart size normal?", "Yes."),
    ("answer-wrong", "presence", "Is there an effusion on the right?", "Yes."),
    ("answer-wrong", "presence", "Is there a large pleural effusion?", "Yes."),
    ("answer-wrong", "presence", "Is there a hernia?", "No."),
    ("answer-unclear", "presence", "Is there a pleural effusion?", "A small one."),
    ("not-answerable", "presence", "Is there a fracture?", "No."),
    ("not-answerable", "presence", "Is there emphysema?", "No."),
    ("not-answerable", "presence", "Is the atelectasis mild?", "Yes."),
    ("not-answerable", "location", "Where is the pneumothorax?", "On the left."),
    ("not-answerable", "location", "Where is the pneumonia?", "At the right base."),
    ("not-answerable", "severity", "How severe is the atelectasis?", "It is mild."),
    ("not-answerable", "size", "How large is the atelectasis?", "It is small."),
    ("not-answerable", "type", "What type of pleural effusion is it?", "Loculated."),
    ("not-answerable", "presence", "Is there an effusion beside the aortic aneurysm?", "Yes."),
    ("side-changed", "location", "Where is the pleural effusion?", "On the right."),
    ("side-changed", "location", "Where is the pleural effusion?", "On both sides."),
    ("side-changed", "location", "Which lobe holds the nodule?", "The right upper lobe."),
    ("side-changed", "location", "Where is the nodule?", "In an upper lobe."),
    ("side-changed", "presence", "Is there a pleural effusion?", "Yes, on the right."),
    ("side-changed", "size", "How large is the right pleural effusion?", "Small."),
    ("place-changed", "location", "Where is the nodule?", "In the left lower lobe."),
    ("size-changed", "size", "How large is the pleural effusion?", "It is large."),
    ("size-changed", "size", "What size is the nodule?", "It measures 21 mm."),
    ("severity-changed", "severity", "How severe is the cardiomegaly?", "It is severe."),
    ("kind-changed", "type", "What kind of atelectasis is seen?", "Round atelectasis."),
    ("kind-changed", "type", "Which support device is seen?", "A pacemaker."),
    ("text-added", "presence", "Is there a pleural effusion?", "Yes, and a rib fracture."),
    ("text-added", "location", "Where is the pleural effusion?", "Left, beside the edema."),
    ("text-added", "presence", "Is there a pneumothorax?", "No, but there is emphysema."),
    ("text-added", "view", "Which view is this?", "A PA view with an effusion."),
    ("negation-changed", "presence", "Is there a pleural effusion?", "Yes, and a pneumothorax."),
    ("number-changed", "presence", "Is there a nodule?", "Yes, there are three."),
    ("type-wrong", "size", "Where is the pleural effusion?", "On the left."),
    ("type-wrong", "presence", "How large is the pleural effusion?", "Small."),
    ("type-wrong", "location", "Is there a pleural effusion?", "Yes."),
    ("type-wrong", "view", "Is there a pleural effusion on this frontal view?", "Yes."),
    ("question-unclear", "location", "Where is it?", "On the left."),
    ("question-unclear", "presence", "Is there an effusion or pneumonia?", "Yes."),
    ("view-changed", "view", "Which view is this?", "A lateral view."),
    ("view-changed", "view", "Which view is this?", "An AP view."),
    ("view-changed", "view", "Is this a frontal film?", "No."),
    ("finding-lost", "presence", "What abnormalities are seen?", "A left pleural effusion."),
    ("report-named", "presence", "Does the report mention an effusion?", "Yes."),
    ("comparison-kept", "presence", "Is there a new pleural effusion?", "Yes."),
    ("empty", "presence", "Is there a pleural effusion?", " "),
    ("length", "presence", "Is there a pleural effusion?", "Yes " * (LONGEST_WORDS + 1)),
)


@pytest.mark.parametrize(("expected", "kind", "question", "answer"), WRONG)
def test_each_mistake_has_its_reason(expected: str, kind: str, question: str, answer: str) -> None:
    assert reason(kind, question, answer) == expected


def test_an_open_question_is_answered_by_all_that_is_asserted() -> None:
    report = "Small left pleural effusion. Mild pulmonary edema. No pneumothorax."
    question = "What abnormalities does this film show?"
    whole = "A small left pleural effusion and mild pulmonary edema."
    assert reason("presence", question, whole, report) is None
    assert reason("presence", question, "Mild pulmonary edema.", report) == "finding-lost"
    normal = "The lungs are clear. No pleural effusion."
    assert reason("presence", question, "None, the lungs are clear.", normal) is None


def test_two_findings_of_one_kind_are_kept_apart() -> None:
    report = "A small left pleural effusion. A large right pleural effusion."
    asked = ("size", "How large is the {} pleural effusion?")
    assert reason(asked[0], asked[1].format("right"), "Large.", report) is None
    assert reason(asked[0], asked[1].format("right"), "Small.", report) == "size-changed"
    assert reason(asked[0], asked[1].format("left"), "Small.", report) is None
    swapped = "Yes, a large left pleural effusion."
    assert reason("presence", "Is there a pleural effusion?", swapped, report) == "place-changed"


def test_what_may_be_of_either_side_is_not_taken_for_granted() -> None:
    report = "Small left and moderate right pleural effusions."
    question = "How large is the right pleural effusion?"
    assert reason("size", question, "Small.", report) == "not-answerable"


def test_a_view_that_is_not_known_cannot_be_asked() -> None:
    asked = Asked("view", "Which view is this?", "A PA view.")
    for view in (None, View.UNKNOWN):
        problem = check_asked(asked, REPORT, view)
        assert problem is not None and problem.reason == "not-answerable"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes.", "yes"),
        ("yes, small", "yes"),
        ("No evidence of it.", "no"),
        ("No, it cannot be seen.", "no"),
        ("Possibly.", "unsure"),
        ("Yes, possibly.", "unsure"),
        ("It may be there.", "unsure"),
        ("Normal.", None),
        ("Nodule.", None),
        ("Yesterday", None),
    ],
)
def test_how_an_answer_begins(answer: str, said: str | None) -> None:
    assert polarity(answer) == said


def test_details_hold_no_words_of_the_report() -> None:
    problem = check_asked(
        Asked("presence", "Is there a zebra effusion?", "No, a zebra."), "Zebra effusion.", View.PA
    )
    assert problem is not None
    assert "zebra" not in problem.detail.lower()


def test_the_prompts_example_keeps_its_own_rules() -> None:
    payload, answer = CONVERSE.examples[0]
    kinds = set()
    for item in answer.model_dump()["questions"]:
        asked = Asked(item["type"], item["question"], item["answer"])
        assert check_asked(asked, str(payload["report"]), View(str(payload["view"]))) is None, asked
        kinds.add(item["type"])
    assert kinds == {"presence", "location", "size", "severity", "type", "view"}

"""Converse: one report → questions about its film, by type, each with the report's answer.

MedXChat's question sets have about five pairs a report; the types are those its answers are scored
by (medxchat 1.4 and 1.6). Its wording is not published; this one is ours.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from infra.llm.prompt import Prompt


class TypedQuestion(BaseModel):
    """One question, its answer and what it asks for."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["presence", "location", "size", "severity", "type", "view"]
    question: str
    answer: str


class QuestionSet(BaseModel):
    """The questions in the order in which they are asked."""

    model_config = ConfigDict(extra="forbid")

    questions: list[TypedQuestion]


SYSTEM = """
You write questions and answers about chest radiographs, with which an assistant is trained. You
receive the text of one report under "report", the projection of the film under "view" where it is
known, and under "most_questions" how many questions you may write. Who asks has the film before
them and knows nothing of the report.

1. Each question has a type. presence: whether a finding is there; the answer begins with Yes, No
   or, where the report is in doubt, Possibly. location: where a finding is, or on which side. size:
   how large it is. severity: how severe it is. type: of what kind it is. view: which projection the
   film is, answered from "view" alone; ask it only where "view" is given.
2. Ask nothing that the report does not answer. A finding that it does not speak of is not asked
   about; a place, a size, a severity or a kind is asked only where it is stated, and of a finding
   that is there without doubt.
3. Each question can be understood alone: it names its finding, and one finding only.
4. Never add a finding, a side, a place, a degree, a number or a doubt. Left and right are the
   patient's. A location names all sides that the report gives.
5. Say nothing of a report, of earlier examinations or of change over time.
6. Mix the types. Ask for findings that are there and for findings that the report denies.
7. Question and answer are one short sentence each.
"""

EXAMPLE = (
    {
        "report": "There is a small left pleural effusion. Linear atelectasis at the right base. "
        "Mild cardiomegaly. No pneumothorax. Pneumonia at the right base is possible.",
        "view": "AP",
        "most_questions": 8,
    },
    QuestionSet(
        questions=[
            TypedQuestion(
                type="presence",
                question="Is there a pneumothorax?",
                answer="No, there is no pneumothorax.",
            ),
            TypedQuestion(
                type="presence",
                question="Does the film show a pleural effusion?",
                answer="Yes, there is a pleural effusion.",
            ),
            TypedQuestion(
                type="location",
                question="On which side is the pleural effusion?",
                answer="On the left.",
            ),
            TypedQuestion(
                type="size", question="How large is the pleural effusion?", answer="It is small."
            ),
            TypedQuestion(
                type="severity", question="How severe is the cardiomegaly?", answer="It is mild."
            ),
            TypedQuestion(
                type="type",
                question="What kind of atelectasis is seen?",
                answer="Linear atelectasis.",
            ),
            TypedQuestion(
                type="presence",
                question="Is there pneumonia?",
                answer="Possibly; pneumonia at the right base cannot be excluded.",
            ),
            TypedQuestion(type="view", question="Which view is this?", answer="An AP view."),
        ]
    ),
)

CONVERSE = Prompt("converse-1", SYSTEM, (EXAMPLE,), QuestionSet)

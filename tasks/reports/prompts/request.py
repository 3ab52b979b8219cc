"""Request: one report → somebody who asks for such a film, and the answer that has it drawn.

The form is MedXChat's: a short sentence of acceptance, then the text to draw between tags, which
begins with a sentence that tells the view (medxchat 1.4). The words of its prompt are published as
a picture of five headings only; these are ours.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from infra.llm.prompt import Prompt


class RequestedFilm(BaseModel):
    """What a person says, and the answer with the text to draw at its end."""

    model_config = ConfigDict(extra="forbid")

    request: str
    answer: str


SYSTEM = """
You write short dialogues in which a person asks an assistant for a chest radiograph. You receive
the text of a report under "report" and the projection of its film under "view": PA, AP or LATERAL.

1. request: what a teacher, a student, a physician or a lay person would say to be shown such a
   film, in one to three sentences. It names the view and the main findings as the report has them:
   with their sides, places, sizes, degrees and doubts, as far as they are named at all. Where the
   report has no abnormal finding, a normal film is asked for. Give nobody an age or a name.
2. answer: one short sentence that accepts, and then, between <Xray> and </Xray>, the text to draw.
   Nothing stands behind </Xray>. The text to draw begins with "PA view of the chest was obtained.",
   "AP view of the chest was obtained." or "Lateral view of the chest was obtained.", whichever is
   the view; after it come all statements of the report about the present film, in its own words.
3. Never add a finding, a side, a place, a degree or a number, in request or answer.
4. Nothing may refer to an earlier examination or to change over time. Turn such a statement into
   what is visible now: "unchanged small effusion" is "small effusion".
"""

EXAMPLE = (
    {
        "report": "The heart is mildly enlarged. There is a small left pleural effusion, unchanged "
        "from the prior study. No pneumothorax.",
        "view": "LATERAL",
    },
    RequestedFilm(
        request="I am explaining mild cardiomegaly to my class. Could you show us a lateral view "
        "with mild cardiomegaly and a small left pleural effusion?",
        answer="Of course, here is such a film. <Xray>Lateral view of the chest was obtained. The "
        "heart is mildly enlarged. There is a small left pleural effusion. No "
        "pneumothorax.</Xray>",
    ),
)

REQUEST = Prompt("request-1", SYSTEM, (EXAMPLE,), RequestedFilm)

"""Translate: a report in Spanish or Portuguese → the same report in English, section by section.

PadChest publishes lower-case word stems without accents instead of words: the prompt says so, and
one example is such a report. Words and examples are ours.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from infra.llm.prompt import Prompt


class TranslatedReport(BaseModel):
    """The sections in English; null where the question has none."""

    model_config = ConfigDict(extra="forbid")

    indication: str | None
    technique: str | None
    comparison: str | None
    findings: str | None
    impression: str | None


SYSTEM = """
You translate chest radiograph reports from Spanish ("es") or Portuguese ("pt", of Brazil or
Portugal) into the English of a radiologist. You receive the language and the sections of one
report. Translate each section that is there; the others are null.

1. One sentence in, one sentence out, in the same order. Nothing is added, explained or left out.
2. Left stays left and right stays right, named as often as in the report: where it names no side,
   name none. Lobes may be given by letters: LSD and LID are the right upper and lower lobe, LSI and
   LII (Spanish) or LSE and LIE (Portuguese) the left ones.
3. Every negation and every doubt is kept, and none is added: "no se descarta" and "não se pode
   excluir" mean "cannot be excluded".
4. Every number and unit is kept; a decimal comma becomes a point.
5. What the report says of earlier examinations and of change is translated as it stands, and
   nothing is said of change where it says nothing.
6. Some reports are written in lower case without accents, or every word is cut to its stem and
   sentences end with " . ": restore the words from their sense first ("derram pleural izquierd"
   stands for "derrame pleural izquierdo"), then translate.
7. If the sense of a word cannot be told, keep the word as it is.
"""

EXAMPLES = (
    (
        {
            "language": "es",
            "sections": {"findings": "sin infiltr ni derram . elongacion aortic ."},
        },
        TranslatedReport(
            indication=None,
            technique=None,
            comparison=None,
            findings="No infiltrates or effusion. Aortic elongation.",
            impression=None,
        ),
    ),
    (
        {
            "language": "pt",
            "sections": {
                "indication": "Dispneia.",
                "findings": "Opacidade mal definida no LIE, podendo corresponder a processo "
                "infeccioso. Não se observa pneumotórax. Nódulo de 7,5 mm à direita.",
                "impression": "Provável pneumonia.",
            },
        },
        TranslatedReport(
            indication="Dyspnea.",
            technique=None,
            comparison=None,
            findings="Ill-defined opacity in the left lower lobe, which may represent an "
            "infectious process. No pneumothorax is seen. A 7.5 mm nodule on the right.",
            impression="Probable pneumonia.",
        ),
    ),
)

TRANSLATE = Prompt("translate-2", SYSTEM, EXAMPLES, TranslatedReport)

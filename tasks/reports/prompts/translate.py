"""Translate: a report in another language → the same report in English, section by section.

PadChest publishes lower-case word stems without accents instead of words: the prompt says so, and
the example is one. Words and examples are ours.
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
You translate chest radiograph reports into the English of a radiologist. You receive the language
and the sections of one report. Translate each section that is there; the others are null.

1. One sentence in, one sentence out, in the same order. Nothing is added, explained or left out.
2. Left stays left and right stays right. Every negation, doubt, number and unit is kept.
3. Some reports are written in lower case without accents, every word cut to its stem, sentences
   ended by " . ": restore the words from their sense first ("derram pleural izquierd" stands for
   "derrame pleural izquierdo"), then translate.
4. If the sense of a word cannot be told, keep the word as it is.
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
)

TRANSLATE = Prompt("translate-1", SYSTEM, EXAMPLES, TranslatedReport)

"""What is asked of a language model: one module per task, each with its own version.

A version is part of a request's identity. Raise it with every change of the wording, the examples
or the answer's shape; a test holds a digest of each and fails when one is forgotten.
"""

from __future__ import annotations

from tasks.reports.prompts.converse import CONVERSE, QuestionSet
from tasks.reports.prompts.request import REQUEST, RequestedFilm
from tasks.reports.prompts.structure import STRUCTURE, StructuredReport
from tasks.reports.prompts.synthesize import SYNTHESIZE, SynthesizedReport
from tasks.reports.prompts.translate import TRANSLATE, TranslatedReport

__all__ = [
    "CONVERSE",
    "REQUEST",
    "STRUCTURE",
    "SYNTHESIZE",
    "TRANSLATE",
    "QuestionSet",
    "RequestedFilm",
    "StructuredReport",
    "SynthesizedReport",
    "TranslatedReport",
]

"""CheXprompt: a language model counts six kinds of error, each significant or not.

This module is the shape of a judge's answer and its reading; ``chexprompt_prompt`` is what is
asked, ``judged`` the table of counts, ``measures`` their means and shares. Nothing here calls a
model. The measure follows llava_rad 8.1: an error is significant if it would likely affect
treatment, management or outcome.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

KINDS: tuple[str, ...] = (
    "false_positive_finding",
    "omission_finding",
    "incorrect_location",
    "incorrect_severity",
    "false_positive_comparison",
    "omission_comparison",
)
"""The six kinds as a judge is asked for them, in the order of ``judged.CATEGORIES``."""

Count = Annotated[int, Field(ge=0, le=99)]
"""No report has a hundred errors: a larger number is a slip of the judge's (our choice)."""


class KindCounts(BaseModel):
    """Errors of one tier by kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    false_positive_finding: Count
    omission_finding: Count
    incorrect_location: Count
    incorrect_severity: Count
    false_positive_comparison: Count
    omission_comparison: Count

    def counts(self) -> list[int]:
        """Six counts in the order of ``KINDS``."""
        return [getattr(self, kind) for kind in KINDS]


class ErrorCounts(BaseModel):
    """A judge's answer about one pair."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    significant: KindCounts
    insignificant: KindCounts


def kind_counts(**errors: int) -> KindCounts:
    """The given counts, and zero for the other kinds."""
    return KindCounts(**{**dict.fromkeys(KINDS, 0), **errors})

"""``[coherence]``: how requests for films are put to the model that answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from infra.settings.sections import ExampleSettings, Resamples, Section, Seed


class CoherenceSettings(Section):
    """Which requests are asked, and how long an answer may be.

    ``requests`` bounds how many of the test split (a seeded choice; None takes all). Answers are
    greedy: a report's beams and penalties are not made for the two tags.
    """

    requests: int | None = Field(default=300, ge=1)
    max_new_tokens: int = Field(default=192, ge=1)
    bootstrap_resamples: Resamples = 500
    seed: Seed = 3


def requests_of(sets: Mapping[str, ExampleSettings], learned: Sequence[str]) -> str | None:
    """The first set of requests for films among those that a stage learns; None without one."""
    return next((name for name in learned if sets[name].task == "generate"), None)

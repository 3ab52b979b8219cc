"""``[chat]``: how a conversation's answers are generated, whatever ability is talked with."""

from __future__ import annotations

from pydantic import Field

from infra.settings.sections import GenerateSettings, Section


class ChatSettings(Section):
    """How long an answer of ``cxr chat`` may be.

    One conversation mixes reports, yes or no, and texts to draw between two tags, so nothing that
    is made for one of them is asked of it: answers are greedy, without a shortest length, beams or
    penalties, which punish the second tag for the first. 256 tokens is our choice: a long report
    with its view and both tags; the model's positions hold it beside the history.
    """

    max_new_tokens: int = Field(default=256, ge=1)

    @property
    def generate(self) -> GenerateSettings:
        """As a writer takes it, one answer at a time."""
        return GenerateSettings(batch_size=1, max_new_tokens=self.max_new_tokens)

"""Requests for films as they are met in a conversation: behind a report, a question or a request.

Dialogues of requests are written one at a time. A stage with ``history`` puts a share of them
behind other examples of its sets, so that what is asked for last is what is drawn. The first of
them may have a film; the requests behind it have none, as a film begins a new conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.collate import key_of
from models.data import ExampleShards, Sample
from sources.example import Task
from sources.record import Turn

MOST_BEFORE = 2
"""Examples before a request. Our choice: a third request in one conversation is met in training."""


@dataclass(frozen=True)
class Histories:
    """The same examples by the same rows, but a share of the requests with others before them.

    Which, and behind what, follows from the example's id and the seed alone, so that it depends on
    no order, process or batch.

    Args:
        parts: row groups of each set, by its name; each set is as likely to stand before.
        share: of the requests; of these, the same share of those that stand behind a request have
            one more example before them.
        fits: whether an example can be learned whole; one that cannot keeps fewer before it.
    """

    examples: ExampleShards
    parts: Mapping[str, range]
    share: float
    seed: int
    fits: Callable[[Sample], bool]

    def __getitem__(self, row: int) -> Sample:
        """The example of a row."""
        sample = self.examples[row]
        if sample.task != Task.GENERATE:
            return sample
        random = np.random.default_rng([self.seed, key_of("history", sample.example_id)])
        found = sample
        for _ in range(MOST_BEFORE):
            if found.pixels is not None or found.behind is not None:
                break  # a film begins a conversation
            if random.random() >= self.share:
                break
            longer = put_behind(self._other(random), found)
            if not self.fits(longer):
                break
            found = longer
        return found

    def _other(self, random: np.random.Generator) -> Sample:
        """Any example of any set."""
        groups = list(self.parts.values())[random.integers(len(self.parts))]
        starts = self.examples.starts
        return self.examples[int(random.integers(starts[groups.start], starts[groups.stop]))]


def put_behind(before: Sample, request: Sample) -> Sample:
    """One conversation of two: the request's example, with the film and the turns before it."""
    return replace(
        request,
        view=before.view,
        pixels=before.pixels,
        turns=(*before.turns, Turn("assistant", before.target), *request.turns),
        behind=before if before.task != Task.GENERATE else None,
    )

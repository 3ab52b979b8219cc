"""When a job goes through the Batch API, and how patiently it is waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WINDOW_HOURS = 24.0
"""A batch is done or expired after a day: the one window that OpenAI offers."""
SLACK_HOURS = 1.0
"""A first batch may be made so much later than a day before the deadline, for a run reads before it
asks; what is not done in time is cancelled and asked directly (our choice)."""
MOST_ROUNDS = 3
"""Batches that one request is put into before it is asked directly (our choice)."""

BatchMode = Literal["off", "auto", "always"]


@dataclass(frozen=True)
class BatchRule:
    """Part of the place: it changes the price and the time, never an answer.

    Args:
        mode: ``auto`` makes a batch where the deadline leaves a day for it, the price table knows
            a discount and there is enough to ask; ``always`` wherever the endpoint takes one.
        deadline_hours: answers are wanted so long after the client was made; None means at once,
            or with ``always``, after as many days as rounds.
        smallest: requests of one model that ``auto`` makes a batch for.
        first_poll_s, longest_poll_s: the waits between two looks at a batch grow between these.
        attempts: tries of an upload, and of a batch's creation.
        patience: looks in a row that may fail before the run is stopped.
    """

    mode: BatchMode = "off"
    deadline_hours: float | None = None
    smallest: int = 1000
    first_poll_s: float = 2.0
    longest_poll_s: float = 300.0
    attempts: int = 6
    patience: int = 20

    @property
    def hours(self) -> float:
        """The deadline as a number of hours."""
        if self.deadline_hours is not None:
            return self.deadline_hours
        return MOST_ROUNDS * WINDOW_HOURS if self.mode == "always" else 0.0

    @property
    def is_possible(self) -> bool:
        """Whether there is any job that becomes a batch."""
        return self.mode != "off" and self.hours > 0

    def admits(self, count: int, discount: float, hours_left: float, rounds: int) -> bool:
        """Whether ``count`` requests of a model go into a batch after ``rounds`` earlier ones."""
        if self.mode == "off" or hours_left <= 0 or rounds >= MOST_ROUNDS:
            return False
        if rounds > 0 and hours_left < WINDOW_HOURS:
            return False
        if self.mode == "always":
            return True
        in_time = hours_left >= WINDOW_HOURS - SLACK_HOURS
        return count >= self.smallest and discount > 0 and in_time

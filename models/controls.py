"""Image-blind controls: the same question with another study's image, or with none.

A model that beats both has read its findings from pixels and not from the prompt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infra.errors import InputError
from infra.runs import Control
from models.collate import key_of
from models.data import Pixels, Sample

BLANK_GREY = 128
"""Grey value of the blank image: the middle of the range (our choice)."""


@dataclass(frozen=True)
class Place:
    """What the shuffled control looks at: rows are exchanged within equal source and view, between
    subjects, since a person's other film looks much like the person's own."""

    source: str
    study_id: str
    view: str
    subject_id: str | None

    @classmethod
    def of(cls, sample: Sample) -> Place:
        return cls(sample.source, sample.study_id, sample.view, sample.subject_id)

    @property
    def owner(self) -> tuple[str, str, str]:
        """The person behind the row; an unknown one is the study alone."""
        if self.subject_id:
            return self.source, "subject", self.subject_id
        return self.source, "study", self.study_id


def blank(side_px: int) -> Pixels:
    """A uniform image [P, P]."""
    return np.full((side_px, side_px), BLANK_GREY, dtype=np.uint8)


def shown_rows(control: Control, places: Sequence[Place], seed: int) -> list[int | None]:
    """For each row the row whose image it is shown; None means the blank image.

    Raises:
        InputError: the shuffled control has too few subjects to exchange (``can_exchange``).
    """
    if control == "none":
        return list(range(len(places)))
    if control == "blank":
        return [None] * len(places)
    return list(_derangement(places, seed))


def can_exchange(places: Sequence[Place]) -> bool:
    """Whether every row can be shown another subject's image, each image once: nobody owns more
    than half of them."""
    return not places or _can_rotate(range(len(places)), places)


def _derangement(places: Sequence[Place], seed: int) -> list[int]:
    """A permutation that shows every row an image of another subject.

    Rows are exchanged within source and view; groups that cannot be (one subject, or one subject
    owning more than half) are pooled, and if the pool cannot be either, all rows are.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for row, place in enumerate(places):
        groups.setdefault((place.source, place.view), []).append(row)
    shown = [-1] * len(places)
    left: list[int] = []
    for rows in groups.values():
        if _can_rotate(rows, places):
            _rotate(rows, places, seed, shown)
        else:
            left.extend(rows)
    if left and not _can_rotate(left, places):
        left = list(range(len(places)))
        if not _can_rotate(left, places):
            raise InputError(
                f"{len({place.owner for place in places})} subjects for the shuffled control",
                "several, none owning more than half of the images",
                "evaluate on more subjects",
            )
    _rotate(left, places, seed, shown)
    return shown


def _can_rotate(rows: Sequence[int], places: Sequence[Place]) -> bool:
    owned = Counter(places[row].owner for row in rows)
    return 2 * max(owned.values()) <= len(rows)


def _rotate(rows: Sequence[int], places: Sequence[Place], seed: int, shown: list[int]) -> None:
    """Order by a seeded hash of the subject, then shift by one subject's largest number of rows."""
    if not rows:
        return

    def rank(row: int) -> tuple[int, tuple[str, str, str], int]:
        return key_of(str(seed), *places[row].owner), places[row].owner, row

    order = sorted(rows, key=rank)
    shift = max(Counter(places[row].owner for row in rows).values())
    for position, row in enumerate(order):
        shown[row] = order[(position + shift) % len(order)]

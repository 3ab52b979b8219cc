"""Image-blind controls: the same question with another study's image, or with none.

A model that beats both has read its findings from pixels and not from the prompt. Which of several
films it has read is told by controls that black some of them (``BLACKED``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from infra.errors import InputError
from infra.runs import Control
from models.canvas import Blacked
from models.collate import key_of
from models.data import Pixels, Sample

BLACKED: Final[Mapping[Control, Blacked]] = {"without-first": "first", "first-alone": "others"}
"""By control the films that it blacks; studies that show one film alone have no part in it."""
BLANK_GREY = 128
"""Grey value of the blank image: the middle of the range (our choice). No black lies around it
where films are laid out or padded: that would tell how many there are, and of what shape."""


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
        InputError: there is one subject alone, so nothing to exchange (``can_exchange``).
    """
    assert control not in BLACKED, "a control that hides some films shows every row its own"
    if control == "none":
        return list(range(len(places)))
    if control == "blank":
        return [None] * len(places)
    return list(_derangement(places, seed))


def can_exchange(places: Sequence[Place]) -> bool:
    """Whether every row can be shown another subject's image: there are two subjects, or no row."""
    return len({place.owner for place in places}) != 1


def _derangement(places: Sequence[Place], seed: int) -> list[int]:
    """For every row the row of another subject; each image once, where nobody owns more than half.

    Rows are exchanged within source and view; groups that cannot be (one subject, or one subject
    owning more than half) are pooled, and if the pool cannot be either, all rows are. If one
    subject owns more than half of these too, the others' images are shown more than once.
    """
    if not can_exchange(places):
        raise InputError(
            "1 subject for the shuffled control", "two at least", "evaluate on more subjects"
        )
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
            return _borrow(places, seed)
    _rotate(left, places, seed, shown)
    return shown


def _can_rotate(rows: Sequence[int], places: Sequence[Place]) -> bool:
    owned = Counter(places[row].owner for row in rows)
    return 2 * max(owned.values()) <= len(rows)


def _rotate(rows: Sequence[int], places: Sequence[Place], seed: int, shown: list[int]) -> None:
    """Order by a seeded hash of the subject, then shift by one subject's largest number of rows."""
    if not rows:
        return

    order = _drawn(rows, places, seed)
    shift = max(Counter(places[row].owner for row in rows).values())
    for position, row in enumerate(order):
        shown[row] = order[(position + shift) % len(order)]


def _borrow(places: Sequence[Place], seed: int) -> list[int]:
    """Between the subject who owns most rows and all others, in turn."""
    most = Counter(place.owner for place in places).most_common(1)[0][0]
    order = _drawn(range(len(places)), places, seed)
    theirs = [row for row in order if places[row].owner == most]
    others = [row for row in order if places[row].owner != most]
    shown = [-1] * len(places)
    for some, shown_to_them in ((theirs, others), (others, theirs)):
        for position, row in enumerate(some):
            shown[row] = shown_to_them[position % len(shown_to_them)]
    return shown


def _drawn(rows: Iterable[int], places: Sequence[Place], seed: int) -> list[int]:
    """The rows of each subject together, subjects by a seeded hash."""
    return sorted(
        rows, key=lambda row: (key_of(str(seed), *places[row].owner), places[row].owner, row)
    )

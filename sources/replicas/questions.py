"""Questions about one film, and about what changed since an earlier one; their answers are true.

Only what the film shows is asked: a finding of the lateral view alone counts as absent on a frontal
one. Texts are in lower case, as the publishers' are, and the words are our own. With ``template``
wording each kind of question has one text, so that a small model learns answers and not phrases.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sources.record import View
from sources.replicas.truth import FINDING_NAMES, ChestTruth, TrueFinding
from sources.replicas.wording_phrases import DEGREES

TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "presence": ("is there {name}?", "does this film show {name}?", "can {name} be seen here?"),
    "abnormality": (
        "which findings does this film show?",
        "what is not normal on this film?",
        "name all that is abnormal here.",
    ),
    "in lung": (
        "which findings are in the {side} lung?",
        "what is abnormal on the {side}?",
    ),
    "side": (
        "is the {name} on the left or on the right?",
        "which side has the {name}, left or right?",
    ),
    "location": ("on which side is the {name}?", "where does the {name} lie?"),
    "level": ("how severe is the {name}?", "what degree has the {name}?"),
    "type": ("what kind of {name} is it?", "which {name} is this?"),
    "view": ("is this film pa or ap?", "which view is it, pa or ap?"),
    "verify view": ("is this a {view} film?", "was this taken as {view}?"),
    "gender": ("is the person m or f?", "which sex has this person, m or f?"),
    "size": (
        "is the heart wider than half of the chest?",
        "does the heart take more than half of the width?",
    ),
    "difference": (
        "what is different from the earlier film?",
        "how does this film differ from the one before?",
    ),
}
"""By kind of question; the first text is the template's."""

SIDED: Final = frozenset(FINDING_NAMES) - {
    *("cardiomegaly", "enlarged mediastinum", "edema", "support device", "foreign object")
}
"""Findings of one lung or pleura, whose side is asked for."""


@dataclass(frozen=True)
class Asked:
    """One question: ``kind`` is a key of TEXTS, ``answers`` are a set; none where nothing fits."""

    kind: str
    text: str
    answers: tuple[str, ...]


class Asker:
    """Questions about one film of a truth."""

    def __init__(self, truth: ChestTruth, view: View, rng: np.random.Generator) -> None:
        self._truth, self._view, self._rng = truth, view, rng
        self._seen = truth.visible_in(view)

    def presence(self, most: int = 2) -> list[Asked]:
        """As many questions that are answered yes as no, and one more of no."""
        there = [finding.name for finding in self._seen][:most]
        absent = [name for name in FINDING_NAMES if name not in {f.name for f in self._seen}]
        picked = self._rng.choice(len(absent), size=len(there) + 1, replace=False)
        yes = [self._ask("presence", ("yes",), name=name) for name in there]
        return yes + [self._ask("presence", ("no",), name=absent[index]) for index in picked]

    def abnormality(self) -> list[Asked]:
        return [self._ask("abnormality", tuple(finding.name for finding in self._seen))]

    def in_lung(self) -> list[Asked]:
        """What lies in one lung, and in the other."""
        return [
            self._ask(
                "in lung",
                tuple(
                    f.name for f in self._seen if f.name in SIDED and f.side in (side, "bilateral")
                ),
                side=side,
            )
            for side in ("left", "right")
        ]

    def side(self) -> list[Asked]:
        """Left, right or both, as a set."""
        return [self._ask("side", _sides(f), name=f.name) for f in self._sided()]

    def location(self) -> list[Asked]:
        """The side as one word."""
        return [self._ask("location", (f.side or "",), name=f.name) for f in self._sided()]

    def level(self) -> list[Asked]:
        return [
            self._ask("level", (DEGREES.get(f.name, {}).get(f.severity, f.severity),), name=f.name)
            for f in self._seen
            if f.severity is not None
        ]

    def type(self) -> list[Asked]:
        """Of devices, foreign objects and atelectasis: what a cause is cannot be seen."""
        return [
            self._ask("type", (f.kind,), name=f.name)
            for f in self._seen
            if f.kind is not None and f.name != "consolidation"
        ]

    def view(self) -> list[Asked]:
        return [self._ask("view", (self._view.value.lower(),))]

    def verify_view(self) -> list[Asked]:
        asked = ("pa", "ap")[int(self._rng.integers(2))]
        answer = "yes" if asked == self._view.value.lower() else "no"
        return [self._ask("verify view", (answer,), view=asked)]

    def gender(self) -> list[Asked]:
        return [self._ask("gender", (self._truth.person.sex.lower(),))]

    def size(self) -> list[Asked]:
        answer = "yes" if any(f.name == "cardiomegaly" for f in self._seen) else "no"
        return [self._ask("size", (answer,))]

    def difference(self, earlier: ChestTruth, view: View) -> list[Asked]:
        """Against a film of an earlier study; one sentence for each finding that changed."""
        return [self._ask("difference", (changes(earlier.visible_in(view), self._seen),))]

    def _sided(self) -> list[TrueFinding]:
        return [f for f in self._seen if f.name in SIDED and f.side is not None]

    def _ask(self, kind: str, answers: tuple[str, ...], **words: str) -> Asked:
        texts = TEXTS[kind]
        chosen = 0 if self._truth.wording == "template" else int(self._rng.integers(len(texts)))
        return Asked(kind, texts[chosen].format(**words), answers)


def _sides(finding: TrueFinding) -> tuple[str, ...]:
    return ("left", "right") if finding.side == "bilateral" else (finding.side or "",)


def changes(before: Sequence[TrueFinding], now: Sequence[TrueFinding]) -> str:
    """What is new, gone and different, in FINDING_NAMES' order; or that nothing is."""
    old, new = ({_looks(f) for f in findings} for findings in (before, now))
    told = [
        f"{name} is {_change(name, old - new, new - old)}."
        for name in FINDING_NAMES
        if name in {looks[0] for looks in old ^ new}
    ]
    return " ".join(told) or "nothing has changed."


def _looks(finding: TrueFinding) -> tuple[str, ...]:
    return (finding.name, *(str(part) for part in (finding.side, finding.zone, finding.severity)))


def _change(
    name: str, lost: Collection[tuple[str, ...]], gained: Collection[tuple[str, ...]]
) -> str:
    was, comes = (any(looks[0] == name for looks in some) for some in (lost, gained))
    return "different" if was and comes else "new" if comes else "gone"

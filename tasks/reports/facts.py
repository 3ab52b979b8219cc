"""What is known of a study without its text, as a synthesis is told it.

A publisher's own labels are more telling than the 14 observations made from them, so they come
first; an observation is added where no label of the publisher speaks of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sources.record import Box, LabelValue, SourceLabel, Study
from tasks.reports.concepts import find_concept
from tasks.reports.places import NOWHERE, Place, merge, place_of_boxes, read_location

SILENT = frozenset(
    {"exclude", "suboptimal study", "unchanged", "differential diagnosis", "radiological finding"}
)
"""PadChest strings that say nothing about the image that a report could state."""


@dataclass(frozen=True)
class Fact:
    """One named statement.

    ``votes`` of ``readers`` persons made it, where several read. ``count`` is how many of it were
    marked, where that can be told; None for findings that are not counted.
    """

    name: str
    value: LabelValue
    place: Place = NOWHERE
    votes: int | None = None
    readers: int | None = None
    count: int | None = None

    def payload(self) -> dict[str, Any]:
        """As the prompt shows it: only what is known."""
        shown: dict[str, Any] = {"name": self.name, "value": str(self.value)}
        if self.place.sides:
            shown["sides"] = list(self.place.sides)
        if self.place.region:
            shown["place"] = self.place.region
        if self.count is not None and self.count > 1:
            shown["count"] = self.count
        if self.votes is not None and self.readers and self.readers > 1:
            shown["readers"] = f"{self.votes} of {self.readers}"
        return shown


def facts_of(study: Study) -> tuple[Fact, ...]:
    """All facts of a study, in the publisher's order; empty where nothing is labelled."""
    facts = [
        _merged(name, labels, study)
        for name, labels in _by_name(study.source_labels).items()
        if name.lower() not in SILENT
    ]
    spoken = _spoken(facts)
    for label in study.labels:
        if label.value is LabelValue.UNMENTIONED or label.value in spoken.get(
            label.observation, ()
        ):
            continue
        boxes = _boxes_named(label.observation, study.boxes)
        place = _place_of(label.observation, boxes, study)
        facts.append(
            Fact(label.observation, label.value, place, count=_count(label.observation, boxes))
        )
    return tuple(_without_empty_normal(facts))


def payload_of(study: Study, facts: tuple[Fact, ...]) -> dict[str, Any]:
    """The question that a synthesis is asked."""
    frontal = [image.view for image in study.images if image.view.is_frontal]
    shown: dict[str, Any] = {"facts": [fact.payload() for fact in facts]}
    return {"view": str(frontal[0]), **shown} if frontal else shown


def _by_name(labels: Iterable[SourceLabel]) -> dict[str, list[SourceLabel]]:
    groups: dict[str, list[SourceLabel]] = {}
    for label in labels:
        if label.value is not LabelValue.UNMENTIONED:
            groups.setdefault(label.name, []).append(label)
    return groups


def _merged(name: str, labels: list[SourceLabel], study: Study) -> Fact:
    """One fact per name: the strongest value, all places, and the readers' votes."""
    strongest = min(labels, key=lambda label: _RANKED.index(label.value))
    value = strongest.value
    votes, readers = strongest.votes, strongest.readers
    if value is LabelValue.POSITIVE and votes is not None and readers and 2 * votes < readers:
        value = LabelValue.UNCERTAIN
    places = [read_location(label.location) for label in labels]
    boxes = _boxes_named(name, study.boxes) if value is not LabelValue.NEGATIVE else []
    places.append(_place_of(name, boxes, study))
    return Fact(name, value, merge(places), votes, readers, _count(name, boxes))


def _place_of(name: str, boxes: list[Box], study: Study) -> Place:
    """The boxes' place, as far as one speaks of it: a heart has neither side nor zone, an effusion
    no zone."""
    place = place_of_boxes(boxes, study.images)
    concept = find_concept(name)
    if concept is None or concept.placed in ("lung", "object"):
        return place
    return Place(place.sides) if concept.placed == "side" else NOWHERE


COUNTED = frozenset(
    {"nodule", "nodule/mass", "mass", "lung lesion", "lung cavity", "fracture", "rib fracture"}
    | {"clavicle fracture", "foreign object", "calcified granuloma", "lung cyst", "chest tube"}
)
"""Keys of concepts of which each box or mask is one; several masks of a pneumothorax are its parts,
several boxes of a consolidation may be."""


def _count(name: str, boxes: Iterable[Box]) -> int | None:
    """How many were marked: the same number by each reader, on one image."""
    concept = find_concept(name)
    marked = Counter((box.image_id, box.reader) for box in boxes)
    one_image = len({image for image, _ in marked}) == 1
    if concept is None or concept.key not in COUNTED or not one_image:
        return None
    counts = set(marked.values())
    return counts.pop() if len(counts) == 1 else None


_RANKED = (LabelValue.POSITIVE, LabelValue.UNCERTAIN, LabelValue.NEGATIVE)
"""The strongest value first."""


def _spoken(facts: Iterable[Fact]) -> dict[str, set[LabelValue]]:
    """By observation, the values that need no fact of their own: a fact's, and the weaker ones."""
    found: dict[str, set[LabelValue]] = {}
    for fact in facts:
        concept = find_concept(fact.name)
        if concept is not None and concept.observation is not None:
            weaker = _RANKED[_RANKED.index(fact.value) :]
            found.setdefault(concept.observation, set()).update(weaker)
    return found


def _boxes_named(name: str, boxes: Iterable[Box]) -> list[Box]:
    return [box for box in boxes if box.name.lower() == name.lower()]


def _without_empty_normal(facts: list[Fact]) -> list[Fact]:
    """Without a denied No Finding, which says only that something else is there."""
    return [
        fact
        for fact in facts
        if not (is_normal(fact.name) and fact.value is not LabelValue.POSITIVE)
    ]


def is_normal(name: str) -> bool:
    """Whether a label's name says that the image is normal."""
    return name.lower().replace("_", " ") in ("no finding", "normal")

"""Where on a chest a finding lies, from publishers' location words and from boxes.

Left and right are the patient's: the image's left half shows the patient's right. A box belongs to
the third of the image's height (upper, middle, lower) that its centre lies in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sources.record import Box, Image

SIDES = ("left", "right")
MIDLINE_SHARE = 0.08
"""A box whose centre is nearer than 8 % of the image's width to its middle has no side (our
choice: about half the width of spine and sternum)."""

_BOTH = re.compile(r"\bbilateral|\bboth\b")
_SIDE = re.compile(r"\b(left|right)\b")
_REGIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), region)
    for pattern, region in (
        (r"\bupper lobe", "upper lobe"),
        (r"\bmiddle lobe", "middle lobe"),
        (r"\blower lobe", "lower lobe"),
        (r"\blingula", "lingula"),
        (r"\bapical|\bapex|\bapices", "apex"),
        (r"\bbasal|\bbases?\b|\bbasilar", "base"),
        (r"\bupper lung|\bupper zone", "upper zone"),
        (r"\bmid(?:dle)? lung|\bmid(?:dle)? zone", "middle zone"),
        (r"\blower lung|\blower zone", "lower zone"),
        (r"\bretrocardiac", "retrocardiac region"),
        (r"hilar\b|\bhilum", "perihilar region"),
        (r"\bcostophrenic", "costophrenic angle"),
    )
)


@dataclass(frozen=True, order=True)
class Place:
    """Sides of the patient (none, one or both) and a region, where they are known."""

    sides: tuple[str, ...] = ()
    region: str | None = None


NOWHERE = Place()


def read_location(text: str | None) -> Place:
    """The place that a publisher's location words name (``right, lower lobe``)."""
    words = (text or "").lower()
    named = SIDES if _BOTH.search(words) else tuple(sorted(set(_SIDE.findall(words))))
    for pattern, region in _REGIONS:
        if pattern.search(words):
            return Place(named, region)
    return Place(named)


def place_of_boxes(boxes: Iterable[Box], images: Iterable[Image]) -> Place:
    """The sides of all boxes, and their zone where they agree on one.

    Boxes on images of unknown size, or on lateral views, tell nothing.
    """
    sizes = {item.image_id: item for item in images if item.view != "LATERAL"}
    sides: set[str] = set()
    zones: set[str] = set()
    for box in boxes:
        image = sizes.get(box.image_id)
        if image is None or not image.width or not image.height:
            continue
        across = (box.x_min + box.x_max) / 2 / image.width - 0.5
        down = (box.y_min + box.y_max) / 2 / image.height
        if abs(across) >= MIDLINE_SHARE:
            sides.add("right" if across < 0 else "left")
        zones.add(("upper zone", "middle zone", "lower zone")[min(2, max(0, int(down * 3)))])
    return Place(tuple(sorted(sides)), zones.pop() if len(zones) == 1 else None)


def merge(places: Iterable[Place]) -> Place:
    """All sides; the region where only one is named."""
    known = list(places)
    regions = {place.region for place in known if place.region}
    sides = {side for place in known for side in place.sides}
    return Place(tuple(sorted(sides)), regions.pop() if len(regions) == 1 else None)

"""What grounding found, as others read it: the document, its numbers, lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from evaluation.interval_text import difference_text, number_text, plain

GROUNDING_FILE: Final = "grounding.json"
PAGE_FILE: Final = "grounding.html"


def grounding_text(document: Mapping[str, Any]) -> str:
    """Energy and pointing of the chosen method against the exchanged image, source by source."""
    lines = [f"unavailable: {what}: {why}" for what, why in document["unavailable"].items()]
    if not document["sentences"]:
        return "NOT GROUNDED: " + "; ".join(document["unavailable"].values())
    choice = document["choice"]
    lines.insert(0, f"heat maps by {choice['name']} ({choice['reason']})")
    lines += [
        _line(document, row)
        for row in document["differences"]
        if row["method"] == choice["name"] and row["control"] == "shuffled"
    ]
    return "\n".join(lines)


def _line(document: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    own = next(
        score
        for score in document["scores"]
        if score["control"] == "none" and all(score[name] == row[name] for name in _PLACE)
    )
    what = f"{row['source']} {row['text']}, {row['group']} ({row['sentences']} sentences)"
    verdict = "above it" if (row["low"] or 0) > 0 else "NOT ABOVE IT"
    return (
        f"{row['metric']:8} of {what}: {number_text(own['value'])}, less another study's image "
        f"{plain(difference_text(row))}: {verdict}"
    )


_PLACE = ("source", "text", "group", "method", "metric")

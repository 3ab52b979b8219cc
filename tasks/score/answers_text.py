"""What the scores of answers found, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from evaluation.interval_text import difference_text, interval_text, plain

NAMES: Final = {
    "none": "model",
    "shuffled": "shuffled image",
    "blank": "blank image",
    "without-first": "first film black",
    "first-alone": "first film alone",
    "majority": "majority answer",
}
_CONTROLS: Final = {
    "shuffled": "with another study's image",
    "blank": "with a blank image",
    "without-first": "with the first film black (questions of several)",
    "first-alone": "with all but the first film black (questions of several)",
    "majority": "of the majority answer",
}
_READS_IMAGES: Final = ("accuracy", "closed-accuracy")
_MOST_TYPES: Final = 8  # our choice: the page has all of them


def answers_text(document: Mapping[str, Any]) -> str:
    """Every metric of the model beside its controls, the differences, accuracy by question type."""
    lost = [f"unavailable: {what}: {why}" for what, why in document["unavailable"].items()]
    if not document["questions"]:
        return "\n".join(["NOT SCORED: no test question is left; the rows above say why", *lost])
    trained = document["training"]
    head = (
        f"{document['questions']:,} questions ({document['closed']:,} closed) about "
        f"{document['images']:,} films; {trained['questions']:,} questions about "
        f"{trained['images']:,} films trained on"
    )
    return "\n".join([head, *_table(document), *lost, "", *_differences(document)])


def _table(document: Mapping[str, Any]) -> list[str]:
    """A line for each metric over all questions, then for each of the commonest types."""
    systems = list(document["systems"])
    rows: dict[tuple[str, str], dict[str, str]] = {}
    support: dict[tuple[str, str], int] = {}
    for row in document["scores"]:
        key = row["group"], row["metric"]
        rows.setdefault(key, {})[row["control"]] = plain(interval_text(row))
        support[key] = row["questions"]
    whole = [key for key in rows if key[0] == "all" and support[key]]
    types = sorted((key for key in rows if key[0] != "all"), key=lambda key: -support[key])
    named = {key: key[1] if key[0] == "all" else f"accuracy, {key[0]}" for key in rows}
    shown = [*whole, *types[:_MOST_TYPES]]
    width = max(len(f"{named[key]} ({support[key]:,})") for key in shown)
    lines = ["  ".join(["".ljust(width), *(f"{NAMES[name]:>20}" for name in systems)])]
    for key in shown:
        title = f"{named[key]} ({support[key]:,})".ljust(width)
        lines.append("  ".join([title, *(f"{rows[key][name]:>20}" for name in systems)]))
    if len(types) > _MOST_TYPES:
        lines.append(f"and {len(types) - _MOST_TYPES} rarer types: see the page")
    return lines


def _differences(document: Mapping[str, Any]) -> list[str]:
    """Does the model look at its films? Paired differences, with their intervals."""
    return [
        f"{row['metric']} less that {_CONTROLS[row['control']]}: {plain(difference_text(row))}: "
        + ("beats it" if row["beats"] else "DOES NOT BEAT IT")
        for metric in _READS_IMAGES
        for row in document["differences"]
        if row["group"] == "all" and row["metric"] == metric and row["value"] is not None
    ]

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
    """Every metric beside its controls, accuracy by type of question too; the model's other scores
    by type; the differences."""
    lost = [f"unavailable: {what}: {why}" for what, why in document["unavailable"].items()]
    if not document["questions"]:
        return "\n".join(["NOT SCORED: no test question is left; the rows above say why", *lost])
    trained = document["training"]
    head = (
        f"{document['questions']:,} questions ({document['closed']:,} closed) about "
        f"{document['images']:,} films; {trained['questions']:,} questions about "
        f"{trained['images']:,} films trained on"
    )
    told = [head, *_table(document), *lost, "", *_types(document), *_differences(document)]
    return "\n".join(told)


def _common_types(document: Mapping[str, Any]) -> tuple[list[str], int]:
    """The commonest types, the most asked first, and how many there are."""
    asked = {
        row["group"]: row["questions"]
        for row in document["scores"]
        if row["group"] != "all" and row["metric"] == "accuracy"
    }
    return sorted(asked, key=lambda name: -asked[name])[:_MOST_TYPES], len(asked)


def _table(document: Mapping[str, Any]) -> list[str]:
    """A line for each metric over all questions, then accuracy of each of the commonest types."""
    systems = list(document["systems"])
    rows: dict[tuple[str, str], dict[str, str]] = {}
    support: dict[tuple[str, str], int] = {}
    for row in document["scores"]:
        key = row["group"], row["metric"]
        rows.setdefault(key, {})[row["control"]] = plain(interval_text(row))
        support[key] = row["questions"]
    types, count = _common_types(document)
    named = {key: key[1] for key in rows if key[0] == "all" and support[key]}
    named |= {(name, "accuracy"): f"accuracy, {name}" for name in types}
    width = max(len(f"{title} ({support[key]:,})") for key, title in named.items())
    lines = ["  ".join(["".ljust(width), *(f"{NAMES[name]:>20}" for name in systems)])]
    for key, title in named.items():
        cells = (f"{rows[key][name]:>20}" for name in systems)
        lines.append("  ".join([f"{title} ({support[key]:,})".ljust(width), *cells]))
    if count > len(types):
        lines.append(f"and {count - len(types)} rarer types: see the page")
    return lines


def _types(document: Mapping[str, Any]) -> list[str]:
    """The model's other scores of the commonest types; a dash where a type has no such question."""
    names, _ = _common_types(document)
    own: dict[str, dict[str, str]] = {}
    for row in document["scores"]:
        told = row["group"] != "all" and row["metric"] != "accuracy"
        if told and row["control"] == "none":
            text = plain(interval_text(row))
            own.setdefault(row["metric"], {})[row["group"]] = text
    if not own:
        return []
    width = max(map(len, ("model by type", *names)))
    lines = ["  ".join(["model by type".ljust(width), *(f"{metric:>20}" for metric in own)])]
    for name in names:
        cells = (f"{cells[name]:>20}" for cells in own.values())
        lines.append("  ".join([name.ljust(width), *cells]))
    return [*lines, ""]


def _differences(document: Mapping[str, Any]) -> list[str]:
    """Does the model look at its films? Paired differences, with their intervals."""
    return [
        f"{row['metric']} less that {_CONTROLS[row['control']]}: {plain(difference_text(row))}: "
        + ("beats it" if row["beats"] else "DOES NOT BEAT IT")
        for metric in _READS_IMAGES
        for row in document["differences"]
        if row["group"] == "all" and row["metric"] == metric and row["value"] is not None
    ]

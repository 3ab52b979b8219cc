"""The agreement of findings and impression, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.interval_text import difference_text, interval_text, plain

WHO = {
    "reference": "references (ceiling)",
    "none": "models",
    "shuffled": "models, another study's image",
    "blank": "models, a blank image",
}


def consistency_text(document: Mapping[str, Any]) -> str:
    """A line for each system: F1 of agreement, contradictions, and the distance to the ceiling."""
    if not document["studies"]:
        why = document["unavailable"].get("consistency", "no test study has both sections")
        return f"consistency of findings and impression: unavailable: {why}"
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in document["measured"]:
        found.setdefault(row["system"], {})[row["metric"]] = row
    head = f"findings and impression of {document['studies']:,} test studies, rule14"
    return "\n".join([head, *(_line(name, rows) for name, rows in found.items())])


def _line(name: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    agreement, contradictions = rows["agreement"], rows["contradictions"]
    text = (
        f"{WHO[name]:30} agreement {plain(interval_text(agreement['interval']))}, "
        f"contradictions a study {plain(interval_text(contradictions['interval']))}"
    )
    if agreement["against"] is None:
        return text
    return f"{text}; agreement less the references' {plain(difference_text(agreement['against']))}"

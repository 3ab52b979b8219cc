"""The coherence of request, span and film, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from evaluation.interval_text import interval_text, plain

WHO: Final = {
    "reference": "references (ceiling)",
    "none": "model",
    "shuffled": "model, another's request",
}


def coherence_text(document: Mapping[str, Any]) -> str:
    """A line for each system: what of the request its spans say; then failures and films."""
    lost = [f"unavailable: {what}: {why}" for what, why in document["unavailable"].items()]
    if not document["requests"]:
        return "\n".join(["coherence of requests and films:", *lost])
    head = f"{document['requests']:,} requests for a film, rule14 of request and span"
    lines = [head, *_spans(document)]
    if document["held_out"]["requests"]:
        lines += ["the same in words that were held out", *_spans(document["held_out"])]
    films = document["of_films"]
    if films is not None:
        from evaluation.coherence_page import not_drawn

        lines += [
            f"{films['films']:,} films of {films['requests']:,} requests ({not_drawn(films)}), a "
            "classifier of real films",
            *_lines(films["measured"]),
            f"findings asked for that are on no film: {films['not_on_film']:,} of "
            f"{films['asked_findings']:,}",
        ]
    return "\n".join([*lines, *lost])


def _spans(document: Mapping[str, Any]) -> list[str]:
    """Shares of each system, and what fails."""
    failures = {name: n for name, n in document["failures"]["none"].items() if n}
    told = ", ".join(f"{name} {count}" for name, count in failures.items()) or "none"
    return [*_lines(document["measured"]), f"failures of the model: {told}"]


def _lines(measured: list[Mapping[str, Any]]) -> list[str]:
    found: dict[str, list[str]] = {}
    for row in measured:
        text = f"{row['metric']} {plain(interval_text(row['interval']))}"
        found.setdefault(row["system"], []).append(text)
    return [f"{WHO[name]:26} {', '.join(texts)}" for name, texts in found.items()]
